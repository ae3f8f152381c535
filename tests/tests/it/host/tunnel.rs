//! Interfaces whose packets have no header of a link: tunnels.

use rstest::rstest;
use sg_ctl::host::dataplane::HookKind;
use sg_tests::{
    netns::Namespace,
    sg_ctl::SgCtl,
    traffic::{Connection, Server, tcp_is_silent, udp_exchange, udp_is_silent},
    tunnel::{LinkType, NAME, Tunnel},
};

use super::attached::{drops, packets};

const RULES: &str = "
security_groups:
  tested:
    inbound:
      - { protocol: tcp, ports: 80, source: 10.9.0.2/32 }
      - { protocol: tcp, ports: 80, source: 'fd09::2/128' }
      - { protocol: udp, ports: 53, source: 'fd09::2/128' }
    outbound: [{ protocol: tcp, ports: 443, destination: 10.9.0.0/24 }]
interfaces: { tun0: { groups: [tested] } }
";

/// A namespace with one end of a tunnel: `10.9.0.N` and `fd09::N`.
fn set_up(namespace: &Namespace, number: u8) {
    namespace.ip(&format!(
        "link set lo up\naddr add 10.9.0.{number}/24 dev {NAME}\n\
         addr add fd09::{number}/64 dev {NAME} nodad\nlink set {NAME} up\n"
    ));
}

#[rstest]
#[case::tun(LinkType::None, false)]
#[case::tun_with_offloads(LinkType::None, true)]
#[case::ppp(LinkType::Ppp, false)]
#[case::modem(LinkType::RawIp, false)]
fn packets_without_a_link_header_are_judged_both_ways(
    #[case] link_type: LinkType,
    #[case] has_offloads: bool,
) {
    const MTU: usize = 1500;
    let (near, far) = (Namespace::new("near"), Namespace::new("far"));
    let tunnel = Tunnel::between([&near, &far], link_type, has_offloads);
    set_up(&near, 1);
    set_up(&far, 2);
    let _servers = (
        Server::tcp(&near, 80),
        Server::udp(&near, 53),
        Server::tcp(&far, 443),
        Server::tcp(&far, 80),
    );
    let v4 = |number: u8| std::net::Ipv4Addr::new(10, 9, 0, number);
    let v6 = |number: u16| std::net::Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, number);
    let sg = SgCtl::new(&near);
    let file = sg.rule_file("rules.yaml", RULES);

    let refused = sg.fails(1, &["attach", NAME, "--hook", "xdp", "-f", &file]);
    assert!(refused.contains("no Ethernet header"), "{refused}");
    assert!(refused.contains("--hook auto"), "{refused}");
    let attached = sg.json(&["attach", NAME, "-f", &file]);
    assert_eq!(attached["ingress"], HookKind::tc().name(), "{attached:#}");
    let reason = attached["ingress_reason"]
        .as_str()
        .unwrap_or_else(|| panic!("{attached:#}"));
    assert!(reason.contains("no Ethernet header"), "{reason}");

    // Open to the end: a flow is forgotten ten seconds after both ends have closed it.
    let mut connections = [
        Connection::open(&far, v4(1), 80).expect("a rule admits it"),
        Connection::open(&far, v6(1), 80).expect("a rule admits it"),
        Connection::open(&near, v4(2), 443).expect("a rule admits it"),
    ];
    for connection in &mut connections {
        connection
            .exchange("through the tunnel")
            .expect("it is tracked");
        connection.pour(100_000).expect("it is tracked");
    }
    assert_eq!(tunnel.longest() > 2 * MTU, has_offloads);
    udp_exchange(&far, v6(1), 53).expect("a rule admits it");
    assert!(udp_is_silent(&far, v4(1), 53));
    assert!(tcp_is_silent(&near, v4(2), 80));
    for direction in ["inbound", "outbound"] {
        assert!(packets(&sg, direction, "established") > 0, "{direction}");
        assert!(packets(&sg, direction, "no-rule") > 0, "{direction}");
    }
    // Whatever dropped was whole: nothing was taken for a header that is not there.
    for (_, reason) in drops(&sg) {
        assert_eq!(reason, "no-rule");
    }
    let flows = sg.json(&["flows"]);
    assert_eq!(flows.as_array().expect("a list").len(), 4, "{flows:#}");
    drop(connections);
}
