//! `sg-ctl console`.

use std::process::ExitCode;

use anyhow::Context as _;
use sg_ctl::api::console::make_link;

use crate::verb::shared::Context;
use crate::verb::{ConsoleArgs, output};

/// Prints a link that works once.
pub(crate) fn run(args: &ConsoleArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let state = &context.paths.state;
    let link =
        link(&args.url, state).with_context(|| format!("cannot write to {}", state.display()))?;
    output::text(format_args!("{link}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// The link, at the address of a console whose state directory this is.
pub(super) fn link(url: &str, state: &std::path::Path) -> std::io::Result<String> {
    let token = make_link(state)?;
    Ok(format!(
        "{}/sign-in?link={token}",
        url.trim_end_matches('/')
    ))
}
