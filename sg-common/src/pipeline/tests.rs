//! The pipeline on frames in memory: verdict, reason, counters, flows and events.

use std::net::IpAddr;

use crate::addr::Addr;
use crate::counters::ZoneCounters;
use crate::flow::{Direction, FlowState};
use crate::image::classes::index;
use crate::image::{Cell, DIRECTORY, DIRECTORY_LEN, FORMAT_VERSION, MAGIC, header};
use crate::memory::Memory;
use crate::packet::Slice;
use crate::proto::tcp_flags::{ACK, RST, SYN};
use crate::proto::{ICMP, TCP, UDP};
use crate::reason::{Reason, Verdict};
use crate::service::{self, KEYS};
use crate::settings::{
    INFRA_DEFAULT, InterfaceSettings, MODE_AUDIT, PICKUP_ATTACH, RELATED_ERRORS,
};
use Direction::{Inbound, Outbound};

const HZ: u64 = 100;
const LOCAL: &str = "10.0.0.1";
const REMOTE: &str = "192.0.2.9";

/// An image whose one zone admits, from and to everybody, the given ranges of service keys.
fn image(inbound: &[(u32, u32, Cell)], outbound: &[(u32, u32, Cell)]) -> Vec<u32> {
    let mut words = vec![0; (DIRECTORY + DIRECTORY_LEN) as usize];
    let mut rows = [0; 2];
    for (offset, ranges) in rows.iter_mut().zip([inbound, outbound]) {
        let mut row = vec![(0, Cell::NONE)];
        for (first, end, cell) in ranges {
            row.push((*first, *cell));
            if *end < KEYS {
                row.push((*end, Cell::NONE));
            }
        }
        if row.get(1).is_some_and(|(first, _)| *first == 0) {
            row.remove(0);
        }
        *offset = words.len() as u32;
        words.push(row.len() as u32);
        words.extend(row.iter().map(|(first, _)| *first));
        words.extend(row.iter().map(|(_, cell)| cell.0));
    }
    let end = words.len() as u32;
    // A page of one class and a class table of one page, twice; zone 0 has them.
    words.extend([rows[0], rows[1], end, end + 1]);
    words[DIRECTORY as usize] = end + 2;
    words[DIRECTORY as usize + 1] = end + 3;
    // One range of class 0, which is also the one chunk that leads to it.
    words.resize(words.len().next_multiple_of(2), 0);
    let range = words.len() as u32;
    words.extend([0, 0, 0, 0]);
    for (field, value) in [
        (header::MAGIC, MAGIC),
        (header::FORMAT, FORMAT_VERSION),
        (header::RANGES, 1),
        (header::IPV4 + index::CHUNKS, range),
        (header::IPV4 + index::RANGES, range),
        (header::IPV6 + index::CHUNKS, range),
        (header::IPV6 + index::RANGES, range),
    ] {
        words[field as usize] = value;
    }
    words
}

fn port(protocol: u8, port: u16, rule: u32) -> (u32, u32, Cell) {
    let key = service::key(protocol, port);
    (key, key + 1, Cell::new(rule, false))
}

fn memory(inbound: &[(u32, u32, Cell)], outbound: &[(u32, u32, Cell)]) -> Memory {
    let settings = InterfaceSettings {
        timeouts: [60 * HZ; FlowState::SLOTS],
        log_reasons: u64::MAX,
        infra: INFRA_DEFAULT,
        ifindex: 7,
        related: RELATED_ERRORS,
        tcp_pickup: PICKUP_ATTACH,
        ..InterfaceSettings::UNUSED
    };
    Memory::new(settings, HZ, image(inbound, outbound))
}

fn ipv4(protocol: u8, src: &str, dst: &str, payload: &[u8]) -> Vec<u8> {
    let octets = |ip: &str| match ip.parse::<IpAddr>().expect("address") {
        IpAddr::V4(v4) => v4.octets(),
        IpAddr::V6(_) => panic!("IPv4 only"),
    };
    let mut bytes = vec![0x45, 0];
    bytes.extend((20 + payload.len() as u16).to_be_bytes());
    bytes.extend([0, 1, 0, 0, 64, protocol, 0, 0]);
    bytes.extend(octets(src));
    bytes.extend(octets(dst));
    bytes.extend(payload);
    bytes
}

