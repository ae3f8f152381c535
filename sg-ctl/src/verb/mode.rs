//! `sg-ctl mode`.

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;
use clap_complete::ArgValueCompleter;
use schemars::JsonSchema;
use serde::Serialize;
use sg_ctl::host::{Deadline, SshConnection};

use crate::verb::output::deadline::DeadlineView;
use crate::verb::output::{self, Tone};
use crate::verb::shared::Context;
use crate::verb::shared::arguments::{Format, Trial};
use crate::verb::shared::candidates::Named;

/// What the help of `mode` says beyond the options.
const HELP: &str = "\
JSON: an object with the fields interface, mode, deadline (passed and in_ms, or null) and notes

EXAMPLES:
  Look first, then enforce, with a way back if that was a mistake:
    sg-ctl attach eth0 --group web -f web.yaml --audit
    sg-ctl logs -f --denied
    sg-ctl mode eth0 enforce --confirm-within 60s
    sg-ctl confirm";

/// Make a guarded interface enforce, or only audit.
///
/// An interface that audits judges, counts and logs, but drops nothing. The mode set here wins over
/// that of rule files, until the interface is detached.
#[derive(clap::Args, Debug)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// The interface.
    #[arg(value_name = "IFACE", add = ArgValueCompleter::new(Named::Attached))]
    pub(crate) interface: String,

    /// What it is to do.
    #[arg(value_enum, value_name = "MODE")]
    pub(crate) mode: Mode,

    #[command(flatten)]
    pub(crate) trial: Trial,

    #[command(flatten)]
    pub(crate) format: Format,
}

/// Whether verdicts are carried out.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Judge and log, but drop nothing.
    Audit,
    /// Carry verdicts out.
    Enforce,
}

/// Makes an interface enforce, or only audit.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let audit = args.mode == Mode::Audit;
    let confirm_within = args.trial.confirm_within;
    let ssh = SshConnection::current();
    let notes = context
        .host()?
        .set_mode(&args.interface, audit, confirm_within, ssh)?;
    let view = ModeView::new(&args.interface, audit, confirm_within, notes);
    output::print_with_notes(&view, view.notes(), args.format.json)?;
    Ok(ExitCode::SUCCESS)
}

/// Answer of `mode`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ModeView<'a> {
    interface: &'a str,
    #[schemars(extend("enum" = ["enforce", "audit"]))]
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
        output::last_line(f, self.deadline.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verb::output::plain;

    #[test]
    fn a_trial_tells_how_long_it_lasts_and_how_it_ends() {
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
}
