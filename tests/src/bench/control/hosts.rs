//! Rule files of stated size.

use std::{fmt::Write as _, net::Ipv4Addr};

use serde::Serialize;
use sg_policy::compile::ZonePolicy;

/// The groups of one interface, among which its rules are spread: as AWS allows.
const GROUPS: u32 = 5;

/// How much the rules of a host are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Amount {
    /// Interfaces, each with groups of its own.
    pub policies: u32,
    /// Inbound rules of each interface, for a host and a port each.
    pub rules: u32,
    /// Addresses that carry a group which every interface admits.
    pub members: u32,
}

impl Amount {
    /// The name in tables.
    pub(crate) fn name(self) -> String {
        let Self {
            policies,
            rules,
            members,
        } = self;
        match (policies, rules, members) {
            (1, _, 0) => format!("{rules} rules"),
            (1, 0, _) => format!("{members} members"),
            (1, ..) => format!("{rules} rules, {members} members"),
            _ => format!("{policies} interfaces and policies, {rules} rules each"),
        }
    }

    /// The interfaces and their groups.
    pub(crate) fn zones(self) -> Vec<ZonePolicy> {
        let zone = |zone| ZonePolicy {
            zone,
            groups: groups(zone).collect(),
            addresses: Vec::new(),
        };
        (0..self.policies).map(zone).collect()
    }
}

/// The groups of an interface.
fn groups(policy: u32) -> impl Iterator<Item = String> {
    (0..GROUPS).map(move |group| format!("g{policy}-{group}"))
}

/// A rule file. The first member is missing unless it is to be complete.
pub(crate) fn rules(amount: Amount, complete: bool) -> String {
    let mut random = fastrand::Rng::with_seed(1);
    let mut text = "limits: { rules_per_group: 20000, product: 100000 }\n\
                    security_groups:\n  clients: { description: those who may come }\n"
        .to_owned();
    for policy in 0..amount.policies {
        for (number, group) in groups(policy).enumerate() {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {group}:\n    outbound: []\n    inbound:");
            let _ = writeln!(
                text,
                "    - {{ type: HTTPS, source: 'sg:clients', description: number {number} }}"
            );
            for rule in (number as u32..amount.rules).step_by(GROUPS as usize) {
                let client = Ipv4Addr::from((20 << 24) + random.u32(..1 << 26));
                let port = 1000 + rule % 50_000;
                let _ = writeln!(
                    text,
                    "    - {{ protocol: tcp, ports: {port}, source: {client}/32 }}"
                );
            }
        }
    }
    if amount.members > 0 {
        text.push_str("members:\n  clients:\n");
        // Every second address: none has a neighbour.
        for member in u32::from(!complete)..amount.members {
            let _ = writeln!(text, "  - {}", Ipv4Addr::from((10 << 24) + 2 * member));
        }
    }
    let names: Vec<_> = groups(0).collect();
    let _ = writeln!(
        text,
        "interfaces: {{ eth0: {{ groups: [{}] }} }}",
        names.join(", ")
    );
    text
}