fn ethernet(ip: &[u8]) -> Vec<u8> {
    let mut frame = vec![2; 12];
    frame.extend([0x08, 0x00]);
    frame.extend(ip);
    frame
}

fn tcp(src: u16, dst: u16, flags: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(src.to_be_bytes());
    bytes.extend(dst.to_be_bytes());
    // Both sides began at 0 and have sent nothing since.
    bytes.extend(u32::from(flags & SYN == 0).to_be_bytes());
    bytes.extend(u32::from(flags & ACK != 0).to_be_bytes());
    bytes.extend([0x50, flags, 0, 0, 0, 0, 0, 0]);
    bytes
}

fn udp(src: u16, dst: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(src.to_be_bytes());
    bytes.extend(dst.to_be_bytes());
    bytes.extend([0, 8, 0, 0]);
    bytes
}

/// Sends a packet between [`REMOTE`] and [`LOCAL`], checks that exactly one counter moved, and
/// returns the reason.
fn send(memory: &Memory, direction: Direction, protocol: u8, payload: &[u8]) -> Reason {
    let (src, dst) = match direction {
        Inbound => (REMOTE, LOCAL),
        Outbound => (LOCAL, REMOTE),
    };
    judge(
        memory,
        direction,
        &ethernet(&ipv4(protocol, src, dst, payload)),
    )
}

fn judge(memory: &Memory, direction: Direction, frame: &[u8]) -> Reason {
    let before = memory.counters();
    memory.take_events();
    let verdict = memory.run(&Slice(frame), direction);
    let events = memory.take_events();
    assert_eq!(events.len(), 1, "one event for each frame");
    let reason = Reason::from_code(events[0].reason).expect("a reason");
    assert_eq!(verdict, reason.verdict());
    let mut expected: ZoneCounters = before;
    expected.reasons[direction as usize][reason as usize].add(1, frame.len() as u32);
    assert!(
        memory.counters() == expected,
        "only {} counts",
        reason.name()
    );
    reason
}

#[test]
fn the_answer_passes_whatever_the_other_direction_says() {
    let memory = memory(&[port(TCP, 443, 5)], &[]);
    assert_eq!(
        send(&memory, Outbound, TCP, &tcp(443, 40000, SYN | ACK)),
        Reason::NoRule
    );
    assert_eq!(
        send(&memory, Inbound, TCP, &tcp(40000, 443, SYN)),
        Reason::New
    );
    assert_eq!(
        send(&memory, Outbound, TCP, &tcp(443, 40000, SYN | ACK)),
        Reason::Established
    );
    assert_eq!(
        send(&memory, Inbound, TCP, &tcp(40001, 443, SYN)),
        Reason::New
    );
    assert_eq!(
        send(&memory, Inbound, TCP, &tcp(40000, 22, SYN)),
        Reason::NoRule
    );
    assert_eq!(memory.flow_count(), 2);
}

#[test]
fn flows_expire_and_are_judged_again() {
    let mut memory = memory(&[port(UDP, 53, 9)], &[]);
    assert_eq!(send(&memory, Inbound, UDP, &udp(1000, 53)), Reason::New);
    memory.now += 60 * HZ;
    assert_eq!(
        send(&memory, Outbound, UDP, &udp(53, 1000)),
        Reason::Established
    );
    memory.now += 60 * HZ + 1;
    assert_eq!(send(&memory, Outbound, UDP, &udp(53, 1000)), Reason::NoRule);
    assert_eq!(send(&memory, Inbound, UDP, &udp(1000, 53)), Reason::New);
}

#[test]
fn a_syn_on_a_finished_flow_is_judged_again() {
    let mut memory = memory(&[port(TCP, 443, 5)], &[]);
    assert_eq!(
        send(&memory, Inbound, TCP, &tcp(40000, 443, SYN)),
        Reason::New
    );
    assert_eq!(
        send(&memory, Outbound, TCP, &tcp(443, 40000, RST | ACK)),
        Reason::Established
    );
    memory.image = image(&[], &[]);
    assert_eq!(
        send(&memory, Inbound, TCP, &tcp(40000, 443, SYN)),
        Reason::NoRule
    );
}

