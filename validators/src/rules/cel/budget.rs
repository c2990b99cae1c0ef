//! How many steps rules may take.
//!
//! Invariant: a step is a bounded amount of work and of memory, so that the number of steps bounds both.

/// Most steps of one run: about a tenth of a second and some tens of MiB, where a rule over two hundred services takes
/// some thousands of steps.
pub(super) const RUN_STEPS_MAX: u64 = 1_000_000;

/// Most steps of all runs for one commit: a few seconds, which a rule for each of 50,000 documents stays below.
const COMMIT_STEPS_MAX: u64 = 50_000_000;

/// Bytes of text that are read or made in one step.
const STEP_BYTES: usize = 16;

/// The steps that are left for the rules of one commit.
#[derive(Debug)]
pub(crate) struct Budget {
    left: u64,
}

impl Budget {
    /// What one commit may take.
    pub(crate) fn for_commit() -> Self {
        Self {
            left: COMMIT_STEPS_MAX,
        }
    }

    /// So many steps.
    #[cfg(test)]
    pub(super) fn with_steps(left: u64) -> Self {
        Self { left }
    }

    /// Steps that are left.
    #[cfg(test)]
    pub(crate) fn left(&self) -> u64 {
        self.left
    }
}

/// The steps of one run, on the way.
#[derive(Debug)]
pub(super) struct Meter<'b> {
    budget: &'b mut Budget,
    run_left: u64,
}

/// Which limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spent {
    Run,
    Commit,
}

impl<'b> Meter<'b> {
    pub(super) fn new(budget: &'b mut Budget) -> Self {
        Self {
            budget,
            run_left: RUN_STEPS_MAX,
        }
    }

    /// Takes steps; if there are too few, takes what is left and fails.
    pub(super) fn take(&mut self, steps: u64) -> Result<(), Spent> {
        let granted = steps.min(self.run_left).min(self.budget.left);
        self.run_left -= granted;
        self.budget.left -= granted;
        if granted == steps {
            Ok(())
        } else if self.run_left == 0 {
            Err(Spent::Run)
        } else {
            Err(Spent::Commit)
        }
    }

    /// Takes a step for each of so many values.
    pub(super) fn take_items(&mut self, count: usize) -> Result<(), Spent> {
        self.take(u64::try_from(count).unwrap_or(u64::MAX))
    }

    /// Takes steps for so many bytes of text.
    pub(super) fn take_bytes(&mut self, count: usize) -> Result<(), Spent> {
        self.take_items(count / STEP_BYTES)
    }
}
