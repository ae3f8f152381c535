//! `sg-ctl upgrade`.

use std::fmt;
use std::process::ExitCode;

use schemars::JsonSchema;
use serde::Serialize;
use sg_ctl::host::dataplane::Relocated;
use sg_ctl::host::{UpgradeSummary, Upgraded};

use crate::verb::output::time::milliseconds;
use crate::verb::output::{self, Tone};
use crate::verb::shared::Context;
use crate::verb::shared::arguments::Format;

/// What the help of `upgrade` says beyond the options.
const HELP: &str = "\
JSON: an object with these fields:
  build         version and digest of the programs of this sg-ctl
  interfaces    interface, replaced, before (build of the programs that it had, or null)
  flows         where the layout of the maps has changed: flows that were kept, late (opened while
                hooks changed, and judged again) and refused (without room); else null
  notes
  duration_ms

EXAMPLES:
    sg-ctl status     # warns of programs of another sg-ctl
    sg-ctl upgrade";

/// Replace the programs in the kernel by those of this sg-ctl.
///
/// A new sg-ctl goes on with the programs that the old one has loaded. This verb exchanges them, hook
/// by hook, each at one moment and without taking anything off: rules, flows, counters and settings
/// stay, and every packet is judged. Interfaces whose programs are those of this sg-ctl already are
/// left alone, so that it may be run after every installation. If the kernel refuses the new programs
/// nothing is changed. Where the new sg-ctl lays its maps out differently, flows are copied to new
/// maps; those opened in that moment are judged by the rules again, and counted; counters of packets
/// begin anew, and a change that waits to be confirmed is undone.
#[derive(clap::Args, Debug)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) format: Format,
}

/// Replaces programs that another sg-ctl has loaded.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let summary = context.host()?.upgrade()?;
    let view = UpgradeView::new(&summary);
    output::print_with_notes(&view, view.notes, args.format.json)?;
    Ok(ExitCode::SUCCESS)
}

/// Answer of `upgrade`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct UpgradeView<'a> {
    /// Version and digest of the programs of this sg-ctl.
    build: &'a str,
    interfaces: &'a [Upgraded],
    /// What became of the flows, where the layout of the maps has changed.
    flows: Option<Relocated>,
    notes: &'a [String],
    duration_ms: u64,
}

impl<'a> UpgradeView<'a> {
    fn new(summary: &'a UpgradeSummary) -> Self {
        Self {
            build: &summary.build,
            interfaces: &summary.interfaces,
            flows: summary.flows,
            notes: &summary.notes,
            duration_ms: milliseconds(summary.duration),
        }
    }
}

impl fmt::Display for UpgradeView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            build,
            interfaces,
            flows,
            ..
        } = self;
        if interfaces.is_empty() {
            return writeln!(f, "no interface is attached");
        }
        for each in *interfaces {
            let name = &each.interface;
            if !each.replaced {
                writeln!(f, "{name} has the programs of this sg-ctl ({build})")?;
                continue;
            }
            let replaced = Tone::Good.paint("has new programs");
            let before = each.before.as_deref().unwrap_or("unknown ones");
            writeln!(f, "{name} {replaced}: {build} in place of {before}")?;
        }
        if let Some(flows) = flows {
            let Relocated {
                kept,
                late,
                refused,
            } = flows;
            writeln!(
                f,
                "the maps are new: {kept} flows kept, {late} opened meanwhile, {refused} without room"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_interface_has_its_line() {
        let upgraded = |interface: &str, replaced, before: Option<&str>| Upgraded {
            interface: interface.to_owned(),
            replaced,
            before: before.map(str::to_owned),
        };
        let mut summary = UpgradeSummary {
            build: "2-b".to_owned(),
            interfaces: vec![
                upgraded("eth0", true, Some("1-a")),
                upgraded("eth1", true, None),
                upgraded("eth2", false, Some("2-b")),
            ],
            flows: None,
            notes: vec![],
            duration: Duration::ZERO,
        };
        let plain = |summary: &UpgradeSummary| {
            anstream::adapter::strip_str(&UpgradeView::new(summary).to_string()).to_string()
        };
        assert_eq!(
            plain(&summary),
            "eth0 has new programs: 2-b in place of 1-a\n\
             eth1 has new programs: 2-b in place of unknown ones\n\
             eth2 has the programs of this sg-ctl (2-b)\n"
        );
        let json = serde_json::to_value(UpgradeView::new(&summary)).expect("JSON");
        assert_eq!(json["interfaces"][0]["before"], "1-a");
        summary.flows = Some(Relocated {
            kept: 7,
            late: 1,
            refused: 0,
        });
        assert!(
            plain(&summary)
                .ends_with("the maps are new: 7 flows kept, 1 opened meanwhile, 0 without room\n")
        );
        summary.interfaces.clear();
        assert_eq!(plain(&summary), "no interface is attached\n");
    }
}
