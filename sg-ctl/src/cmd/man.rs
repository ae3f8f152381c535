//! `sg-ctl man`.

use std::fs;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_mangen::Man;

use crate::cli::{Cli, ManArgs};
use crate::output;

/// Prints the page of sg-ctl, or writes the pages of all verbs.
pub(crate) fn run(args: &ManArgs) -> anyhow::Result<ExitCode> {
    if let Some(directory) = &args.directory {
        fs::create_dir_all(directory)
            .and_then(|()| clap_mangen::generate_to(Cli::command(), directory))
            .with_context(|| format!("cannot write manual pages to {}", directory.display()))?;
    } else {
        let mut page = Vec::new();
        Man::new(Cli::command().disable_help_subcommand(true)).render(&mut page)?;
        output::text(String::from_utf8_lossy(&page))?;
    }
    Ok(ExitCode::SUCCESS)
}
