//! What can be wrong with a schedule.

use batch_export_system::explain::Cause;

/// A field of a schedule that cannot be as it is, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleProblem {
    /// The field's name, as in [`ScheduleParts`](crate::ScheduleParts).
    pub field: &'static str,
    /// What is wrong with it, and what to do about it.
    pub cause: Cause,
}

impl ScheduleProblem {
    pub(crate) fn new(field: &'static str, text: impl Into<String>, hint: impl Into<String>) -> Self {
        ScheduleProblem {
            field,
            cause: Cause::new(text).with_hint(hint),
        }
    }
}
