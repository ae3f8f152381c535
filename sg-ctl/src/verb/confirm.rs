//! `sg-ctl confirm`.

use std::fmt;
use std::process::ExitCode;

use clap_complete::ArgValueCompleter;
use schemars::JsonSchema;
use serde::Serialize;

use crate::verb::output;
use crate::verb::shared::Context;
use crate::verb::shared::arguments::Format;
use crate::verb::shared::candidates::Named;

/// What the help of `confirm` says beyond the options.
const HELP: &str = "\
JSON: an object with the field `confirmed`, the names of the interfaces that waited for it

EXAMPLES:
    sg-ctl apply -f web.yaml --confirm-within 60s
    sg-ctl confirm";

/// Keep a change that was made with --confirm-within.
///
/// Takes the deadline away. Once it has passed, the change is undone, and there is nothing left to
/// keep: make it again. `sg-ctl status` shows what waits to be confirmed, and for how long.
#[derive(clap::Args, Debug)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// Only these interfaces; without a name every one that waits.
    #[arg(value_name = "IFACE", add = ArgValueCompleter::new(Named::Attached))]
    pub(crate) interfaces: Vec<String>,

    #[command(flatten)]
    pub(crate) format: Format,
}

/// Keeps what is on trial.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let (confirmed, notes) = context.host()?.confirm(&args.interfaces)?;
    let view = ConfirmView { confirmed, notes };
    output::print_with_notes(&view, &view.notes, args.format.json)?;
    Ok(ExitCode::SUCCESS)
}

/// Answer of `confirm`.
#[derive(Debug, Serialize, JsonSchema)]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verb::output::plain;

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
