//! What a shell may complete an argument with: the names that there are on this host.
//!
//! Whoever may not read the state is offered what anybody may see, without a word.

use std::ffi::OsStr;
use std::path::PathBuf;

use clap_complete::CompletionCandidate;
use clap_complete::engine::ValueCompleter;
use sg_ctl::host::state::{State, StateDir};
use sg_policy::model::Direction;

use crate::verb::{STATE_DIR, STATE_DIR_VARIABLE};

/// Names of one kind.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Named {
    /// Interfaces of this network namespace.
    Present,
    /// Interfaces that are attached.
    Attached,
    /// Security groups.
    Group,
    /// Ids of rules.
    Rule,
}

impl ValueCompleter for Named {
    fn complete(&self, begun: &OsStr) -> Vec<CompletionCandidate> {
        // Of `a,b` the last is completed.
        let begun = begun.to_str().unwrap_or_default();
        let (before, last) = begun.split_at(begun.rfind(',').map_or(0, |comma| comma + 1));
        let candidates = self.candidates().into_iter();
        candidates
            .filter(|(name, _)| name.starts_with(last))
            .map(|(name, help)| {
                let help = (!help.is_empty()).then(|| help.into());
                CompletionCandidate::new(format!("{before}{name}")).help(help)
            })
            .collect()
    }
}

impl Named {
    /// The names, each with what is said of it.
    fn candidates(self) -> Vec<(String, String)> {
        match self {
            Self::Present => present().map(|name| (name, String::new())).collect(),
            Self::Attached => attached(&state()),
            Self::Group => groups(&state()),
            Self::Rule => rules(&state()),
        }
    }
}

fn state() -> State {
    let path = std::env::var_os(STATE_DIR_VARIABLE).map_or(STATE_DIR.into(), PathBuf::from);
    StateDir::new(&path).load().unwrap_or_default()
}

fn present() -> impl Iterator<Item = String> {
    let entries = std::fs::read_dir("/sys/class/net").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok())
}

fn attached(state: &State) -> Vec<(String, String)> {
    let all = state.attachments.iter();
    all.map(|(name, record)| {
        let spec = record.overrides.over(state.model.interface(name));
        (name.clone(), spec.groups.join(", "))
    })
    .collect()
}

fn groups(state: &State) -> Vec<(String, String)> {
    let all = state.model.groups.values();
    all.map(|group| (group.name.clone(), group.description.clone()))
        .collect()
}

fn rules(state: &State) -> Vec<(String, String)> {
    let mut rules = Vec::new();
    for group in state.model.groups.values() {
        for direction in Direction::ALL {
            rules.extend(group.rules(direction).iter().map(|rule| {
                let direction = direction.name();
                let (service, peer) = (rule.service, &rule.peer);
                let help = format!("{}: {direction} {service}, {peer}", group.name);
                (rule.id.to_string(), help)
            }));
        }
    }
    rules
}
