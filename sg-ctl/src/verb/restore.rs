//! `sg-ctl restore`.

use std::process::ExitCode;

use clap_complete::ArgValueCompleter;
use schemars::JsonSchema;
use serde::Serialize;
use sg_ctl::host::Restored;

use crate::verb::output::{self, Tone, note};
use crate::verb::shared::arguments::{DryRun, Format};
use crate::verb::shared::candidates::Named;
use crate::verb::shared::{Context, PENDING};

/// What the help of `restore` says beyond the options.
const HELP: &str = "\
JSON: an array of objects with the fields interface, result (attached, due, intact, missing,
failed; due only with --dry-run), error and note (text, or null)

EXIT STATUS:
  0 everything that is there is guarded; 1 or 2 an interface could not be attached;
  3 with --dry-run: a change is pending

EXAMPLES:
    sg-ctl restore";

/// Attach again what was attached.
///
/// After a reboot brings the last applied state back in force: attaches every interface that was
/// attached, as it was, with the rules that were in force. Does the same for an interface that
/// went away and came back under its name. What is in order is left alone; interfaces that are not
/// there are named, and wait for the next `restore`.
#[derive(clap::Args, Debug)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// Only these interfaces; without a name every one that was attached.
    #[arg(value_name = "IFACE", add = ArgValueCompleter::new(Named::Attached))]
    pub(crate) interfaces: Vec<String>,

    #[command(flatten)]
    pub(crate) dry_run: DryRun,

    #[command(flatten)]
    pub(crate) format: Format,
}

/// Attaches again what was attached. Fails, after it has tried all, with the first failure.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let is_dry = args.dry_run.dry_run;
    let mut host = context.host()?;
    let summary = if is_dry {
        host.would_restore(&args.interfaces)?
    } else {
        host.restore(&args.interfaces)?
    };
    let views: Vec<_> = summary.interfaces.iter().map(RestoredView::new).collect();
    if args.format.json {
        output::json(&views)?;
    } else if views.is_empty() {
        note("no interface was attached");
    } else {
        output::text(RestoredView::lines(&views))?;
    }
    let is_due = |(_, restored): &(String, Restored)| matches!(restored, Restored::Due);
    if summary.interfaces.iter().any(is_due) {
        return Ok(ExitCode::from(PENDING));
    }
    for (name, restored) in summary.interfaces {
        if let Restored::Failed(error) = restored {
            return Err(anyhow::Error::from(error).context(format!("cannot attach to {name}")));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What became of one interface.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RestoredView<'a> {
    interface: &'a str,
    #[schemars(extend("enum" = ["attached", "due", "intact", "missing", "failed"]))]
    result: &'static str,
    error: Option<String>,
    note: Option<String>,
}

impl<'a> RestoredView<'a> {
    /// The view of what was done.
    pub(crate) fn new((interface, restored): &'a (String, Restored)) -> Self {
        let (result, error, note) = match restored {
            Restored::Due => ("due", None, None),
            Restored::Attached(_) => ("attached", None, None),
            Restored::Intact(guard) => ("intact", None, guard.fault()),
            Restored::Missing => ("missing", None, None),
            Restored::Failed(error) => ("failed", Some(error.to_string()), None),
        };
        Self {
            interface,
            result,
            error,
            note,
        }
    }

    /// A line for each interface.
    pub(crate) fn lines(views: &[Self]) -> String {
        let line = |view: &Self| {
            let text = match view.result {
                "attached" => Tone::Good.paint("is guarded again"),
                "due" => Tone::Notable.paint("would be guarded again"),
                "intact" => match &view.note {
                    Some(note) => Tone::Notable.paint(format_args!("is attached, but {note}")),
                    None => "is guarded".to_owned(),
                },
                "missing" => Tone::Notable.paint("is not there; it waits"),
                _ => Tone::Bad.paint("is not guarded"),
            };
            [view.interface, " ", &text, "\n"].concat()
        };
        views.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use sg_ctl::host::{Guard, HostError};

    use super::*;

    #[test]
    fn every_interface_has_its_line() {
        let results = [
            ("eth0".to_owned(), Restored::Intact(Guard::Whole)),
            ("eth1".to_owned(), Restored::Missing),
            ("eth2".to_owned(), Restored::Failed(HostError::NoPrevious)),
        ];
        let views: Vec<_> = results.iter().map(RestoredView::new).collect();
        let lines = RestoredView::lines(&views);
        assert_eq!(
            anstream::adapter::strip_str(&lines).to_string(),
            "eth0 is guarded\n\
             eth1 is not there; it waits\n\
             eth2 is not guarded\n"
        );
        let json = serde_json::to_value(&views).expect("JSON");
        assert_eq!(json[1]["result"], "missing");
        assert!(json[2]["error"].is_string());
    }
}
