//! Tunnels of the kernel's own, which not every kernel has: the guests of `cargo xtask vmtest` do.
//! What travels in one is judged by its inner addresses, what carries it at the interface below.

use std::{
    fs::{self, File},
    path::Path,
    process::Command,
};

use rstest::rstest;
use sg_ctl::host::dataplane::HookKind;
use sg_tests::{
    family::Family,
    netns::Namespace,
    ppp::{self, SerialLine},
    sg_ctl::SgCtl,
    topology::{Host, Network},
    traffic::{Connection, Server, tcp_is_silent, udp_exchange, udp_is_silent},
};

use crate::host::attached::reasons_on;

/// A kind of tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    WireGuard,
    Gre,
    /// Carries IPv6 only.
    Sit,
    /// By a serial line, not by the interface below.
    Ppp,
}

/// The kernel has no such tunnel.
struct Missing;

/// Where `WireGuard` listens.
const PORT: &str = "51820";

impl Kind {
    /// The interface.
    const fn name(self) -> &'static str {
        match self {
            Self::WireGuard => "wg0",
            Self::Gre => "gre1",
            Self::Sit => "sit1",
            Self::Ppp => ppp::NAME,
        }
    }

    /// The rule that lets it through below; for PPP one that nothing needs.
    fn carrier(self) -> String {
        match self {
            Self::WireGuard => format!("protocol: udp, ports: {PORT}"),
            Self::Gre => "protocol: 47".to_owned(),
            Self::Sit => "protocol: 41".to_owned(),
            Self::Ppp => "protocol: 98".to_owned(),
        }
    }

    const fn families(self) -> &'static [Family] {
        match self {
            Self::Sit => &[Family::V6],
            Self::WireGuard | Self::Gre | Self::Ppp => &[Family::V4, Family::V6],
        }
    }

    /// Makes both ends; returns what they last as long as, if it is not the kernel that keeps them.
    fn make(self, ends: [&Host; 2]) -> Result<Option<SerialLine>, Missing> {
        if self == Self::Ppp {
            let line = SerialLine::between(ends.map(|host| &host.namespace));
            return line.map(Some).ok_or(Missing);
        }
        let [near, far] = ends;
        let is_made = self.make_end(near, far) && self.make_end(far, near);
        if is_made { Ok(None) } else { Err(Missing) }
    }

    fn make_end(self, host: &Host, other: &Host) -> bool {
        let (local, remote) = (host.v4.to_string(), other.v4.to_string());
        let ends = ["local", &local, "remote", &remote];
        let (kind, ends) = match self {
            Self::WireGuard => ("wireguard", &[][..]),
            Self::Gre => ("gre", &ends[..]),
            Self::Sit => ("sit", &ends[..]),
            Self::Ppp => unreachable!("no link that `ip` makes"),
        };
        let words = [self.name(), "type", kind];
        host.namespace.add_link(&[&words[..], ends].concat(), kind)
    }
}