#[test]
fn segments_from_the_middle_open_a_flow_only_in_the_pickup_window() {
    let mut memory = memory(&[port(TCP, 443, 5)], &[]);
    assert_eq!(
        send(&memory, Inbound, TCP, &tcp(40000, 443, ACK)),
        Reason::MidStream
    );
    assert_eq!(
        send(&memory, Inbound, TCP, &tcp(40000, 443, RST)),
        Reason::MidStream
    );
    assert_eq!(memory.flow_count(), 0);
    memory.settings.pickup_until = memory.now;
    assert_eq!(
        send(&memory, Inbound, TCP, &tcp(40000, 443, RST)),
        Reason::MidStream
    );
    assert_eq!(
        send(&memory, Inbound, TCP, &tcp(40000, 443, ACK)),
        Reason::New
    );
    assert_eq!(
        send(&memory, Outbound, TCP, &tcp(443, 40000, ACK)),
        Reason::Established
    );
}

#[test]
fn a_ping_is_answered_but_its_identifier_opens_nothing_else() {
    let echo = |kind: u8, id: u8| [kind, 0, 0, 0, 0, id, 0, 1];
    let allowed = service::icmp_key(ICMP, 8, 0);
    let memory = memory(&[], &[(allowed, allowed + 1, Cell::new(3, false))]);
    assert_eq!(send(&memory, Inbound, ICMP, &echo(0, 1)), Reason::NoRule);
    assert_eq!(send(&memory, Outbound, ICMP, &echo(8, 1)), Reason::New);
    assert_eq!(
        send(&memory, Inbound, ICMP, &echo(0, 1)),
        Reason::Established
    );
    assert_eq!(send(&memory, Inbound, ICMP, &echo(8, 1)), Reason::NoRule);
    assert_eq!(send(&memory, Outbound, ICMP, &echo(0, 1)), Reason::NoRule);
    assert_eq!(send(&memory, Inbound, ICMP, &echo(0, 2)), Reason::NoRule);
}

#[test]
fn errors_pass_for_the_sake_of_the_flow_they_quote() {
    let memory = memory(&[port(TCP, 443, 5)], &[]);
    let error = |kind: u8, code: u8, quoted: &[u8]| {
        let mut bytes = vec![kind, code, 0, 0, 0, 0, 0, 0];
        bytes.extend(&quoted[..28]);
        ethernet(&ipv4(ICMP, "203.0.113.1", LOCAL, &bytes))
    };
    let sent = ipv4(TCP, LOCAL, REMOTE, &tcp(443, 40000, ACK));
    assert_eq!(judge(&memory, Inbound, &error(3, 4, &sent)), Reason::NoRule);
    assert_eq!(
        send(&memory, Inbound, TCP, &tcp(40000, 443, SYN)),
        Reason::New
    );
    for (kind, code, expected) in [
        (3, 4, Reason::Related),
        (11, 0, Reason::Related),
        (5, 0, Reason::NoRule),
    ] {
        assert_eq!(
            judge(&memory, Inbound, &error(kind, code, &sent)),
            expected,
            "{kind}/{code}"
        );
    }
    // What the other side sent is not ours to complain about.
    let received = ipv4(TCP, REMOTE, LOCAL, &tcp(40000, 443, ACK));
    assert_eq!(
        judge(&memory, Inbound, &error(3, 4, &received)),
        Reason::NoRule
    );
}

#[test]
fn errors_about_untracked_flows_pass_while_their_rule_is_there() {
    let all = |rule| [(0, KEYS, Cell::new(rule, false))];
    let web = service::key(TCP, 80);
    let mut memory = memory(&[(web, web + 1, Cell::new(5, true))], &all(6));
    assert_eq!(
        send(&memory, Inbound, TCP, &tcp(40000, 80, SYN)),
        Reason::Untracked
    );
    assert_eq!(
        send(&memory, Outbound, TCP, &tcp(80, 40000, SYN | ACK)),
        Reason::UntrackedReply
    );
    assert_eq!(memory.flow_count(), 0);
    let mut bytes = vec![3, 4, 0, 0, 0, 0, 0, 0];
    bytes.extend(&ipv4(TCP, LOCAL, REMOTE, &tcp(80, 40000, ACK))[..28]);
    let error = ethernet(&ipv4(ICMP, "203.0.113.1", LOCAL, &bytes));
    assert_eq!(judge(&memory, Inbound, &error), Reason::Related);
    memory.image = image(&[], &all(6));
    assert_eq!(judge(&memory, Inbound, &error), Reason::NoRule);
    assert_eq!(
        send(&memory, Inbound, TCP, &tcp(40000, 80, ACK)),
        Reason::NoRule
    );
}

