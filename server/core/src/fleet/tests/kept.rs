//! What an instance ran when, and what is kept of a fleet over a restart.

use super::*;

#[test]
fn a_history_has_an_end() {
    let mut fleet = Fleet::default();
    for seq in 1..100 {
        let state = if seq % 2 == 0 {
            ReportState::Applied
        } else {
            ReportState::Pending
        };
        heard(
            &mut fleet,
            1,
            with(seq, &[("app", running('a', state))], &[]),
            later(seq),
        );
    }
    let history = fleet.history(&id(1), None).remove(&config()).unwrap();
    assert_eq!(history.len(), HISTORY_MAX);
    assert_eq!(history[0].from, later(99).at);
    // Where everybody together has too many, each gives its own oldest for a new one.
    fleet.archive = Archive::full();
    let before = fleet.archive.len();
    heard(
        &mut fleet,
        1,
        with(100, &[("app", running('b', ReportState::Failed))], &[]),
        later(100),
    );
    assert_eq!(fleet.archive.len(), before);
}

#[test]
fn whom_an_earlier_process_heard_is_stale_until_it_is_heard_again() {
    let mut fleet = mixed();
    let saved = later(310_000);
    fleet.leave(&id(4), 1, saved);
    let mut fleet = reopened(&fleet, saved);
    let liveness = |fleet: &Fleet, uptime| {
        let mut members: Vec<_> = fleet.members(&config(), Uptime(uptime)).collect();
        members.sort_by_key(|member| member.instance);
        members
            .iter()
            .map(|member| (member.liveness, member.silent_ms))
            .collect::<Vec<_>>()
    };
    // The third was lost before, and the fourth is gone; the others have the time that everybody has.
    let lost = (Liveness::Lost, 310_000);
    assert_eq!(
        liveness(&fleet, 0),
        [(Liveness::Stale, 0), (Liveness::Stale, 0), lost]
    );
    assert_eq!(liveness(&fleet, 299_999)[0].0, Liveness::Stale);
    assert_eq!(liveness(&fleet, 300_000)[0].0, Liveness::Lost);
    heard(
        &mut fleet,
        1,
        with(2, &[("app", running('a', ReportState::Confirmed))], &[]),
        Moment::default(),
    );
    assert_eq!(liveness(&fleet, 0)[0].0, Liveness::Live);
    // It is no newer life than the one before, and what came before is older.
    let member = fleet
        .members(&config(), Uptime(0))
        .find(|member| *member.instance == id(1))
        .unwrap();
    assert_eq!(member.restarts, 0);
    assert_eq!(
        fleet.take(&id(1), report(0, 9), Moment::default()).unwrap().0,
        Taken::Older
    );
}

proptest! {
    /// Nothing but being heard is lost by a restart of the service.
    #[test]
    fn a_fleet_comes_back_as_it_was_kept(
        steps in proptest::collection::vec((0..4_usize, 1..4_u64, 0..4_u8, 0..3_u8), 1..40),
    ) {
        let mut fleet = Fleet::default();
        for (seq, (number, incarnation, configs, what)) in (1..).zip(steps) {
            if what == 0 {
                fleet.leave(&id(number), incarnation, later(seq));
                continue;
            }
            let named = (0..2).filter(|bit| configs & (1 << bit) != 0);
            let state = if what == 1 { ReportState::Applied } else { ReportState::Failed };
            let configs = named.map(|bit| (format!("c{bit}").parse().unwrap(), running('a', state))).collect();
            heard(&mut fleet, number, InstanceReport { configs, ..report(incarnation, seq) }, later(seq));
        }
        let now = later(1_000);
        let again = reopened(&fleet, now);
        prop_assert_eq!(again.len(), fleet.len());
        prop_assert_eq!(again.bytes(), fleet.bytes());
        prop_assert_eq!(again.archive.len(), fleet.archive.len());
        for number in 0..4 {
            let seen = |fleet: &Fleet, now: Uptime| fleet.view(&id(number), now, nothing).map(|view| InstanceView {
                liveness: headwater_wire::Liveness::Other,
                silent_ms: 0,
                ..view
            });
            prop_assert_eq!(seen(&again, Uptime(0)), seen(&fleet, now.uptime));
            prop_assert_eq!(again.history(&id(number), None), fleet.history(&id(number), None));
        }
        let kept = |fleet: &Fleet, now: Uptime| {
            let kept = fleet.kept(None, 100, now).into_iter();
            kept.map(|kept| KeptInstance { silent_ms: 0, ..kept }).collect::<Vec<_>>()
        };
        prop_assert_eq!(kept(&again, Uptime(0)), kept(&fleet, now.uptime));
    }
}
