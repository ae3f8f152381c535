//! `cargo xtask demo`: sg at work between namespaces.

use std::{ffi::OsString, path::PathBuf};

use anyhow::Result;

/// Options of the demo.
#[derive(clap::Args)]
pub(crate) struct DemoArgs {
    /// Leave the network and the rules in place, to play with.
    #[arg(long)]
    pub(crate) keep: bool,

    /// A ready sg-ctl: neither set-up nor build.
    #[arg(long, hide = true, value_name = "FILE")]
    pub(crate) sg_ctl: Option<PathBuf>,
}

impl DemoArgs {
    /// Returns the options as they would be typed.
    pub(crate) fn to_command_line(&self) -> Vec<OsString> {
        let mut words = Vec::new();
        if self.keep {
            words.push("--keep".into());
        }
        if let Some(sg_ctl) = &self.sg_ctl {
            words.extend(["--sg-ctl".into(), sg_ctl.into()]);
        }
        words
    }
}

/// Runs the demo, as root.
pub(crate) fn run(arguments: &DemoArgs) -> Result<()> {
    anyhow::bail!("no demo yet for {:?}", arguments.sg_ctl);
}