#[test]
fn later_fragments_follow_the_first_one() {
    let fragment = |id: u8, offset: u8, more: bool, payload: &[u8]| {
        let mut ip = ipv4(UDP, REMOTE, LOCAL, payload);
        ip[5] = id;
        ip[6] = if more { 0x20 } else { 0 };
        ip[7] = offset;
        ethernet(&ip)
    };
    let memory = memory(&[port(UDP, 53, 9)], &[]);
    let mut first = udp(1000, 53);
    first[5] = 24;
    // Read as a UDP header this would be port 53.
    let rest = udp(1000, 53);
    assert_eq!(
        judge(&memory, Inbound, &fragment(1, 1, true, &rest)),
        Reason::FragmentUnknown
    );
    assert_eq!(
        judge(&memory, Inbound, &fragment(1, 0, true, &first)),
        Reason::New
    );
    assert_eq!(
        judge(&memory, Inbound, &fragment(1, 1, true, &rest)),
        Reason::Fragment
    );
    assert_eq!(
        judge(&memory, Inbound, &fragment(2, 1, false, &rest)),
        Reason::FragmentUnknown
    );
    first[3] = 54;
    assert_eq!(
        judge(&memory, Inbound, &fragment(3, 0, true, &first)),
        Reason::NoRule
    );
    assert_eq!(
        judge(&memory, Inbound, &fragment(3, 1, false, &rest)),
        Reason::FragmentUnknown
    );
}

#[test]
fn later_ipv6_fragments_follow_whatever_their_next_header_says() {
    // RFC 8200 §4.5: only the first fragment's next header counts.
    let fragment = |next: u8, offset: u16, more: u16, payload: &[u8]| {
        let mut ip = vec![0x60, 0, 0, 0, 0, 8 + payload.len() as u8, 44, 64];
        ip.extend([[0xfd; 16], [0x20; 16]].concat());
        ip.extend([next, 0]);
        ip.extend((offset << 3 | more).to_be_bytes());
        ip.extend([0, 0, 0, 9]);
        ip.extend(payload);
        let mut frame = vec![2; 12];
        frame.extend([0x86, 0xdd]);
        frame.extend(ip);
        frame
    };
    let memory = memory(&[port(UDP, 53, 9)], &[]);
    let destination_options = [UDP, 0, 1, 4, 0, 0, 0, 0];
    let mut first = destination_options.to_vec();
    first.extend(udp(1000, 53));
    first[13] = 32;
    assert_eq!(
        judge(&memory, Inbound, &fragment(60, 0, 1, &first)),
        Reason::New
    );
    for next in [60, UDP, 59, 0] {
        let later = fragment(next, 2, 0, &[0; 8]);
        assert_eq!(judge(&memory, Inbound, &later), Reason::Fragment, "{next}");
    }
}

#[test]
fn a_quote_ends_with_the_packet() {
    let memory = memory(&[port(TCP, 443, 5)], &[]);
    assert_eq!(
        send(&memory, Inbound, TCP, &tcp(40000, 443, SYN)),
        Reason::New
    );
    let mut bytes = vec![3, 4, 0, 0, 0, 0, 0, 0];
    bytes.extend(&ipv4(TCP, LOCAL, REMOTE, &tcp(443, 40000, ACK))[..24]);
    let error = ipv4(ICMP, "203.0.113.1", LOCAL, &bytes);
    assert_eq!(judge(&memory, Inbound, &ethernet(&error)), Reason::Related);
    // Its last byte made Ethernet padding.
    let mut padded = error.clone();
    padded[3] -= 1;
    assert_eq!(judge(&memory, Inbound, &ethernet(&padded)), Reason::NoRule);
}

