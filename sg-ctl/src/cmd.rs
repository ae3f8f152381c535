//! The verbs, one file each, each with one function `run`. Only `main` calls them.

pub(crate) mod adopt;
pub(crate) mod agent;
pub(crate) mod apply;
pub(crate) mod attach;
pub(crate) mod audit;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod confirm;
pub(crate) mod console;
pub(crate) mod detach;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod flows;
pub(crate) mod import;
pub(crate) mod isolate;
pub(crate) mod logs;
pub(crate) mod man;
pub(crate) mod mode;
pub(crate) mod replay;
pub(crate) mod restore;
pub(crate) mod rollback;
mod rule_files;
pub(crate) mod schema;
pub(crate) mod serve;
pub(crate) mod show;
pub(crate) mod status;
mod stop;
pub(crate) mod templates;
pub(crate) mod test;
pub(crate) mod top;
pub(crate) mod upgrade;
pub(crate) mod vpc;

use std::collections::BTreeMap;

use serde::Serialize;
use sg_ctl::host::paths::Paths;
use sg_ctl::host::state::{State, StateError};
use sg_ctl::host::{Host, HostError, SshConnection, WayIn};

use sg_ctl::vpc::joined::Joined;

use crate::cli::{Global, KeepSsh};
use crate::output::names::Names;
use crate::output::table::Table;
use crate::output::{self, note};

/// Exit status of a dry run that found something to change.
const PENDING: u8 = 3;

/// What every verb is given besides its own options.
#[derive(Debug)]
pub(crate) struct Context {
    paths: Paths,
    verbose: bool,
}

impl Context {
    /// The context that the command line asks for.
    pub(crate) fn new(global: Global) -> Self {
        Self {
            paths: Paths {
                state: global.state_dir,
                pins: global.pin_dir,
            },
            verbose: global.verbose,
        }
    }

    /// The VPC that this host belongs to.
    fn vpc(&self) -> Result<Option<Joined>, HostError> {
        joined(&self.paths)
    }

    fn host(&self) -> Result<Host, HostError> {
        Host::open(&self.paths)
    }
}

/// The VPC that the host of these paths belongs to.
fn joined(paths: &Paths) -> Result<Option<Joined>, HostError> {
    Joined::load(&paths.state).map_err(|source| {
        HostError::from(StateError::Io {
            action: "read to which VPC this host belongs from",
            path: paths.state.clone(),
            source,
        })
    })
}

/// How the user comes in.
fn way_in(keep: KeepSsh) -> WayIn {
    WayIn {
        ssh: SshConnection::current(),
        keep: keep.keep_ssh,
    }
}

/// Prints a list; an empty one says so beside the data.
fn print_list<V: Serialize>(
    views: &[V],
    json: bool,
    nothing: &str,
    table: impl FnOnce(&[V]) -> Table,
) -> anyhow::Result<()> {
    if json {
        output::json(&views)?;
    } else if views.is_empty() {
        note(nothing);
    } else {
        output::text(table(views))?;
    }
    Ok(())
}

/// Names for what the programs report.
fn names(host: &Host, state: State) -> Result<Names, HostError> {
    let mut interfaces = BTreeMap::new();
    for (name, record) in state.attachments {
        let ifindex = host.dataplane().settings(record.zone)?.ifindex;
        interfaces.insert(record.zone, (name, ifindex));
    }
    Ok(Names::new(state.numbers, interfaces))
}

/// Refuses an interface to filter by that is not attached.
fn check_attached(state: &State, interface: Option<&str>) -> Result<(), HostError> {
    match interface {
        Some(name) if !state.attachments.contains_key(name) => {
            Err(HostError::not_attached(name, state))
        }
        _ => Ok(()),
    }
}
