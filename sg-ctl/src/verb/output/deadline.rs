//! How long a change is on trial.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use sg_ctl::host::Deadline;

use crate::verb::output::Tone;
use crate::verb::output::time::{milliseconds, span};

/// When a change on trial is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct DeadlineView {
    /// Whether it is undone already.
    passed: bool,
    /// The time until then.
    in_ms: Option<u64>,
}

impl From<Deadline> for DeadlineView {
    fn from(deadline: Deadline) -> Self {
        let in_ms = match deadline {
            Deadline::In(time) => Some(milliseconds(time)),
            Deadline::Passed => None,
        };
        Self {
            passed: in_ms.is_none(),
            in_ms,
        }
    }
}

impl fmt::Display for DeadlineView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let confirm = Tone::Heading.paint("sg-ctl confirm");
        match self.in_ms {
            Some(ms) => {
                let time = span(Duration::from_millis(ms));
                write!(f, "undone in {time}, unless you run {confirm}")
            }
            None => {
                f.write_str("the change before this one was not confirmed in time: it is undone")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verb::output::plain;

    #[test]
    fn a_change_that_was_not_confirmed_is_undone() {
        let passed = plain(&DeadlineView::from(Deadline::Passed));
        assert!(passed.contains("was not confirmed"), "{passed}");
    }
}
