//! Hosts of a test network, guarded by the command itself.

use std::collections::BTreeMap;

use sg_tests::{
    sg_ctl::SgCtl,
    topology::{Host, Network},
};

/// Which side of a host's link guards it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The host itself, on its own interface.
    Nic,
    /// The router at the other end of the host's link, as a hypervisor would.
    Workload,
}

/// Guards a host with the group `tested` of a rule file.
#[track_caller]
pub(crate) fn guard<'n>(
    network: &'n Network,
    host: &'n Host,
    (side, hook): (Side, &str),
    rules: &str,
) -> SgCtl<'n> {
    let (namespace, interface, side) = match side {
        Side::Nic => (&host.namespace, "eth0", "nic"),
        Side::Workload => (&network.router, host.name, "workload"),
    };
    let sg = SgCtl::new(namespace);
    let file = sg.rule_file("rules.yaml", rules);
    let place = ["--side", side, "--hook", hook];
    let policy = ["--group", "tested", "--file", &file];
    sg.ok(&[&["attach", interface][..], &place, &policy].concat());
    sg
}

/// Packets by direction and reason, as `status` tells them of the first interface.
pub(crate) fn reasons(sg: &SgCtl<'_>) -> BTreeMap<(String, String), u64> {
    reasons_where(sg, |_| true)
}

/// The same of an interface.
pub(crate) fn reasons_on(sg: &SgCtl<'_>, interface: &str) -> BTreeMap<(String, String), u64> {
    reasons_where(sg, |each| each["name"] == interface)
}

fn reasons_where(
    sg: &SgCtl<'_>,
    is_meant: impl Fn(&serde_json::Value) -> bool,
) -> BTreeMap<(String, String), u64> {
    let status = sg.json(&["status"]);
    let interfaces = status["interfaces"].as_array().expect("a list");
    let interface = interfaces.iter().find(|each| is_meant(each));
    let reasons = interface.expect("it is there")["reasons"].as_array();
    let entry = |reason: &serde_json::Value| {
        let text = |name: &str| reason[name].as_str().expect("text").to_owned();
        let packets = reason["packets"].as_u64().expect("a number");
        ((text("direction"), text("reason")), packets)
    };
    reasons.expect("a list").iter().map(entry).collect()
}

/// Packets of one direction and reason.
pub(crate) fn packets(sg: &SgCtl<'_>, direction: &str, reason: &str) -> u64 {
    let key = (direction.to_owned(), reason.to_owned());
    reasons(sg).get(&key).copied().unwrap_or(0)
}

/// The directions and reasons for which packets were dropped.
pub(crate) fn drops(sg: &SgCtl<'_>) -> Vec<(String, String)> {
    let is_drop = |name: &str| {
        sg_common::reason::Reason::ALL
            .iter()
            .find(|reason| reason.name() == name)
            .is_none_or(|reason| reason.verdict() == sg_common::reason::Verdict::Drop)
    };
    let keys = reasons(sg).into_keys();
    keys.filter(|(_, reason)| is_drop(reason)).collect()
}
