//! `sg-ctl isolate`.

use std::fmt;
use std::process::ExitCode;

use clap_complete::ArgValueCompleter;
use schemars::JsonSchema;
use serde::Serialize;
use sg_ctl::host::state::SshPeer;
use sg_ctl::host::{IsolateRequest, IsolateSummary, SshConnection};

use crate::verb::output::time::milliseconds;
use crate::verb::output::{self, Tone, counted};
use crate::verb::shared::arguments::Format;
use crate::verb::shared::candidates::Named;
use crate::verb::shared::{Context, PENDING};

/// What the help of `isolate` says beyond the options.
const HELP: &str = "\
JSON: an object with these fields:
  applied      false with --dry-run
  interface, isolated (whether it is cut off now), changed, flows_cut (live flows that ended),
  kept         client and port of the SSH client that is admitted all the same, or null
  duration_ms

EXIT STATUS:
  0 done; with --dry-run: nothing would change
  3 with --dry-run: a change is pending
  1 refused, or bad input; 2 system error

EXAMPLES:
  A workload is suspected: nobody speaks to it or hears from it, its memory stays to be looked at:
    sg-ctl isolate tap0
    sg-ctl isolate tap0 --release

  This host is suspected, and you are logged in through eth0:
    sg-ctl isolate eth0 --keep-ssh";

/// Cut an interface off, or give it back its groups.
///
/// Takes every group from a guarded interface and ends its live flows, at one moment: removed rules
/// alone would leave tracked connections alive, as on AWS. Infrastructure (ARP, neighbour discovery,
/// DHCP: `sg-ctl show infra`) passes as before. It holds in audit mode and past the deadline of
/// --confirm-within, through `apply`, `rollback` and a reboot, until it is released; `detach` ends it.
/// If your own SSH connection comes in by the interface, nothing is done
/// unless --keep-ssh or --cut-ssh says what becomes of it.
#[derive(clap::Args, Debug)]
#[command(after_long_help = HELP)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub(crate) struct Args {
    /// The interface.
    #[arg(value_name = "IFACE", add = ArgValueCompleter::new(Named::Attached))]
    pub(crate) interface: String,

    /// Give the interface back its groups and its mode. What was cut must connect anew.
    #[arg(long)]
    pub(crate) release: bool,

    /// Keep the SSH connection, and admit its client until the interface is released.
    #[arg(long, conflicts_with = "release")]
    pub(crate) keep_ssh: bool,

    /// Isolate the interface even if that cuts the SSH connection.
    #[arg(long, conflicts_with_all = ["release", "keep_ssh"])]
    pub(crate) cut_ssh: bool,

    /// Tell what would be cut, and change nothing. Exit status 0: no change; 3: a change is pending.
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) format: Format,
}

/// Cuts an interface off, or gives it back what it had.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let request = if args.release {
        IsolateRequest::Release
    } else {
        IsolateRequest::Isolate {
            ssh: SshConnection::current(),
            keep: match (args.keep_ssh, args.cut_ssh) {
                (true, _) => Some(true),
                (_, true) => Some(false),
                _ => None,
            },
        }
    };
    let mut host = context.host()?;
    let summary = if args.dry_run {
        host.would_isolate(&args.interface, &request)?
    } else {
        host.isolate(&args.interface, &request)?
    };
    let view = IsolateView::new(&summary, !args.dry_run);
    output::print_with_notes(&view, view.notes, args.format.json)?;
    Ok(if args.dry_run && summary.changed {
        ExitCode::from(PENDING)
    } else {
        ExitCode::SUCCESS
    })
}

/// Answer of `isolate`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct IsolateView<'a> {
    applied: bool,
    interface: &'a str,
    /// Whether it is cut off now, or would be.
    isolated: bool,
    changed: bool,
    /// Live flows that ended.
    flows_cut: usize,
    /// The SSH client that is admitted all the same.
    kept: Option<SshPeer>,
    notes: &'a [String],
    duration_ms: u64,
}

impl<'a> IsolateView<'a> {
    /// The view of what was done, or would be.
    pub(crate) fn new(summary: &'a IsolateSummary, applied: bool) -> Self {
        Self {
            applied,
            interface: &summary.interface,
            isolated: summary.isolated,
            changed: summary.changed,
            flows_cut: summary.flows_cut,
            kept: summary.kept,
            notes: &summary.notes,
            duration_ms: milliseconds(summary.duration),
        }
    }
}

impl fmt::Display for IsolateView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            interface,
            isolated,
            flows_cut,
            kept,
            ..
        } = self;
        let would = if self.applied { "is" } else { "would be" };
        if !isolated {
            let released = Tone::Good.paint("guarded by its groups again");
            return writeln!(f, "{interface} {would} {released}");
        }
        let cut_off = Tone::Notable.paint("isolated");
        writeln!(
            f,
            "{interface} {would} {cut_off}: {} cut",
            counted(*flows_cut as u64, "flow")
        )?;
        if let Some(peer) = kept {
            writeln!(
                f,
                "admitted all the same: {} to port {}",
                peer.client, peer.port
            )?;
        }
        writeln!(f, "sg-ctl isolate {interface} --release ends it")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sg_ctl::host::state::SshPeer;

    use super::*;

    fn plain(summary: &IsolateSummary, applied: bool) -> String {
        let text = IsolateView::new(summary, applied).to_string();
        anstream::adapter::strip_str(&text).to_string()
    }

    #[test]
    fn it_tells_what_was_cut_and_how_it_ends() {
        let mut summary = IsolateSummary {
            interface: "eth0".to_owned(),
            isolated: true,
            changed: true,
            flows_cut: 1,
            kept: Some(SshPeer {
                client: [203, 0, 113, 7].into(),
                port: 22,
            }),
            notes: vec![],
            duration: Duration::ZERO,
        };
        assert_eq!(
            plain(&summary, true),
            "eth0 is isolated: 1 flow cut\n\
             admitted all the same: 203.0.113.7 to port 22\n\
             sg-ctl isolate eth0 --release ends it\n"
        );
        let json = serde_json::to_value(IsolateView::new(&summary, false)).expect("JSON");
        assert_eq!(
            (&json["applied"], &json["flows_cut"]),
            (&false.into(), &1.into())
        );
        summary.isolated = false;
        assert_eq!(
            plain(&summary, false),
            "eth0 would be guarded by its groups again\n"
        );
    }
}
