//! What a commit must keep to besides its schemas.
//!
//! Invariant: a rule that cannot be judged is a finding, never a pass. What is deliberately absent: the manifest's
//! spelling of rules, which the manifest's own room reads.

#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "the manifest does not accept `expr` yet; its reader is the caller to come"
    )
)]
pub(crate) mod cel;
