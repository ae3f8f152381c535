//! `sg-ctl audit`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use sg_ctl::api::audit::{Entry, read};

use crate::verb::output::table::Table;
use crate::verb::shared::arguments::Format;
use crate::verb::shared::{Context, print_list, value};

/// What the help of `audit` says beyond the options.
const HELP: &str = "\
JSON: an array of objects with these fields:
  time, name and key (whose), address, agent (what the client calls itself), action, parameters,
  request (id of the answer), result (ok, or the code of the refusal), message, before and after
  (revisions), added and removed (rules: id to words), groups (id to name)

EXAMPLES:
  Who opened this rule?
    sg-ctl audit --rule sgr-0123456789abcdef0

  What happened to the group web in the last hour?
    sg-ctl audit --group web --since 1h";

/// Tell who changed rules over the API, and who was refused.
///
/// Reads the audit log of the state directory: one entry for each call that changed something or was to.
#[derive(clap::Args, Debug)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// Only what made, changed or removed this rule, by id.
    #[arg(long, value_name = "ID")]
    pub(crate) rule: Option<String>,

    /// Only what touched this group, by id or name.
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<String>,

    /// Only calls of this key, by its name or id.
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,

    /// Only calls of the last 5m, 2h.
    #[arg(long, value_name = "TIME", value_parser = value::time)]
    pub(crate) since: Option<Duration>,

    /// Only calls that were refused.
    #[arg(long)]
    pub(crate) refused: bool,

    #[command(flatten)]
    pub(crate) format: Format,
}

/// Tells who changed rules over the API.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let directory = &context.paths.state;
    let mut entries = read(directory)
        .with_context(|| format!("cannot read the audit log in {}", directory.display()))?;
    let begin = args.since.map(begin);
    entries.retain(|entry| is_wanted(entry, args, begin.as_deref()));
    print_list(&entries, args.format.json, "no such calls", table)?;
    Ok(ExitCode::SUCCESS)
}

/// The time so long ago, as entries write it.
fn begin(since: Duration) -> String {
    let now = jiff::Timestamp::now();
    let then = now.checked_sub(since).unwrap_or(now);
    then.strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

fn is_wanted(entry: &Entry, args: &Args, begin: Option<&str>) -> bool {
    let names = |id: &String| entry.parameters.values().any(|value| value == id);
    let rule =
        |id: &String| entry.added.contains_key(id) || entry.removed.contains_key(id) || names(id);
    let group = |group: &String| {
        entry
            .groups
            .iter()
            .any(|(id, name)| id == group || name == group)
            || names(group)
    };
    args.rule.as_ref().is_none_or(rule)
        && args.group.as_ref().is_none_or(group)
        && args
            .key
            .as_ref()
            .is_none_or(|key| entry.name == *key || entry.key == *key)
        && begin.is_none_or(|begin| entry.time.as_str() >= begin)
        && (!args.refused || entry.result != "ok")
}

fn table(entries: &[Entry]) -> Table {
    let mut table = Table::new(&["TIME", "KEY", "FROM", "ACTION", "RESULT", "WHAT"]);
    for entry in entries {
        let from = entry.address.map(|address| address.to_string());
        table.push([
            entry.time.split('.').next().unwrap_or_default().to_owned(),
            entry.name.clone(),
            from.unwrap_or_else(|| "-".to_owned()),
            entry.action.clone(),
            entry.result.clone(),
            what(entry),
        ]);
    }
    table
}

/// What changed, in a few words.
fn what(entry: &Entry) -> String {
    const SHOWN: usize = 3;
    let added = entry
        .added
        .iter()
        .map(|(id, words)| format!("+{id} {words}"));
    let removed = entry
        .removed
        .iter()
        .map(|(id, words)| format!("-{id} {words}"));
    let all: Vec<String> = added.chain(removed).collect();
    if all.is_empty() {
        let groups: Vec<_> = entry.groups.values().cloned().collect();
        return if groups.is_empty() {
            entry.message.clone()
        } else {
            groups.join(", ")
        };
    }
    let shown = all[..all.len().min(SHOWN)].join("; ");
    match all.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}
