//! Live flows: one row, or one JSON object, each.

use std::net::IpAddr;
use std::time::Duration;

use comfy_table::Cell;
use schemars::JsonSchema;
use serde::Serialize;
use sg_common::flow::FlowState;
use sg_ctl::host::LiveFlow;
use sg_policy::compile::RuleNumbers;

use crate::verb::output::names::RuleRef;
use crate::verb::output::packet;
use crate::verb::output::table::Table;
use crate::verb::output::time::{milliseconds, span};

/// A flow as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct FlowView {
    pub(crate) interface: String,
    #[schemars(extend("enum" = ["inbound", "outbound"]))]
    opened: &'static str,
    pub(crate) protocol: String,
    local: IpAddr,
    local_port: Option<u16>,
    remote: IpAddr,
    remote_port: Option<u16>,
    icmp_type: Option<u8>,
    icmp_id: Option<u16>,
    vlan: Vec<u16>,
    pub(crate) state: &'static str,
    age_ms: u64,
    idle_ms: u64,
    expires_in_ms: u64,
    packets_in: u64,
    packets_out: u64,
    bytes_in: u64,
    bytes_out: u64,
    pub(crate) rule: Option<RuleRef>,
}

impl FlowView {
    /// The view of a flow.
    pub(crate) fn new(flow: &LiveFlow, numbers: &RuleNumbers) -> Self {
        let LiveFlow {
            interface,
            key,
            entry,
            age,
            idle,
            expires_in,
        } = flow;
        let [inbound, outbound] = flow.traffic();
        let has_ports = packet::has_ports(key.protocol());
        let is_icmp = packet::is_icmp(key.protocol());
        Self {
            interface: if interface.is_empty() {
                format!("zone:{}", key.zone())
            } else {
                interface.to_string()
            },
            opened: entry.opened().name(),
            protocol: packet::protocol(key.protocol()),
            local: key.local.into(),
            local_port: has_ports.then_some(key.local_port()),
            remote: key.remote.into(),
            remote_port: has_ports.then_some(key.remote_port()),
            // The key of a query: the request's type and the opener, and the identifier.
            icmp_type: is_icmp.then_some(key.remote_port() as u8),
            icmp_id: is_icmp.then_some(key.local_port()),
            vlan: packet::vlan_ids(key.vlan()),
            state: FlowState(entry.state).name(),
            age_ms: milliseconds(*age),
            idle_ms: milliseconds(*idle),
            expires_in_ms: milliseconds(*expires_in),
            packets_in: inbound.packets,
            packets_out: outbound.packets,
            bytes_in: inbound.bytes,
            bytes_out: outbound.bytes,
            rule: RuleRef::find(entry.rule, numbers),
        }
    }

    /// The protected end, with what of the flow's identity is no port.
    pub(crate) fn local_text(&self) -> String {
        let mut local = packet::endpoint(self.local, self.local_port);
        if let (Some(kind), Some(id)) = (self.icmp_type, self.icmp_id) {
            local = format!("{local} type={kind} id={id}");
        }
        if !self.vlan.is_empty() {
            let ids: Vec<_> = self.vlan.iter().map(u16::to_string).collect();
            local = format!("{local} vlan={}", ids.join("."));
        }
        local
    }

    /// The other end.
    pub(crate) fn remote_text(&self) -> String {
        packet::endpoint(self.remote, self.remote_port)
    }

