//! `sg-ctl detach`.

use std::fmt;
use std::process::ExitCode;

use clap_complete::ArgValueCompleter;
use schemars::JsonSchema;
use serde::Serialize;
use sg_ctl::host::Target;

use crate::verb::output;
use crate::verb::shared::arguments::{DryRun, Format};
use crate::verb::shared::candidates::Named;
use crate::verb::shared::{Context, PENDING};

/// What the help of `detach` says beyond the options.
const HELP: &str = "\
JSON: an object with the field `detached`, the names of the interfaces

EXAMPLES:
    sg-ctl detach eth0
    sg-ctl detach --missing
    sg-ctl detach --all";

/// Stop guarding an interface.
///
/// Removes the programs from both directions of IFACE and forgets its flows: from then on every
/// packet passes. `--all` does so for every interface and works whatever state it finds; `--missing`
/// forgets those that are not there any more.
#[derive(clap::Args, Debug)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// The interface.
    #[arg(
        value_name = "IFACE",
        required_unless_present_any = ["all", "missing"],
        conflicts_with_all = ["all", "missing"],
        add = ArgValueCompleter::new(Named::Attached)
    )]
    pub(crate) interface: Option<String>,

    /// Detach every interface.
    #[arg(long)]
    pub(crate) all: bool,

    /// Forget every interface that is gone; it is not attached again when it returns.
    #[arg(long, conflicts_with = "all")]
    pub(crate) missing: bool,

    #[command(flatten)]
    pub(crate) dry_run: DryRun,

    #[command(flatten)]
    pub(crate) format: Format,
}

/// Takes one interface or all off guard.
pub(crate) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let target = match args.interface {
        Some(name) => Target::One(name),
        None if args.missing => Target::Missing,
        None => Target::All,
    };
    let is_dry = args.dry_run.dry_run;
    let mut host = context.host()?;
    let detached = if is_dry {
        host.would_detach(&target)?
    } else {
        host.detach(&target)?
    };
    let is_pending = is_dry && !detached.is_empty();
    let view = DetachView {
        is_dry,
        were_missing: target == Target::Missing,
        detached,
    };
    output::print(&view, args.format.json)?;
    Ok(if is_pending {
        ExitCode::from(PENDING)
    } else {
        ExitCode::SUCCESS
    })
}

/// Answer of `detach`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DetachView {
    /// Names of the interfaces.
    pub(crate) detached: Vec<String>,
    /// Whether they are those that were not there.
    #[serde(skip)]
    pub(crate) were_missing: bool,
    /// Whether that is only what would be done.
    #[serde(skip)]
    pub(crate) is_dry: bool,
}

impl fmt::Display for DetachView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.detached.is_empty() {
            let nothing = if self.were_missing {
                "no interface is missing"
            } else {
                "nothing was attached"
            };
            return writeln!(f, "{nothing}");
        }
        for interface in &self.detached {
            let text = match (self.were_missing, self.is_dry) {
                (true, false) => "is forgotten",
                (true, true) => "would be forgotten",
                (false, false) => "is detached: its packets pass unfiltered",
                (false, true) => "would be detached: its packets would pass unfiltered",
            };
            writeln!(f, "{interface} {text}")?;
        }
        Ok(())
    }
}
