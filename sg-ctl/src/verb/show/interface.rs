//! Interfaces as they are configured.

use std::collections::BTreeSet;

use comfy_table::Cell;
use serde::Serialize;
use sg_ctl::host::state::State;
use sg_policy::model::{InterfaceSpec, is_pattern};

use crate::verb::output::Tone;
use crate::verb::output::table::Table;

/// An interface as rules and command line together configure it. The names of the fields are
/// those of the JSON form.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Configured {
    /// Name, or pattern of names.
    pub(crate) name: String,
    /// Whether it was attached and not detached since; `show interfaces` says only of those that have
    /// our programs now that they are.
    pub(crate) attached: bool,
    /// How it is to be guarded, with names of groups and no ids.
    #[serde(flatten)]
    pub(crate) spec: InterfaceSpec,
}

impl Configured {
    /// Every entry of the rules, and every interface that is attached.
    pub(crate) fn all(state: &State) -> Vec<Self> {
        let names: BTreeSet<_> = state
            .model
            .interfaces
            .keys()
            .chain(state.attachments.keys())
            .collect();
        names
            .into_iter()
            .map(|name| {
                let record = state.attachments.get(name);
                let overrides = record
                    .map(|record| record.overrides.clone())
                    .unwrap_or_default();
                let mut spec = overrides.over(state.model.interface(name));
                for group in &mut spec.groups {
                    if let Some(found) = state.model.group(group) {
                        group.clone_from(&found.name);
                    }
                }
                Self {
                    name: name.clone(),
                    attached: record.is_some(),
                    spec,
                }
            })
            .collect()
    }

    /// The table of interfaces.
    pub(crate) fn table(interfaces: &[Self]) -> Table {
        let mut table = Table::new(&[
            "INTERFACE",
            "ATTACHED",
            "GROUPS",
            "SIDE",
            "HOOK",
            "MODE",
            "LOG",
            "RELATED",
            "TCP-PICKUP",
        ])
        .giving_way(&["TCP-PICKUP", "RELATED", "LOG", "HOOK", "SIDE"]);
        for Configured {
            name,
            attached,
            spec,
        } in interfaces
        {
            table.push([
                Cell::new(name),
                match attached {
                    true => Tone::Good.cell("yes"),
                    false if is_pattern(name) => Cell::new("-"),
                    false => Tone::Notable.cell("no"),
                },
                Cell::new(spec.groups.join(",")),
                Cell::new(word(&spec.side)),
                Cell::new(word(&spec.hook)),
                mode(spec.audit),
                Cell::new(word(&spec.log)),
                Cell::new(word(&spec.related)),
                Cell::new(word(&spec.tcp_pickup)),
            ]);
        }
        table
    }
}

/// `enforce` or `audit`.
fn mode(audit: bool) -> Cell {
    if audit {
        Tone::Notable.cell("audit")
    } else {
        Cell::new("enforce")
    }
}

/// The word that a setting has in rule files, and so in JSON.
pub(crate) fn word(setting: &impl Serialize) -> String {
    match serde_json::to_value(setting) {
        Ok(serde_json::Value::String(word)) => word,
        // Settings are enumerations without data.
        Ok(_) | Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use sg_ctl::host::state::{AttachmentRecord, Overrides};
    use sg_policy::model::{GroupId, Hook, LogMode, Side};

    use super::*;

    fn state() -> State {
        let mut state = State::default();
        let spec = InterfaceSpec {
            hook: Hook::XdpGeneric,
            log: LogMode::All,
            ..InterfaceSpec::default()
        };
        let record = AttachmentRecord {
            zone: 0,
            side: Side::Nic,
            hook: Hook::XdpGeneric,
            overrides: Overrides {
                groups: Some(vec![GroupId::derived("default").to_string()]),
                audit: Some(true),
                ..Overrides::default()
            },
            by_pattern: false,
            unconfirmed: false,
            before: None,
            rolled_back: false,
            keep_ssh: None,
            isolated: None,
        };
        state.model.interfaces.insert("eth0".to_owned(), spec);
        let spec = InterfaceSpec {
            log_limit: 7,
            side: Side::Workload,
            ..InterfaceSpec::default()
        };
        state.model.interfaces.insert("eth?".to_owned(), spec);
        state.attachments.insert("eth0".to_owned(), record.clone());
        state.attachments.insert("eth1".to_owned(), record);
        state
    }

    #[test]
    fn rules_and_command_line_are_shown_together() {
        let interfaces = Configured::all(&state());
        let table = Configured::table(&interfaces).to_string();
        let plain = anstream::adapter::strip_str(&table).to_string();
        let rows: Vec<Vec<_>> = plain
            .lines()
            .skip(1)
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            rows[0],
            [
                "eth0",
                "yes",
                "default",
                "nic",
                "xdp-generic",
                "audit",
                "all",
                "errors",
                "attach"
            ]
        );
        // Its settings are those of the pattern; the command line has others.
        assert_eq!(rows[1][..4], ["eth1", "yes", "default", "workload"]);
        assert_eq!(rows[2][..4], ["eth?", "-", "default", "workload"]);
        let json = serde_json::to_value(&interfaces).expect("JSON");
        assert_eq!(json[0]["hook"], "xdp-generic");
        assert_eq!(json[0]["timeouts"]["udp"], 30);
        assert_eq!(json[0]["log_limit"], 10_000);
        assert_eq!(json[1]["log_limit"], 7);
        assert_eq!(json[2]["attached"], false);
    }
}
