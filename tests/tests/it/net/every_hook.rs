//! The same story at every hook: who is admitted gets through and is answered, nobody else is.

use rstest::rstest;
use sg_common::{flow::Direction, reason::Reason};
use sg_ctl::host::dataplane::HookKind;
use sg_policy::model::Side;
use sg_tests::{
    family::Family,
    guard::Guard,
    topology::{Host, Network},
    traffic::{Connection, Server, tcp_is_silent, udp_exchange, udp_is_silent},
};

/// What the server's group allows: two services for the client, one service of the client.
fn group(client: &Host) -> String {
    let (v4, v6) = (client.v4, client.v6);
    format!(
        r#"{{
          inbound: [{{ protocol: tcp, ports: 80, sources: [{v4}/32, "{v6}/128"] }},
                    {{ protocol: udp, ports: 53, sources: [{v4}/32, "{v6}/128"] }}],
          outbound: [{{ protocol: tcp, ports: 443, destinations: [{v4}/32, "{v6}/128"] }}]
        }}"#
    )
}

#[rstest]
#[case::xdp_native(HookKind::XdpNative)]
#[case::xdp_generic(HookKind::XdpGeneric)]
#[case::tcx(HookKind::Tcx)]
#[case::clsact(HookKind::Clsact)]
fn only_what_is_admitted_gets_through(
    #[case] hook: HookKind,
    #[values(Side::Nic, Side::Workload)] side: Side,
) {
    if hook == HookKind::Tcx && HookKind::tc() != hook {
        println!("skipped: TCX came with Linux 6.6");
        return;
    }
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    // Either end of the server's link.
    let (namespace, interface) = match side {
        Side::Nic => (&server.namespace, "eth0"),
        Side::Workload => (&network.router, "server"),
    };
    let services = [
        Server::tcp(&server.namespace, 80),
        Server::tcp(&server.namespace, 81),
        Server::udp(&server.namespace, 53),
        Server::udp(&server.namespace, 54),
        Server::tcp(&client.namespace, 443),
        Server::tcp(&client.namespace, 444),
    ];
    let guard = Guard::attach(namespace, interface, side, hook, &group(client));
    for family in [Family::V4, Family::V6] {
        let (inside, outside) = (server.address(family), client.address(family));
        let mut inbound = Connection::open(&client.namespace, inside, 80).expect("admitted");
        inbound
            .exchange("an answer needs no rule")
            .expect("tracked");
        udp_exchange(&client.namespace, inside, 53).expect("admitted");
        let mut outbound = Connection::open(&server.namespace, outside, 443).expect("admitted");
        outbound
            .exchange("an answer needs no rule")
            .expect("tracked");
        assert!(tcp_is_silent(&client.namespace, inside, 81));
        assert!(udp_is_silent(&client.namespace, inside, 54));
        assert!(tcp_is_silent(&server.namespace, outside, 444));
    }
    for (direction, reason, packets) in [
        (Direction::Inbound, Reason::New, 4),
        (Direction::Outbound, Reason::New, 2),
        (Direction::Inbound, Reason::NoRule, 4),
        (Direction::Outbound, Reason::NoRule, 2),
    ] {
        let seen = guard.packets(direction, reason);
        assert_eq!(seen, packets, "{direction:?} {reason:?}");
    }
    assert!(guard.packets(Direction::Inbound, Reason::Established) > 0);
    assert!(guard.packets(Direction::Outbound, Reason::Established) > 0);

    guard.detach();
    Connection::open(&client.namespace, server.v4, 81).expect("nobody guards it any more");
    drop(services);
}
