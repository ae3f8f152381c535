//! `cargo xtask demo`: sg at work between namespaces.

use std::path::PathBuf;

use anyhow::Result;

/// What the demo works with.
pub(crate) struct DemoArgs {
    /// Leave the network and the rules in place.
    pub(crate) keep: bool,
    /// The program to show.
    pub(crate) sg_ctl: PathBuf,
}

/// Runs the demo, as root.
pub(crate) fn run(arguments: &DemoArgs) -> Result<()> {
    anyhow::bail!(
        "no demo yet for {} {}",
        arguments.sg_ctl.display(),
        arguments.keep
    );
}
