//! `sg-ctl console`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::ValueHint;
use sg_ctl::api::console::make_link;
use sg_ctl::api::keys::{Key, Keys};

use crate::failure::refusal;
use crate::verb::output;
use crate::verb::shared::Context;

/// What the help of `console` says beyond the options.
const HELP: &str = "\
EXAMPLES:
  On the host, for a browser there or at the other end of `ssh -L 8790:127.0.0.1:8790 HOST`:
    sg-ctl console

  Where the console has another address:
    sg-ctl console --url https://sg.example.net:8790

  Set the AWS CLI of this account up with the first key:
    sg-ctl console --key | sh";

/// Print a link that signs a browser in to the console, or the key for clients.
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

    /// Print the first key that may change rules, as commands for the AWS CLI, in place of a link. Its
    /// secret is among them.
    #[arg(long)]
    pub(crate) key: bool,

    /// File of the keys; `keys.json` of the state directory unless given.
    #[arg(long, value_name = "FILE", requires = "key", value_hint = ValueHint::FilePath)]
    pub(crate) keys: Option<PathBuf>,
}

/// Prints a link that works once, or a key.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let state = &context.paths.state;
    if args.key {
        let file = args.keys.clone();
        let keys = Keys::load(&file.unwrap_or_else(|| state.join("keys.json")));
        let keys = keys.map_err(|error| {
            refusal(
                error.to_string(),
                "`sg-ctl serve` makes the first key when it starts",
            )
        })?;
        let key = keys.first().context("the file has no key")?;
        output::text(format_args!("{}\n", configure(key, &args.url)))?;
        return Ok(ExitCode::SUCCESS);
    }
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

/// The commands that set the AWS CLI up with a key.
pub(super) fn configure(key: &Key, url: &str) -> String {
    let set = |what: &str, value: &str| format!("  aws configure set {what} {value} --profile sg");
    let lines = [
        set("aws_access_key_id", &key.id),
        set("aws_secret_access_key", &key.secret),
        set("endpoint_url", url),
    ];
    lines.join("\n")
}
