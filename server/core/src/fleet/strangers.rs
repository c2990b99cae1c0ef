//! Configs that instances name and the service does not have.
//!
//! Invariant: whoever invents names fills no memory with them: a name that is neither known nor in use already is
//! remembered only while few are. A config that was known stays remembered as long as somebody names it.

use headwater_wire::{ConfigName, InstanceReport};

use super::Fleet;

/// Names that are remembered beside those that are known: enough to see a slip in a program's settings.
pub const STRANGERS_MAX: usize = 64;

impl Fleet {
    /// Leaves out of a report what is said of invented configs. `known` says which ones there are, and how many.
    pub fn leave_out_strangers(
        &self,
        report: &mut InstanceReport,
        (is_known, known): (impl Fn(&ConfigName) -> bool, usize),
    ) {
        let mut room = (known + STRANGERS_MAX).saturating_sub(self.seats.len());
        report.configs.retain(|config, _| {
            if is_known(config) || self.seats.contains_key(config) {
                return true;
            }
            let has_room = room > 0;
            room = room.saturating_sub(1);
            has_room
        });
    }
}
