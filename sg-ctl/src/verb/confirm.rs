//! `sg-ctl confirm`.

use std::fmt;
use std::process::ExitCode;

use clap_complete::ArgValueCompleter;
use schemars::JsonSchema;
use serde::Serialize;
use sg_ctl::host::HostError;

use crate::verb::output;
use crate::verb::shared::Context;
use crate::verb::shared::arguments::Format;
use crate::verb::shared::candidates::Named;
use crate::verb::vpc;

/// What the help of `confirm` says beyond the options.
const HELP: &str = "\
JSON: an object with the fields `confirmed`, the names of the interfaces that waited for it, and
`revision`, that of the rules of the VPC if they waited, or null

EXAMPLES:
    sg-ctl apply -f web.yaml --confirm-within 60s
    sg-ctl confirm";

/// Keep a change that was made with --confirm-within.
///
/// Takes the deadline away. Once it has passed, the change is undone, and there is nothing left to
/// keep: make it again. `sg-ctl status` shows what waits to be confirmed, and for how long. Rules of a
/// VPC are kept for all of its hosts, by whoever may change them.
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
    let joined = context.vpc()?.filter(|_| args.interfaces.is_empty());
    let here = context.host()?.confirm(&args.interfaces);
    // What waits on this host alone needs no etcd.
    let may_wait_elsewhere = match &here {
        Ok((confirmed, _)) => confirmed.is_empty(),
        Err(error) => matches!(error, HostError::VpcOnTrial | HostError::TooLate { .. }),
    };
    let mut view = ConfirmView::default();
    if let Some(joined) = joined.filter(|_| may_wait_elsewhere) {
        view.revision = vpc::confirm(joined)?;
    }
    match here {
        Err(HostError::VpcOnTrial) if args.interfaces.is_empty() => {}
        Err(HostError::TooLate { .. }) if view.revision.is_some() => {}
        here => (view.confirmed, view.notes) = here?,
    }
    output::print_with_notes(&view, &view.notes, args.format.json)?;
    Ok(ExitCode::SUCCESS)
}

/// Answer of `confirm`.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct ConfirmView {
    /// Names of the interfaces.
    pub(crate) confirmed: Vec<String>,
    /// The revision of the rules of the VPC that were confirmed; null when it was none.
    pub(crate) revision: Option<u64>,
    /// What else the user should know.
    pub(crate) notes: Vec<String>,
}

impl fmt::Display for ConfirmView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(revision) = self.revision {
            return writeln!(
                f,
                "confirmed: the rules of the VPC, now of revision {revision}"
            );
        }
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
            ..ConfirmView::default()
        };
        assert_eq!(plain(&view(confirmed)), "confirmed: eth0, eth1\n");
        let nothing = view(vec![]);
        assert_eq!(plain(&nothing), "nothing waits to be confirmed\n");
        let of_a_vpc = ConfirmView {
            revision: Some(9),
            ..nothing
        };
        assert_eq!(
            plain(&of_a_vpc),
            "confirmed: the rules of the VPC, now of revision 9\n"
        );
    }
}
