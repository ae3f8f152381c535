//! `sg-ctl replay`: captures judged by the programs as the oracle judges them, and the command.

mod command;

use std::{
    collections::BTreeSet,
    env,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use sg_ctl::{host::state::Overrides, replay::Capture};
use sg_policy::model::{Hook, InterfaceSpec, Side};
use sg_tests::{
    random::{Scenario, Step, TICK_MS, spoilt},
    replay::{Agreement, CaptureFile, captures_in, judge, judge_as, say},
    scratch::Directory,
};

/// Rule sets with little in common.
const RULES: [(&str, &str); 4] = [
    (
        "a web server",
        "security_groups:
  web:
    inbound:
      - { type: HTTP, source: anywhere-ipv4 }
      - { type: HTTPS, source: anywhere-ipv4 }
      - { type: HTTP, source: anywhere-ipv6 }
      - { type: DNS (UDP), source: 10.0.0.0/8 }
      - { protocol: icmp, icmp: echo-request, source: anywhere-ipv4 }
interfaces:
  eth0: { groups: [web] }
",
    ),
    (
        "everything",
        "security_groups:
  open:
    inbound:
      - { type: All traffic, source: anywhere-ipv4 }
      - { type: All traffic, source: anywhere-ipv6 }
interfaces:
  eth0: { groups: [open], related: all, tcp_pickup: always }
",
    ),
    (
        "tight rules",
        "security_groups:
  first:
    inbound:
      - { protocol: tcp, ports: 1-1023, source: 0.0.0.0/1 }
      - { protocol: tcp, ports: 1024-65535, source: 192.168.0.0/16 }
      - { protocol: udp, ports: 53, source: anywhere-ipv4 }
      - { type: All ICMP - IPv6, source: anywhere-ipv6 }
    outbound:
      - { protocol: tcp, ports: 20-8080, destination: 128.0.0.0/1 }
      - { protocol: udp, ports: 0-65535, destination: 10.0.0.0/8 }
      - { type: All UDP, destination: anywhere-ipv6 }
  second:
    inbound:
      - { type: All traffic, source: \"sg:first\" }
    outbound:
      - { protocol: 50, destination: anywhere-ipv4 }
      - { type: All ICMP - IPv4, destination: anywhere-ipv4 }
interfaces:
  eth0:
    groups: [first, second]
    related: off
    tcp_pickup: never
    infra: { arp: false, mld: false }
    timeouts: { tcp_established: 60, udp: 30, udp_stream: 60 }
",
    ),
    (
        "one's own group",
        "members:
  default: [141.142.228.5, 10.10.1.4, 192.168.1.1, \"2001:4f8:4:7:2e0:81ff:fe52:ffff\"]
interfaces:
  eth0: { groups: [default], related: pmtud }
",
    ),
];

/// Where packets are judged.
const PLACES: [(Side, Hook); 4] = [
    (Side::Nic, Hook::Xdp),
    (Side::Workload, Hook::Tc),
    (Side::Workload, Hook::Xdp),
    (Side::Nic, Hook::Tc),
];

/// All addresses of captures.
fn addresses(captures: &[PathBuf]) -> Vec<IpNet> {
    let mut addresses = BTreeSet::new();
    for path in captures {
        let mut capture = Capture::open(path).expect("it is a capture");
        while let Ok(Some(packet)) = capture.next_packet() {
            addresses.extend(ends(packet.data));
        }
    }
    addresses.into_iter().map(IpNet::from).collect()
}

/// Source and destination, found where they are in most frames.
fn ends(frame: &[u8]) -> Vec<IpAddr> {
    let v4 = |at: usize| {
        let octets: Option<[u8; 4]> = frame.get(at..at + 4)?.try_into().ok();
        octets.map(IpAddr::from)
    };
    let v6 = |at: usize| {
        let octets: Option<[u8; 16]> = frame.get(at..at + 16)?.try_into().ok();
        octets.map(IpAddr::from)
    };
    let found = match frame.get(12..14) {
        Some([0x08, 0x00]) => [v4(26), v4(30)],
        Some([0x86, 0xdd]) => [v6(22), v6(38)],
        Some([0x81, 0x00]) => [v4(30), v4(34)],
        _ => [None, None],
    };
    found.into_iter().flatten().collect()
}

/// Judges captures under every rule set and at every place; every address is local in one half of
/// the runs and remote in the other.
fn judge_everywhere(name: &str, captures: &[PathBuf]) {
    let addresses = addresses(captures);
    let every_second = |from: usize| -> Vec<_> {
        let nets = addresses.iter().skip(from).step_by(2);
        nets.copied().collect()
    };
    for (index, (what, rules)) in RULES.iter().enumerate() {
        let mut sum = Agreement::default();
        for (turn, (side, hook)) in PLACES.into_iter().enumerate() {
            let overrides = Overrides {
                side: Some(side),
                hook: Some(hook),
                ..Overrides::default()
            };
            let local = every_second((turn + index) % 2);
            let agreement = judge(captures, rules, &overrides, &local);
            sum.captures = agreement.captures;
            sum.judged += agreement.judged;
            sum.passed += agreement.passed;
            sum.skipped += agreement.skipped;
        }
        say(&format!(
            "{name} under {what}: {} captures at {} places, {} packets judged alike, {} passed, {} \
             left out",
            sum.captures,
            PLACES.len(),
            sum.judged,
            sum.passed,
            sum.skipped
        ));
        assert!(sum.judged > 0 && sum.passed > 0);
    }
}

/// The captures that `SG_CAPTURES` names: real traffic of others is not ours to give away.
#[test]
fn real_captures_are_judged_as_the_oracle_says() {
    let Some(directory) = env::var_os("SG_CAPTURES") else {
        say("skipped: SG_CAPTURES names no directory of captures");
        return;
    };
    let captures = captures_in(Path::new(&directory));
    assert!(!captures.is_empty());
    judge_everywhere("captures", &captures);
}

/// Writes the packets of a random scenario into a capture; every tenth is cut short.
fn capture_of(scenario: &Scenario, path: &Path) {
    let mut file = CaptureFile::default();
    let mut time = Duration::from_secs(1_700_000_000);
    for (index, step) in scenario.steps.iter().enumerate() {
        match step {
            Step::Wait(ticks) => time += Duration::from_millis(ticks * TICK_MS),
            Step::Change(_) | Step::Room(_) => {}
            Step::Packet { packet, flips, .. } => {
                let (frame, _) = spoilt(packet, flips);
                let captured = if index % 10 == 0 { 60 } else { frame.len() };
                file.push(time, &frame, captured);
            }
        }
    }
    file.write(path);
}

#[test]
fn random_captures_are_judged_as_the_oracle_says() {
    let directory = Directory::temporary("captures");
    let mut sum = Agreement::default();
    // In virtual machines, programs take long to load.
    let seeds = if env::var_os("SG_SHORT").is_some() {
        4
    } else {
        12
    };
    for seed in 0..seeds {
        let scenario = Scenario::random(seed, 1000);
        let path = directory.path().join(format!("{seed}.pcap"));
        capture_of(&scenario, &path);
        let host = &scenario.host;
        let (side, hook) = PLACES[seed as usize % PLACES.len()];
        let spec = InterfaceSpec {
            side,
            hook,
            ..host.interface.clone()
        };
        let local: Vec<_> = host.addresses.iter().copied().map(IpNet::from).collect();
        let agreement = judge_as(&[path], &host.model, &spec, &local);
        sum.judged += agreement.judged;
        sum.passed += agreement.passed;
        sum.skipped += agreement.skipped;
    }
    assert!(sum.judged > seeds * 600, "{sum:?}");
    assert!(sum.passed > seeds * 100, "{sum:?}");
    assert!(sum.skipped > 0, "{sum:?}");
}