/// Runs `wg`, with this file for its input; returns what it prints.
fn wg(namespace: &Namespace, words: &[&str], input: Option<&Path>) -> String {
    let mut command = Command::new("wg");
    command.args(words);
    if let Some(input) = input {
        command.stdin(File::open(input).expect("it was written"));
    }
    let output = namespace.output(&mut command);
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Lets two ends know each other's keys.
fn introduce(near: (&Host, &SgCtl<'_>), far: (&Host, &SgCtl<'_>)) {
    let keys = [near, far].map(|(host, sg)| {
        let file = sg.directory().join("wg.key");
        let private = wg(&host.namespace, &["genkey"], None);
        fs::write(&file, &private).expect("the directory is there");
        (wg(&host.namespace, &["pubkey"], Some(&file)), file)
    });
    let [(near_key, near_file), (far_key, far_file)] = &keys;
    for (host, file, other, key) in [
        (near.0, near_file, far.0, far_key),
        (far.0, far_file, near.0, near_key),
    ] {
        let (file, endpoint) = (file.to_string_lossy(), format!("{}:{PORT}", other.v4));
        let own = [
            "set",
            Kind::WireGuard.name(),
            "listen-port",
            PORT,
            "private-key",
            &file,
        ];
        let peer = [
            "peer",
            key,
            "endpoint",
            &endpoint,
            "allowed-ips",
            "10.9.0.0/24,fd09::/64",
        ];
        wg(&host.namespace, &[&own[..], &peer].concat(), None);
    }
}

/// Gives an end its addresses, `10.9.0.N` and `fd09::N`.
fn set_up(host: &Host, kind: Kind, number: u8) {
    let name = kind.name();
    let v4 = if kind == Kind::Sit {
        String::new()
    } else {
        format!("addr add 10.9.0.{number}/24 dev {name}\n")
    };
    host.namespace.ip(&format!(
        "{v4}addr add fd09::{number}/64 dev {name} nodad\nlink set {name} up\n"
    ));
}

/// The inner address of an end.
fn inner(family: Family, number: u8) -> std::net::IpAddr {
    let text = match family {
        Family::V4 => format!("10.9.0.{number}"),
        Family::V6 => format!("fd09::{number}"),
    };
    text.parse().expect("an address")
}

#[rstest]
#[case::wireguard(Kind::WireGuard)]
#[case::gre(Kind::Gre)]
#[case::sit(Kind::Sit)]
#[case::ppp(Kind::Ppp)]
fn what_travels_in_a_tunnel_is_judged_by_its_inner_addresses(#[case] kind: Kind) {
    let network = Network::new(&["near", "far"]);
    let [near, far] = network.hosts();
    let Ok(_line) = kind.make([near, far]) else {
        return;
    };
    let (sg, other) = (SgCtl::new(&near.namespace), SgCtl::new(&far.namespace));
    if kind == Kind::WireGuard {
        introduce((near, &sg), (far, &other));
    }
    set_up(near, kind, 1);
    set_up(far, kind, 2);
    let name = kind.name();
    let rules = format!(
        "
        security_groups:
          below:
            inbound: [{{ {}, source: {}/32 }}]
            outbound: [{{ {}, destination: {}/32 }}]
          within:
            inbound:
              - {{ protocol: tcp, ports: 80, sources: [10.9.0.2/32, 'fd09::2/128'] }}
              - {{ protocol: udp, ports: 53, sources: [10.9.0.2/32, 'fd09::2/128'] }}
            outbound: [{{ protocol: tcp, ports: 443, destinations: [10.9.0.2/32, 'fd09::2/128'] }}]
        interfaces: {{ eth0: {{ groups: [below] }}, {name}: {{ groups: [within] }} }}",
        kind.carrier(),
        far.v4,
        kind.carrier(),
        far.v4,
    );
    let file = sg.rule_file("rules.yaml", &rules);
    let error = sg.fails(1, &["attach", name, "--hook", "xdp", "-f", &file]);
    assert!(error.contains("no Ethernet header"), "{error}");
    sg.ok(&["attach", "eth0", "-f", &file]);
    let attached = sg.json(&["attach", name]);
    assert_eq!(attached["ingress"], HookKind::tc().name(), "{attached:#}");

    let _servers = (
        [80, 81].map(|port| Server::tcp(&near.namespace, port)),
        [53, 54].map(|port| Server::udp(&near.namespace, port)),
        [443, 444].map(|port| Server::tcp(&far.namespace, port)),
    );
    for &family in kind.families() {
        let (own, remote) = (inner(family, 1), inner(family, 2));
        let mut connections = [
            Connection::open(&far.namespace, own, 80).expect("a rule admits it"),
            Connection::open(&near.namespace, remote, 443).expect("a rule admits it"),
        ];
        for connection in &mut connections {
            connection
                .exchange("through the tunnel")
                .expect("it is tracked");
            connection.pour(100_000).expect("it is tracked");
        }
        udp_exchange(&far.namespace, own, 53).expect("a rule admits it");
        assert!(tcp_is_silent(&far.namespace, own, 81));
        assert!(udp_is_silent(&far.namespace, own, 54));
        assert!(tcp_is_silent(&near.namespace, remote, 444));
        // Not at the end: on an emulated machine that may be more than 30 s later, when the datagrams' flow
        // is forgotten, or the 10 s after which one is that both ends have closed.
        let flows = sg.json(&["flows", "--interface", name]);
        let remotes = flows.as_array().expect("a list").iter();
        let (of_this, of_others): (Vec<String>, Vec<String>) = remotes
            .map(|flow| flow["remote"].as_str().expect("an address").to_owned())
            .partition(|address| *address == remote.to_string());
        assert_eq!(of_this.len(), 3, "{flows:#}");
        let first = inner(kind.families()[0], 2).to_string();
        assert!(of_others.iter().all(|other| *other == first), "{flows:#}");
        drop(connections);
    }
    let mut reasons = reasons_on(&sg, name);
    for direction in ["inbound", "outbound"] {
        for reason in ["new", "established", "no-rule"] {
            let packets = reasons.remove(&(direction.to_owned(), reason.to_owned()));
            assert!(
                packets.is_some_and(|packets| packets > 0),
                "{direction} {reason}"
            );
        }
    }
    // Nothing was taken for a header that is not there; some kernels look for routers there.
    reasons.retain(|(_, reason), _| reason != "infra-nd");
    assert!(reasons.is_empty(), "{reasons:?}");

    if kind == Kind::Ppp {
        return;
    }
    // Without the rules below nothing travels, whatever is admitted within.
    let shut = sg.rule_file(
        "rules.yaml",
        &rules.replace(&kind.carrier(), "protocol: 99"),
    );
    sg.ok(&["apply", "-f", &shut]);
    sg.ok(&["flows", "kill", "--interface", "eth0"]);
    for port in [80, 81] {
        assert!(tcp_is_silent(&far.namespace, inner(Family::V6, 1), port));
    }
}
