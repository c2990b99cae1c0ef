//! A head that was rejected is judged again once instances hold something else than it was measured against.
//!
//! Invariant: nobody has to push again because a rollout moved when his commit came; and a head is judged again once for
//! each change of what instances hold, whatever comes of it. What is deliberately absent: other reasons to reject, which
//! a rollout that ends does not change.

use super::Pipeline;
use crate::besides;
use crate::measure::Against;

use headwater_wire::HeadState;

impl Pipeline {
    /// Has the next round judge the head again if that may have another end now. Says whether it has to.
    pub(super) async fn look_again(&mut self) -> bool {
        let published = self.repo.board.read();
        let state = &published.state;
        let Some(head) = state
            .head
            .clone()
            .filter(|_| state.head_state == HeadState::Rejected)
        else {
            return false;
        };
        let against = Against {
            before: state.tip.clone(),
            old: state.old_contents(),
            ..Against::default()
        };
        let looked = (head, besides::name(&against.old));
        if self.looked_again.as_ref() == Some(&looked) {
            return false;
        }
        let kept = self.repo.kept_verdict(&looked.0).await;
        if !kept.is_some_and(|kept| against.outlives(&kept)) {
            return false;
        }
        self.looked_again = Some(looked);
        self.judge_again = true;
        true
    }
}
