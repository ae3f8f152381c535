//! The command line of `top`.

use std::time::Duration;

use clap::Args;
use clap_complete::ArgValueCompleter;

use crate::verb::Named;
use crate::verb::shared::value;

/// Below the long help.
const HELP: &str = "\
KEYS:
  1, 2, 3, 4   everything; verdicts by reason; flows; drops. Tab and Shift-Tab go round
  s            flows by bits or by packets per second
  p            pause: the picture stands still, and goes on with another p
  up, down     look further down in a long list (also k, j, and by pages)
  ?            help
  q            quit (also Esc and Ctrl-C)

WHAT IT SHOWS:
  Rates are those of the last interval, of packets on this interface and frames from the Ethernet
  header on. PASS/S and BIT/S are what passes, DROP/S what is dropped, AUDIT/S what passes only
  because the interface audits. PASSED and DROPPED count since attach.
  Drops are counted all. Those that are listed are read along in the log of the interface, without
  taking anything from `sg-ctl logs` or the agent; where `log:` leaves drops out there are none.
  When nobody takes events out and the log is more than half full, the oldest make room for new
  ones while the view is open or --json goes on; --once takes nothing.

JSON: one object per interval, in one line, with these fields:
  time, seconds (that rates are of), policy (generation, or null),
  flow_table (live, room; or null), events_lost (since attach), problems (interface, text),
  interfaces  name, state, log, events_lost, inbound and outbound: passed, dropped and audited, each
              with packets, bytes, packets_per_second, bits_per_second;
              reasons: direction, verdict, reason and the same four
  flows       the fields of `sg-ctl flows`, in and out: packets_per_second, bits_per_second
  drops       the latest first: the fields of `sg-ctl logs`

EXAMPLES:
    sg-ctl top
    sg-ctl top --interface eth0 --interval 5s
    sg-ctl top --once --top 20
    sg-ctl top --json | jq '.interfaces[] | {name, drops: .inbound.dropped.packets_per_second}'";

/// Watch interfaces, verdicts, flows and drops.
///
/// A view of the terminal that is drawn anew at each interval: packets that pass and are dropped by
/// interface and direction, the flows that carry most, the latest drops, and how full the flow table
/// is. When standard output is no terminal it prints one picture as text, as with --once.
#[derive(Args, Debug)]
#[command(after_long_help = HELP)]
pub(crate) struct TopArgs {
    /// Only this interface.
    #[arg(short, long, value_name = "IFACE", add = ArgValueCompleter::new(Named::Attached))]
    pub(crate) interface: Option<String>,

    /// Time between two pictures, which rates are of: 1s, 10s, 1m.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = value::time)]
    pub(crate) interval: Duration,

    /// Print one picture as text, after one interval, and end.
    #[arg(long)]
    pub(crate) once: bool,

    /// With --once and --json: only the first N flows, and the latest N drops.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) top: usize,

    /// Print one JSON object per interval, until interrupted.
    #[arg(long)]
    pub(crate) json: bool,
}
