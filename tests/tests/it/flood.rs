//! The flow table under load: floods of new flows, and CPUs that want the same slots.

use std::{
    collections::HashSet,
    net::Ipv4Addr,
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use sg_common::{reason::Verdict, table::SLOTS_PER_FLOW};
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

/// A packet without ports.
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
    println!("{new} new, {again} established, {full} refused");
    assert_eq!((full, contended), (0, 0), "nobody waits, and there is room");
    assert_eq!(new + again, sent);
    assert_eq!(counts.total(), sent);
    // Two that open one flow at the same moment both count it as new.
    assert!(left <= new && left >= u64::from(FLOWS * ROUNDS));
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
                    // What one side alone has spoken in makes room for each other.
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
    assert_eq!((full, contended), (0, 0), "unproven flows give way");
    assert_eq!(new + again, sent);
    let slots = SLOTS_PER_FLOW * FLOWS;
    let held = shared.flows().len();
    assert!(
        held * 100 > slots as usize * 99,
        "the table was full: {held} of {slots}"
    );
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

/// Threads that want the CPUs, too: so a program is stopped at any point.
const SPINNERS: usize = 4;

#[test]
fn no_admitted_packet_is_lost_where_cpus_are_taken_away_in_the_middle() {
    let count: u32 = if std::env::var_os("SG_LONG").is_some() {
        5_000_000
    } else {
        150_000
    };
    // Few buckets, so that both CPUs are at the same ones all the time.
    let shared = Shared::new(1024, RULES);
    let mut lanes = [shared.lane(), shared.lane()];
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..SPINNERS {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let lanes: Vec<_> = lanes
            .iter_mut()
            .map(|lane| {
                scope.spawn(move || {
                    let syn = syn(0, 40_000).bytes();
                    for number in 0..count {
                        // Both open the same flows at nearly the same time.
                        lane.inbound(&from(&syn, 0x0a00_0000 | number & 0x00ff_ffff));
                    }
                })
            })
            .collect();
        let ended: Vec<_> = lanes
            .into_iter()
            .map(thread::ScopedJoinHandle::join)
            .collect();
        over.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(Result::is_ok));
    });
    let counts = shared.counts();
    let [new, again, full, contended] = [
        Reason::New,
        Reason::Established,
        Reason::FlowTableFull,
        Reason::FlowContended,
    ]
    .map(|reason| counts.of(reason));
    println!("{new} new, {again} known, {full} refused, {contended} contended");
    assert_eq!((full, contended), (0, 0));
    assert_eq!(new + again, u64::from(2 * count));
    let flows = shared.flows();
    let distinct: HashSet<_> = flows.iter().map(|(key, _)| key.remote).collect();
    assert_eq!(flows.len(), distinct.len(), "no flow is in the table twice");
}
