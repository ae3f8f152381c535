//! Interfaces as they are configured.

use std::collections::BTreeSet;
use std::time::Duration;

use comfy_table::Cell;
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Serialize;
use sg_ctl::host::state::State;
use sg_policy::model::{
    Hook, Infrastructure, InterfaceSpec, LogMode, Related, Side, TcpPickup, Timeouts, is_pattern,
};

use crate::verb::output::table::Table;
use crate::verb::output::time::milliseconds;
use crate::verb::output::{Tone, word};

/// An interface as rules and command line together configure it.
#[derive(Clone, Debug)]
pub(crate) struct Configured {
    /// Name, or pattern of names.
    pub(crate) name: String,
    /// Whether it was attached and not detached since; `show interfaces` says only of those that have
    /// our programs now that they are.
    pub(crate) attached: bool,
    /// Whether it is cut off, whatever its groups say.
    pub(crate) isolated: bool,
    /// What a command line says in place of the rules, by the keys of rule files.
    pub(crate) overrides: Vec<&'static str>,
    /// How it is to be guarded, with names of groups and no ids.
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
                    isolated: record.is_some_and(|record| record.isolated.is_some()),
                    overrides: overrides.keys(),
                    spec,
                }
            })
            .collect()
    }
}

/// An interface in lists.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct InterfaceView<'a> {
    name: &'a str,
    attached: bool,
    /// Whether it is cut off, whatever its groups say.
    isolated: bool,
    /// What a command line says in place of the rules, by the keys of rule files.
    overrides: &'a [&'static str],
    groups: &'a [String],
    /// Where the addresses of the protected side lie; anywhere when there are none.
    #[schemars(with = "Vec<String>")]
    addresses: &'a [IpNet],
    side: Side,
    hook: Hook,
    audit: bool,
    log: LogMode,
    log_limit: u32,
    related: Related,
    tcp_pickup: TcpPickup,
    infra: Infrastructure,
    /// Idle times after which a flow is forgotten.
    timeouts_ms: TimeoutsView,
    flow_share: Option<u32>,
}

/// Idle times, by the names that rule files have for them.
#[derive(Debug, Serialize, JsonSchema)]
struct TimeoutsView {
    tcp_established: u64,
    tcp_half_open: u64,
    tcp_half_closed: u64,
    tcp_closing: u64,
    udp: u64,
    udp_stream: u64,
    icmp: u64,
    other: u64,
}

impl From<&Timeouts> for TimeoutsView {
    fn from(timeouts: &Timeouts) -> Self {
        let time = |seconds| milliseconds(Duration::from_secs(u64::from(seconds)));
        Self {
            tcp_established: time(timeouts.tcp_established),
            tcp_half_open: time(timeouts.tcp_half_open),
            tcp_half_closed: time(timeouts.tcp_half_closed),
            tcp_closing: time(timeouts.tcp_closing),
            udp: time(timeouts.udp),
            udp_stream: time(timeouts.udp_stream),
            icmp: time(timeouts.icmp),
            other: time(timeouts.other),
        }
    }
}

impl<'a> From<&'a Configured> for InterfaceView<'a> {
    fn from(interface: &'a Configured) -> Self {
        let spec = &interface.spec;
        Self {
            name: &interface.name,
            attached: interface.attached,
            isolated: interface.isolated,
            overrides: &interface.overrides,
            groups: &spec.groups,
            addresses: &spec.addresses,
            side: spec.side,
            hook: spec.hook,
            audit: spec.audit,
            log: spec.log,
            log_limit: spec.log_limit,
            related: spec.related,
            tcp_pickup: spec.tcp_pickup,
            infra: spec.infrastructure,
            timeouts_ms: TimeoutsView::from(&spec.timeouts),
            flow_share: spec.flow_share,
        }
    }
}

impl InterfaceView<'_> {
    /// The table of interfaces.
    pub(crate) fn table(interfaces: &[Self]) -> Table {
        let mut table = Table::new(&[
            "INTERFACE",
            "ATTACHED",
            "GROUPS",
            "SIDE",
            "HOOK",
            "MODE",
            "OVERRIDES",
            "LOG",
            "RELATED",
            "TCP-PICKUP",
        ])
        .giving_way(&["TCP-PICKUP", "RELATED", "LOG", "HOOK", "SIDE"]);
        for view in interfaces {
            table.push([
                Cell::new(view.name),
                match view.attached {
                    true => Tone::Good.cell("yes"),
                    false if is_pattern(view.name) => Cell::new("-"),
                    false => Tone::Notable.cell("no"),
                },
                Cell::new(view.groups.join(",")),
                Cell::new(word(&view.side)),
                Cell::new(word(&view.hook)),
                mode(view),
                Cell::new(match view.overrides {
                    [] => "-".to_owned(),
                    said => said.join(","),
                }),
                Cell::new(word(&view.log)),
                Cell::new(word(&view.related)),
                Cell::new(word(&view.tcp_pickup)),
            ]);
        }
        table
    }
}

/// `enforce`, `audit` or `isolated`.
fn mode(view: &InterfaceView<'_>) -> Cell {
    if view.isolated {
        Tone::Notable.cell("isolated")
    } else if view.audit {
        Tone::Notable.cell("audit")
    } else {
        Cell::new("enforce")
    }
}

#[cfg(test)]
mod tests {
    use sg_ctl::host::state::{AttachmentRecord, Isolation, Overrides};
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
        let views: Vec<_> = interfaces.iter().map(InterfaceView::from).collect();
        let table = InterfaceView::table(&views).to_string();
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
                "groups,audit",
                "all",
                "errors",
                "attach"
            ]
        );
        // Its settings are those of the pattern; the command line has others.
        assert_eq!(rows[1][..4], ["eth1", "yes", "default", "workload"]);
        assert_eq!(rows[2][..4], ["eth?", "-", "default", "workload"]);
        let json = serde_json::to_value(&views).expect("JSON");
        assert_eq!(json[0]["hook"], "xdp-generic");
        assert_eq!(json[0]["timeouts_ms"]["udp"], 30_000);
        assert_eq!(json[0]["log_limit"], 10_000);
        assert_eq!(json[1]["log_limit"], 7);
        assert_eq!(json[2]["attached"], false);
        assert_eq!(json[1]["overrides"], serde_json::json!(["groups", "audit"]));
        assert_eq!(json[2]["overrides"], serde_json::json!([]));

        let mut state = state();
        let record = state.attachments.get_mut("eth0").expect("it is there");
        record.isolated = Some(Isolation::default());
        let interfaces = Configured::all(&state);
        let views: Vec<_> = interfaces.iter().map(InterfaceView::from).collect();
        let table = InterfaceView::table(&views).to_string();
        let plain = anstream::adapter::strip_str(&table).to_string();
        let eth0 = plain.lines().nth(1).expect("a row");
        assert!(eth0.contains(" isolated "), "{plain}");
    }
}
