//! Configs that instances name and the service does not have.
//!
//! Invariant: whoever invents names fills no memory with them, and hides no slip of anybody else: a name that is not known
//! is remembered only while few are, and of one instance only a few. A config that was known, as far as the state
//! remembers those that left, stays remembered as long as somebody names it.

use headwater_wire::{ConfigName, InstanceReport};

use super::Fleet;

/// Names that are remembered beside those that are known: enough to see a slip in a program's settings.
pub const STRANGERS_MAX: usize = 64;
/// Names that one instance may have remembered so: whoever has more wrong than this is found by these.
pub(super) const STRANGERS_EACH_MAX: usize = 4;

impl Fleet {
    /// Leaves out of a report what is said of invented configs. `known` says which ones there are or were, and how many
    /// there are.
    pub fn leave_out_strangers(
        &self,
        report: &mut InstanceReport,
        (is_known, known): (impl Fn(&ConfigName) -> bool, usize),
    ) {
        let mut room = (known + STRANGERS_MAX).saturating_sub(self.seats.len());
        let mut own_room = STRANGERS_EACH_MAX;
        report.configs.retain(|config, _| {
            if is_known(config) {
                return true;
            }
            let is_new = !self.seats.contains_key(config);
            if own_room == 0 || (is_new && room == 0) {
                return false;
            }
            own_room -= 1;
            room -= usize::from(is_new);
            true
        });
    }
}
