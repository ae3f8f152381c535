//! What commands about changes on trial say when they are done.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use sg_ctl::host::Deadline;

use crate::verb::output::Tone;
use crate::verb::output::time::span;

/// When a change on trial is undone. The names of the fields are those of the JSON
/// form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct DeadlineView {
    /// Whether it is undone already.
    passed: bool,
    /// The time until then.
    in_ms: Option<u64>,
}

impl From<Deadline> for DeadlineView {
    fn from(deadline: Deadline) -> Self {
        let in_ms = match deadline {
            Deadline::In(time) => Some(time.as_millis() as u64),
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

/// Answer of `confirm`. The names of the fields are those of the JSON form.
#[derive(Debug, Serialize)]
pub(crate) struct ConfirmView {
    /// Names of the interfaces.
    pub(crate) confirmed: Vec<String>,
    /// What else the user should know.
    pub(crate) notes: Vec<String>,
}

impl fmt::Display for ConfirmView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.confirmed.is_empty() {
            return writeln!(f, "nothing waits to be confirmed");
        }
        writeln!(f, "confirmed: {}", self.confirmed.join(", "))
    }
}

/// Answer of `mode`. The names of the fields are those of the JSON form.
#[derive(Debug, Serialize)]
pub(crate) struct ModeView<'a> {
    interface: &'a str,
    mode: &'static str,
    deadline: Option<DeadlineView>,
    notes: Vec<String>,
}

impl<'a> ModeView<'a> {
    /// The view of what was done.
    pub(crate) fn new(
        interface: &'a str,
        audit: bool,
        confirm_within: Option<Duration>,
        notes: Vec<String>,
    ) -> Self {
        Self {
            interface,
            mode: if audit { "audit" } else { "enforce" },
            deadline: confirm_within.map(|after| Deadline::In(after).into()),
            notes,
        }
    }

    /// What else the user should know.
    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }
}

impl fmt::Display for ModeView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.mode == "audit" {
            let audits = Tone::Notable.paint("only audits");
            writeln!(f, "{} {audits}: nothing is dropped", self.interface)?;
        } else {
            let enforces = Tone::Good.paint("enforces");
            writeln!(f, "{} {enforces} its rules", self.interface)?;
        }
        match &self.deadline {
            Some(deadline) => writeln!(f, "{deadline}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(view: &impl fmt::Display) -> String {
        anstream::adapter::strip_str(&view.to_string()).to_string()
    }

    #[test]
    fn a_trial_tells_how_long_it_lasts_and_how_it_ends() {
        let passed = plain(&DeadlineView::from(Deadline::Passed));
        assert!(passed.contains("was not confirmed"), "{passed}");
        let minute = Some(Duration::from_mins(1));
        assert_eq!(
            plain(&ModeView::new("eth0", false, minute, vec![])),
            "eth0 enforces its rules\n\
             undone in 1m00s, unless you run sg-ctl confirm\n"
        );
        assert_eq!(
            plain(&ModeView::new("eth0", true, None, vec![])),
            "eth0 only audits: nothing is dropped\n"
        );
    }

    #[test]
    fn confirm_names_what_it_confirmed() {
        let confirmed = vec!["eth0".to_owned(), "eth1".to_owned()];
        let view = |confirmed| ConfirmView {
            confirmed,
            notes: vec![],
        };
        assert_eq!(plain(&view(confirmed)), "confirmed: eth0, eth1\n");
        let nothing = view(vec![]);
        assert_eq!(plain(&nothing), "nothing waits to be confirmed\n");
    }
}
