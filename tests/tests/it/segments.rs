//! Every set of TCP flags, sent by either side, on every kind of flow: reason, deciding rule, and
//! the state in which it leaves the flow are those that the oracle gives.

use std::env;

use sg_policy::{
    model::Side,
    rulefile::{self, Source},
};
use sg_tests::{
    oracle::{
        Host,
        packet::{Content, Ip, Packet, Upper},
    },
    packet::flags::{ACK, FIN, RST, SYN},
    prog::Hook,
    random::{Kernel, Scenario, Step, check},
};

use crate::prelude::*;

const SYN_ACK: u8 = SYN | ACK;
const FIN_ACK: u8 = FIN | ACK;

/// A segment: whether the answering side sends it, its flags, bytes of data.
type Segment = (bool, u8, u16);

/// The ways into every kind of state, and whether data makes a difference there.
const STATES: [(&[Segment], bool); 16] = [
    // No flow.
    (&[], false),
    // Syn-sent, also when its opener has given up.
    (&[(false, SYN, 0)], false),
    (&[(false, SYN, 0), (false, FIN_ACK, 0)], false),
    // Syn-received, also by simultaneous open.
    (&[(false, SYN, 0), (true, SYN_ACK, 0)], false),
    (&[(false, SYN, 0), (true, SYN, 0)], false),
    // Picked up, also when its opener has given up.
    (&[(false, ACK, 9)], false),
    (&[(false, ACK, 9), (false, FIN_ACK, 0)], false),
    // Established, also after having been picked up.
    (
        &[(false, SYN, 0), (true, SYN_ACK, 0), (false, ACK, 0)],
        false,
    ),
    (&[(false, ACK, 9), (true, ACK, 0)], false),
    // Half-closed by either side, with data from the one or the other.
    (
        &[(false, ACK, 9), (true, ACK, 0), (false, FIN_ACK, 0)],
        true,
    ),
    (&[(false, ACK, 9), (true, ACK, 0), (true, FIN_ACK, 0)], true),
    (
        &[
            (false, ACK, 9),
            (true, ACK, 0),
            (false, FIN_ACK, 0),
            (true, ACK, 9),
        ],
        true,
    ),
    // Closing by two FINs, or a RST of either side; with data from one.
    (
        &[
            (false, ACK, 9),
            (true, ACK, 0),
            (false, FIN_ACK, 0),
            (true, FIN_ACK, 0),
        ],
        true,
    ),
    (&[(false, SYN, 0), (true, RST | ACK, 0)], true),
    (&[(false, ACK, 9), (true, ACK, 0), (false, RST, 0)], true),
    (
        &[
            (false, ACK, 9),
            (true, ACK, 0),
            (true, RST, 0),
            (false, ACK, 9),
        ],
        true,
    ),
];

/// A host that SSH may enter.
fn host(side: Side, family: Family) -> Host {
    let remote = family.remote();
    let bits = if remote.is_ipv4() { 32 } else { 128 };
    let text = format!(
        "security_groups:
  tested: {{ inbound: [{{ type: SSH, source: '{remote}/{bits}' }}], outbound: [] }}
interfaces: {{ eth0: {{ groups: [tested] }} }}"
    );
    let name = "rules.yaml".to_owned();
    let parsed =
        rulefile::read(&[Source { name, text }]).unwrap_or_else(|report| panic!("{report}"));
    let mut interface = parsed.model.interfaces["eth0"].clone();
    interface.side = side;
    Host {
        model: parsed.model,
        interface,
        addresses: Family::BOTH.map(Family::local).to_vec(),
        others: Vec::new(),
        has_policy: true,
    }
}

/// A segment of the connection from the remote end's `port`.
fn step(place: Place, family: Family, port: u16, (answers, flags, data): Segment) -> Step {
    let (remote, local) = ((family.remote(), port), (family.local(), 22));
    let (from, to) = if answers {
        (local, remote)
    } else {
        (remote, local)
    };
    let upper = Upper::Tcp {
        source: from.1,
        destination: to.1,
        flags,
        seq: Frame::numbers_of(flags).0,
        ack: Frame::numbers_of(flags).1,
        offset: 5,
        data,
    };
    Step::Packet {
        inbound: !answers,
        tc: place.hook == Hook::Tc,
        packet: Packet {
            tags: Vec::new(),
            content: Content::Ip(Ip {
                source: from.0,
                destination: to.0,
                hop_limit: 64,
                options: 0,
                fragment: None,
                extensions: Vec::new(),
                fault: None,
                upper,
                kept: None,
            }),
            padding: 0,
            cut: None,
        },
        flips: Vec::new(),
    }
}

/// Judges connections, each on a port of its own, and compares everything with the oracle.
fn agree(place: Place, family: Family, connections: impl Iterator<Item = Vec<Segment>>) {
    let mut steps = Vec::new();
    let mut count = 0;
    for (port, segments) in (1000..).zip(connections) {
        count += segments.len() as u64;
        steps.extend(
            segments
                .into_iter()
                .map(|each| step(place, family, port, each)),
        );
    }
    let host = host(place.side, family);
    let judged = check(&Scenario { host, steps }, &mut Kernel::default());
    let tally = judged.unwrap_or_else(|mismatch| panic!("{mismatch:?}"));
    assert_eq!(tally.packets(), count);
}

#[apply(everywhere_in_both_families)]
fn every_set_of_flags_does_what_it_should_in_every_state(place: Place, family: Family) {
    // In virtual machines, where a packet takes long, without the bits that nobody heeds.
    let last = if env::var_os("SG_SHORT").is_some() {
        0x1f
    } else {
        u8::MAX
    };
    let sets: Vec<u8> = (0..=last).collect();
    for (way, data_matters) in STATES {
        for answers in [false, true] {
            for data in if data_matters { &[0, 9][..] } else { &[0] } {
                let all = sets
                    .iter()
                    .map(|flags| [way, &[(answers, *flags, *data)]].concat());
                agree(place, family, all);
            }
        }
    }
}

#[apply(everywhere_in_both_families)]
fn fin_and_rst_come_in_any_order(place: Place, family: Family) {
    let kinds = [(FIN_ACK, 0), (RST, 0), (ACK, 9)];
    let sides = [false, true];
    let all: Vec<Segment> = sides
        .iter()
        .flat_map(|answers| kinds.map(|(flags, data)| (*answers, flags, data)))
        .collect();
    for first in &all {
        let mut connections = Vec::new();
        for second in &all {
            for third in &all {
                for fourth in &all {
                    let mut segments = vec![(false, SYN, 0), (true, SYN_ACK, 0), (false, ACK, 0)];
                    segments.extend([*first, *second, *third, *fourth]);
                    // And then the same ports again.
                    segments.push((false, SYN, 0));
                    connections.push(segments);
                }
            }
        }
        agree(place, family, connections.into_iter());
    }
}