#[test]
fn a_full_table_refuses_new_flows_and_keeps_the_old() {
    let mut memory = memory(&[port(TCP, 443, 5)], &[]);
    memory.flow_limit = 1;
    assert_eq!(
        send(&memory, Inbound, TCP, &tcp(40000, 443, SYN)),
        Reason::New
    );
    assert_eq!(
        send(&memory, Inbound, TCP, &tcp(40001, 443, SYN)),
        Reason::FlowTableFull
    );
    assert_eq!(
        send(&memory, Inbound, TCP, &tcp(40000, 443, ACK)),
        Reason::Established
    );
}

#[test]
fn auditing_judges_and_counts_but_drops_nothing() {
    let mut memory = memory(&[], &[]);
    let frame = ethernet(&ipv4(TCP, REMOTE, LOCAL, &tcp(1, 2, SYN)));
    assert_eq!(memory.run(&Slice(&frame), Inbound), Verdict::Drop);
    memory.settings.mode = MODE_AUDIT;
    assert_eq!(memory.run(&Slice(&frame), Inbound), Verdict::Pass);
    let counters = memory.counters();
    assert_eq!(counters.reasons[0][Reason::NoRule as usize].packets, 2);
    assert_eq!(counters.audited[0].packets, 1);
    assert_eq!(counters.audited[1].packets, 0);
    let flags: Vec<u8> = memory
        .take_events()
        .iter()
        .map(|event| event.flags)
        .collect();
    assert_eq!(flags, [0, 1]);
}

#[test]
fn without_an_image_everything_but_infrastructure_drops() {
    let mut memory = memory(&[], &[]);
    memory.image.clear();
    assert_eq!(
        send(&memory, Inbound, TCP, &tcp(1, 2, SYN)),
        Reason::NoPolicy
    );
    let mut arp = vec![2; 12];
    arp.extend([0x08, 0x06, 0, 1]);
    assert_eq!(judge(&memory, Inbound, &arp), Reason::InfraArp);
    memory.settings.infra = 0;
    assert_eq!(judge(&memory, Inbound, &arp), Reason::NoRule);
    assert_eq!(send(&memory, Outbound, UDP, &udp(68, 67)), Reason::NoPolicy);
    memory.settings.infra = INFRA_DEFAULT;
    assert_eq!(
        send(&memory, Outbound, UDP, &udp(68, 67)),
        Reason::InfraDhcp4
    );
    assert_eq!(
        send(&memory, Inbound, UDP, &udp(67, 68)),
        Reason::InfraDhcp4
    );
    assert_eq!(send(&memory, Inbound, UDP, &udp(67, 69)), Reason::NoPolicy);
}

#[test]
fn events_say_who_and_which_rule() {
    let memory = memory(&[port(TCP, 443, 5)], &[]);
    let frame = ethernet(&ipv4(TCP, REMOTE, LOCAL, &tcp(40000, 443, SYN)));
    memory.run(&Slice(&frame), Inbound);
    let event = memory.take_events()[0];
    let addr = |ip: &str| Addr::from(ip.parse::<IpAddr>().expect("address"));
    assert_eq!((event.local, event.remote), (addr(LOCAL), addr(REMOTE)));
    assert_eq!((event.local_port, event.remote_port), (443, 40000));
    assert_eq!(
        (event.rule, event.ifindex, event.length),
        (5, 7, frame.len() as u32)
    );
    assert_eq!(
        (event.protocol, event.tcp_flags, event.direction),
        (TCP, SYN, 0)
    );
}

#[test]
fn events_of_pings_carry_the_identifier() {
    let memory = memory(&[], &[]);
    for (kind, expected) in [(8, 0x0107), (0, 0x0107), (3, 0)] {
        let message = [kind, 0, 0, 0, 1, 7, 0, 1];
        assert_eq!(
            send(&memory, Inbound, ICMP, &message),
            Reason::NoRule,
            "type {kind}"
        );
        memory.run(
            &Slice(&ethernet(&ipv4(ICMP, REMOTE, LOCAL, &message))),
            Inbound,
        );
        assert_eq!(memory.take_events()[0].local_port, expected, "type {kind}");
    }
}
