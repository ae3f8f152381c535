//! `sg-ctl console`.

use std::process::ExitCode;

use anyhow::Context as _;
use sg_ctl::api::console::make_link;

use crate::verb::output;
use crate::verb::shared::Context;

/// What the help of `console` says beyond the options.
const HELP: &str = "\
EXAMPLES:
  On the host, for a browser there or at the other end of `ssh -L 8790:127.0.0.1:8790 HOST`:
    sg-ctl console

  Where the console has another address:
    sg-ctl console --url https://sg.example.net:8790";

/// Print a link that signs a browser in to the console, once.
///
/// `sg-ctl serve` shows a console at its address: groups, a rule editor, interfaces, traffic. One signs in
/// there with the id and the secret of a key, or with this link, which needs none: whoever may read the
/// state directory may do what the first key may. It works for 30 seconds, and a new one ends the one
/// before.
#[derive(clap::Args, Debug)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// Where the console is.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8790")]
    pub(crate) url: String,
}

/// Prints a link that works once.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
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
