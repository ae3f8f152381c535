//! What several verbs share: the context they run in, and how they read what they are given.

pub(crate) mod arguments;
pub(crate) mod candidates;
pub(crate) mod rule_files;
pub(crate) mod stop;
pub(crate) mod value;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use sg_ctl::host::paths::Paths;
use sg_ctl::host::state::{State, StateError};
use sg_ctl::host::{Host, HostError, SshConnection, WayIn};

use sg_ctl::vpc::joined::Joined;

use crate::verb::Global;
use crate::verb::output::names::Names;
use crate::verb::output::table::Table;
use crate::verb::output::{self, note};
use crate::verb::shared::arguments::KeepSsh;

/// Exit status of a dry run that found something to change.
pub(crate) const PENDING: u8 = 3;

/// What every verb is given besides its own options.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) paths: Paths,
    pub(crate) verbose: bool,
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
    pub(crate) fn vpc(&self) -> Result<Option<Joined>, HostError> {
        joined(&self.paths)
    }

    pub(crate) fn host(&self) -> Result<Host, HostError> {
        Host::open(&self.paths)
    }
}

/// The VPC that the host of these paths belongs to.
pub(crate) fn joined(paths: &Paths) -> Result<Option<Joined>, HostError> {
    Joined::load(&paths.state).map_err(|source| {
        HostError::from(StateError::Io {
            action: "read this host's VPC from",
            path: paths.state.clone(),
            source,
        })
    })
}

/// How the user comes in.
pub(crate) fn way_in(keep: KeepSsh) -> WayIn {
    WayIn {
        ssh: SshConnection::current(),
        keep: keep.keep_ssh,
    }
}

/// Prints a list; an empty one says so beside the data.
pub(crate) fn print_list<V: Serialize + JsonSchema>(
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
pub(crate) fn names(host: &Host, state: State) -> Result<Names, HostError> {
    let mut interfaces = BTreeMap::new();
    for (name, record) in state.attachments {
        let ifindex = host.dataplane().settings(record.zone)?.ifindex;
        interfaces.insert(record.zone, (name, ifindex));
    }
    Ok(Names::new(state.numbers, interfaces))
}

/// Refuses an interface to filter by that is not attached.
pub(crate) fn check_attached(state: &State, interface: Option<&str>) -> Result<(), HostError> {
    match interface {
        Some(name) if !state.attachments.contains_key(name) => {
            Err(HostError::not_attached(name, state))
        }
        _ => Ok(()),
    }
}
