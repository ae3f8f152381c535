//! The flow table under load: floods of new flows, and CPUs that want the same slots.

use std::{collections::HashSet, net::Ipv4Addr, sync::Barrier, thread};

use sg_common::reason::Verdict;
use sg_tests::prog::shared::{Lane, Shared};

use crate::prelude::*;

/// Half of all addresses may send anything; what they open is tracked.
const RULES: &str = "
    security_groups:
      tested:
        inbound: [{ type: All traffic, source: 0.0.0.0/1 }]
        outbound: []
    interfaces: { eth0: { groups: [tested] } }
";

/// Where the source address of a packet without tags begins, and TCP's source port.
const SOURCE: usize = 26;
const SOURCE_PORT: usize = 34;

/// A frame, from another address.
fn from(frame: &[u8], address: u32) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[SOURCE..SOURCE + 4].copy_from_slice(&address.to_be_bytes());
    frame
}

/// The first segment of a connection.
fn syn(address: u32, port: u16) -> Frame {
    let source = Ipv4Addr::from(address).to_string();
    tcp(format!("{source}:{port}").as_str(), "192.0.2.10:22").syn()
}

/// A packet without ports: its flow is live from the first packet on.
fn generic() -> Vec<u8> {
    ip("10.0.0.1", "192.0.2.10", 47).payload(20).bytes()
}

/// Opens connections in which both sides have spoken; returns the segments that follow.
fn establish(lane: &mut Lane, count: u32) -> Vec<Vec<u8>> {
    let connection = |number| {
        let syn = syn(0x0a00_0000 | number, 40_000);
        assert_eq!(lane.inbound(&syn.bytes()), Verdict::Pass);
        assert_eq!(lane.outbound(&syn.reply().syn_ack().bytes()), Verdict::Pass);
        let ack = syn.ack().bytes();
        assert_eq!(lane.inbound(&ack), Verdict::Pass);
        ack
    };
    (0..count).map(connection).collect()
}

#[test]
fn two_cpus_that_open_the_same_flows_make_one_of_each() {
    const FLOWS: u32 = 64;
    const ROUNDS: u32 = 300;
    let mut shared = Shared::new(FLOWS, RULES);
    let mut lanes = [shared.lane(), shared.lane()];
    let (begin, end) = (Barrier::new(3), Barrier::new(3));
    let (mut left, mut twice) = (0, 0);
    thread::scope(|scope| {
        for lane in &mut lanes {
            let (begin, end) = (&begin, &end);
            scope.spawn(move || {
                let template = generic();
                for round in 0..ROUNDS {
                    begin.wait();
                    for number in 0..FLOWS {
                        let source = 0x0a00_0000 | round << 8 | number;
                        lane.inbound(&from(&template, source));
                    }
                    end.wait();
                }
            });
        }
        for _ in 0..ROUNDS {
            begin.wait();
            end.wait();
            let flows = shared.flows();
            let distinct: HashSet<_> = flows.iter().map(|(key, _)| key.remote).collect();
            twice += flows.len() - distinct.len();
            left += flows.len() as u64;
            shared.forget_flows();
        }
    });
    assert_eq!(twice, 0, "no flow is in the table twice");
    let counts = shared.counts();
    let sent = u64::from(2 * FLOWS * ROUNDS);
    let [new, again, full, contended] = [
        Reason::New,
        Reason::Established,
        Reason::FlowTableFull,
        Reason::FlowContended,
    ]
    .map(|reason| counts.of(reason));
    println!("{new} new, {again} established, {full} refused, {contended} contended");
    assert_eq!(new + again + full + contended, sent);
    assert_eq!(counts.total(), sent);
    // Two that open one flow at the same moment both count it as new.
    assert!(left <= new && left >= u64::from(FLOWS * ROUNDS) - full - contended);
}

#[test]
fn a_flood_on_two_cpus_ends_no_established_flow() {
    const FLOWS: u32 = 2048;
    const ESTABLISHED: u32 = 1000;
    const FLOOD: u32 = 100_000;
    let shared = Shared::new(FLOWS, RULES);
    let mut lanes = [shared.lane(), shared.lane()];
    let established = establish(&mut lanes[0], ESTABLISHED);
    let before = (shared.counts(), shared.table_memory());
    thread::scope(|scope| {
        for (seed, lane) in lanes.iter_mut().enumerate() {
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed as u64);
                let syn = syn(0, 40_000).bytes();
                let generic = generic();
                for number in 0..FLOOD {
                    let source = 0x4000_0000 | random.u32(..) >> 2;
                    // Half-open flows make room for each other, those without ports do not.
                    let template = if number % 8 == 0 { &generic } else { &syn };
                    let mut frame = from(template, source);
                    let port = random.u16(..).max(1).to_be_bytes();
                    frame[SOURCE_PORT..SOURCE_PORT + 2].copy_from_slice(&port);
                    lane.inbound(&frame);
                }
            });
        }
    });
    let after = shared.counts();
    let sent = u64::from(2 * FLOOD);
    let more = |reason| after.of(reason) - before.0.of(reason);
    let (new, full) = (more(Reason::New), more(Reason::FlowTableFull));
    let (again, contended) = (more(Reason::Established), more(Reason::FlowContended));
    println!("{new} new, {full} refused, {again} known, {contended} contended");
    assert_eq!(
        new + full + again + contended,
        sent,
        "whatever was refused is counted"
    );
    assert!(full > 0, "the table was full");
    assert_eq!(after.total() - before.0.total(), sent);
    assert_eq!(shared.table_memory(), before.1);
    for segment in &established {
        assert_eq!(lanes[1].inbound(segment), Verdict::Pass);
    }
    let alive = shared.counts().of(Reason::Established) - after.of(Reason::Established);
    assert_eq!(alive, u64::from(ESTABLISHED));
}

#[test]
fn the_stated_number_of_flows_fits_and_takes_the_stated_memory() {
    // Of the larger tables a part is filled, for the sake of slow machines.
    for (flows, opened) in [(16_384, 16_384), (100_003, 20_000), (1 << 20, 50_000)] {
        let shared = Shared::new(flows, RULES);
        let table = shared.table();
        assert!((flows..flows + 4).contains(&table.flows), "{table:?}");
        let memory = shared.table_memory();
        assert!(
            memory.abs_diff(table.bytes) < 16 << 10,
            "{memory} bytes, not {}",
            table.bytes
        );
        let mut lane = shared.lane();
        let template = generic();
        for number in 0..opened {
            lane.inbound(&from(&template, 0x0a00_0000 | number));
        }
        let counts = shared.counts();
        assert_eq!(counts.of(Reason::New), u64::from(opened));
        assert_eq!(shared.flows().len(), opened as usize);
    }
}