    /// The table of flows.
    pub(crate) fn table(flows: &[Self]) -> Table {
        let mut table = Table::new(&[
            "INTERFACE",
            "OPENED",
            "PROTOCOL",
            "LOCAL",
            "REMOTE",
            "STATE",
            ">AGE",
            ">IDLE",
            ">EXPIRES",
            ">PACKETS-IN",
            ">PACKETS-OUT",
            ">BYTES-IN",
            ">BYTES-OUT",
            "RULE",
            "GROUP",
        ])
        .giving_way(&[
            "BYTES-OUT",
            "BYTES-IN",
            "GROUP",
            "PACKETS-OUT",
            "PACKETS-IN",
            "AGE",
            "EXPIRES",
            "RULE",
            "IDLE",
            "OPENED",
            "INTERFACE",
        ]);
        for flow in flows {
            let time = |ms| span(Duration::from_millis(ms));
            let rule = flow.rule.as_ref();
            table.push([
                Cell::new(&flow.interface),
                Cell::new(flow.opened),
                Cell::new(&flow.protocol),
                Cell::new(flow.local_text()),
                Cell::new(flow.remote_text()),
                Cell::new(flow.state),
                Cell::new(time(flow.age_ms)),
                Cell::new(time(flow.idle_ms)),
                Cell::new(time(flow.expires_in_ms)),
                Cell::new(flow.packets_in),
                Cell::new(flow.packets_out),
                Cell::new(flow.bytes_in),
                Cell::new(flow.bytes_out),
                Cell::new(rule.map_or("-".to_owned(), RuleRef::id_text)),
                Cell::new(rule.and_then(|rule| rule.group.as_deref()).unwrap_or("-")),
            ]);
        }
        table
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use sg_common::ends::{Ends, VlanIds};
    use sg_common::flow::{FLOW_OPENED_OUTBOUND, FlowEntry, FlowKey};

    use super::*;
    use crate::verb::output::names::tests::numbers;

    /// The key of such a flow on other ports.
    pub(crate) fn key(protocol: u8, local_port: u16, remote_port: u16) -> FlowKey {
        let address = |text: &str| text.parse::<IpAddr>().expect("address").into();
        let local = (address("10.0.1.5"), local_port);
        let remote = (address("203.0.113.7"), remote_port);
        FlowKey::new(0, VlanIds::NONE, protocol, Ends::new(local, remote))
    }

    /// A flow of eth0 between 10.0.1.5:443 and 203.0.113.7:40000, opened from outside.
    pub(crate) fn flow(protocol: u8) -> LiveFlow {
        LiveFlow {
            interface: "eth0".into(),
            key: key(protocol, 443, 40000),
            entry: FlowEntry {
                created: 1000,
                last_seen: 2000,
                packets: [12, 10],
                bytes: [1200, 64_000],
                rule: 1,
                state: FlowState::TCP_ESTABLISHED.0,
                flags: 0,
                pad: [0; 2],
                numbers: sg_common::tcp::Numbers::NONE,
            },
            age: Duration::from_mins(1),
            idle: Duration::from_secs(2),
            expires_in: Duration::from_secs(298),
        }
    }

    /// The cells of the row of a flow.
    fn row(flow: &LiveFlow) -> Vec<String> {
        let table = FlowView::table(&[FlowView::new(flow, &numbers())]).to_string();
        let plain = anstream::adapter::strip_str(&table).to_string();
        let cells = plain.lines().nth(1).expect("a row").split("  ");
        cells
            .map(str::trim)
            .filter(|cell| !cell.is_empty())
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn a_row_shows_the_flow_from_the_protected_side() {
        let mut flow = flow(6);
        assert_eq!(
            row(&flow).join(" "),
            "eth0 inbound tcp 10.0.1.5:443 203.0.113.7:40000 established 1m00s 2s 4m58s \
             12 10 1200 64000 sgr-0123456789abcdef0 web"
        );
        flow.entry.flags = FLOW_OPENED_OUTBOUND;
        assert_eq!(row(&flow)[9..13], ["10", "12", "64000", "1200"]);
    }

    #[test]
    fn an_icmp_flow_shows_type_and_identifier() {
        let mut flow = flow(1);
        flow.key = key(1, 77, 8 | 1 << 8);
        assert_eq!(row(&flow)[3], "10.0.1.5 type=8 id=77");
        assert_eq!(row(&flow)[4], "203.0.113.7");
    }

    #[test]
    fn flows_fit_a_terminal_of_80_columns() {
        let flow = flow(6);
        let view = FlowView::new(&flow, &numbers());
        let addresses = ["203.0.113.213", "2001:db8:aaaa:bbbb::1:2345"];
        for (local, remote) in [addresses[0], addresses[1]].map(|it| (it, it)) {
            let mut view = FlowView::new(&flow, &numbers());
            view.local = local.parse().expect("an address");
            view.remote = remote.parse().expect("an address");
            let text = format!("{:80}", FlowView::table(&[view]));
            let plain = anstream::adapter::strip_str(&text).to_string();
            assert!(
                plain.lines().all(|line| line.chars().count() <= 80),
                "{plain}"
            );
            assert!(
                plain.contains(remote) && plain.contains("established"),
                "{plain}"
            );
        }
        let full = FlowView::table(&[view]).to_string();
        assert!(
            full.contains("web") && !full.contains("not shown"),
            "{full}"
        );
    }

    #[test]
    fn a_flow_of_an_unknown_zone_shows_its_number() {
        let mut flow = flow(6);
        flow.interface = "".into();
        assert_eq!(row(&flow)[0], "zone:0");
    }

    #[test]
    fn json_counts_by_direction() {
        let json = serde_json::to_value(FlowView::new(&flow(6), &numbers())).expect("JSON");
        assert_eq!(json["packets_in"], 12);
        assert_eq!(json["bytes_out"], 64_000);
        assert_eq!(json["expires_in_ms"], 298_000);
        assert_eq!(json["icmp_id"], serde_json::Value::Null);
        assert_eq!(json["rule"]["group"], "web");
    }
}
