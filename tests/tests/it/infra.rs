//! Traffic that groups never filter, and its lookalikes: vectors N01 to N07.

use crate::prelude::*;

use sg_tests::packet::arp_request;

const NO_RULES: &str = "outbound: []";

/// Groups without a rule on an interface with these settings.
fn no_rules(place: Place, settings: &str) -> Filter {
    let group = "security_groups: { tested: { outbound: [] } }";
    let interface = format!("interfaces: {{ eth0: {{ groups: [tested], {settings} }} }}");
    Filter::new(place, &format!("{group}\n{interface}\n"))
}

#[apply(everywhere)]
fn n01_arp_passes_without_a_rule(place: Place) {
    let filter = Filter::with_group(place, NO_RULES);
    let request = arp_request([203, 0, 113, 7], [192, 0, 2, 10]);
    filter.inbound(&request).passes(Reason::InfraArp);
    filter.outbound(&request).passes(Reason::InfraArp);
    assert!(filter.flows().is_empty());
}

/// Sends a message both ways: it passes for `reason` where it may, and is judged by the rules, of
/// which there are none, where it may not.
fn expect(filter: &Filter, message: &Frame, reason: Reason, [inbound, outbound]: [bool; 2]) {
    for (run, passes) in [
        (filter.inbound(message), inbound),
        (filter.outbound(message), outbound),
    ] {
        if passes {
            run.passes(reason);
        } else {
            run.drops(Reason::NoRule);
        }
    }
}

const BOTH: [bool; 2] = [true, true];
const INBOUND: [bool; 2] = [true, false];
const NEITHER: [bool; 2] = [false, false];

#[apply(everywhere)]
fn n02_neighbour_discovery_passes_without_a_rule(place: Place) {
    let filter = Filter::with_group(place, NO_RULES);
    // Router solicitation, neighbour solicitation and advertisement.
    for kind in [133, 135, 136] {
        let message = icmp("fe80::1", "ff02::1:ff00:10", kind, 0).payload(20);
        let genuine = message.clone().hop_limit(255);
        expect(&filter, &genuine, Reason::InfraNd, BOTH);
        // A router on the way would have made it 254: it does not come from this link.
        for hop_limit in [0, 1, 64, 254] {
            let routed = message.clone().hop_limit(hop_limit);
            expect(&filter, &routed, Reason::InfraNd, NEITHER);
        }
    }
    assert!(filter.flows().is_empty());
}

#[apply(everywhere)]
fn router_advertisements_and_redirects_come_in_and_need_a_rule_to_leave(place: Place) {
    let filter = Filter::with_group(place, NO_RULES);
    let with_rule = Filter::with_group(
        place,
        "outbound: [{ protocol: icmpv6, icmp: { type: 134 }, destination: '::/0' }]",
    );
    for kind in [134, 137] {
        let message = icmp("fe80::1", "ff02::1", kind, 0).payload(20);
        expect(
            &filter,
            &message.clone().hop_limit(254),
            Reason::InfraNd,
            NEITHER,
        );
        let genuine = message.hop_limit(255);
        expect(&filter, &genuine, Reason::InfraNd, INBOUND);
        if kind == 134 {
            with_rule.outbound(&genuine).passes(Reason::Stateless);
        } else {
            with_rule.outbound(&genuine).drops(Reason::NoRule);
        }
    }
}

#[apply(everywhere)]
fn multicast_listener_discovery_passes_without_a_rule(place: Place) {
    let filter = Filter::with_group(place, NO_RULES);
    for (kind, ways) in [(130, INBOUND), (131, BOTH), (132, BOTH), (143, BOTH)] {
        let message = icmp("fe80::1", "ff02::16", kind, 0).payload(20);
        let genuine = message.clone().hop_limit(1);
        expect(&filter, &genuine, Reason::InfraMld, ways);
        expect(&filter, &message.hop_limit(2), Reason::InfraMld, NEITHER);
    }
}

/// An IGMP message of 8 bytes.
fn igmp(from: &str, to: &str, kind: u8) -> Frame {
    let mut message = ip(from, to, 2).hop_limit(1);
    message.data = vec![kind, 0, 0, 0, 239, 1, 1, 1];
    message
}

#[apply(everywhere)]
fn multicast_membership_passes_without_a_rule(place: Place) {
    let filter = Filter::with_group(place, NO_RULES);
    // Query; reports of versions 1 and 2, leave, report of version 3.
    for (kind, ways) in [
        (0x11, INBOUND),
        (0x12, BOTH),
        (0x16, BOTH),
        (0x17, BOTH),
        (0x22, BOTH),
    ] {
        for group in ["224.0.0.1", "239.255.255.255"] {
            let message = igmp("0.0.0.0", group, kind);
            expect(&filter, &message, Reason::InfraIgmp, ways);
            // Router alert, as the sender sets it.
            let alert = message.clone().options(&[0x94, 4, 0, 0]);
            expect(&filter, &alert, Reason::InfraIgmp, ways);
            expect(&filter, &message.vlan(5), Reason::InfraIgmp, ways);
        }
    }
    assert!(filter.flows().is_empty());
}

#[apply(everywhere)]
fn what_looks_like_multicast_membership_is_judged_by_the_rules(place: Place) {
    let filter = Filter::with_group(place, NO_RULES);
    let report = igmp("192.0.2.9", "239.1.1.1", 0x16);
    for message in [
        report.clone().hop_limit(2),
        report.clone().hop_limit(255),
        igmp("192.0.2.9", "192.0.2.10", 0x16),
        igmp("192.0.2.9", "240.0.0.1", 0x16),
        // Multicast routing, router discovery, and what nobody knows.
        igmp("192.0.2.9", "224.0.0.4", 0x13),
        igmp("192.0.2.9", "224.0.0.2", 0x30),
        igmp("192.0.2.9", "224.0.0.2", 0),
        Frame {
            data: vec![0x16, 0, 0, 0, 239, 1, 1],
            ..report.clone()
        },
        {
            let mut other_family = ip("fe80::1", "ff02::1", 2).hop_limit(1);
            other_family.data = report.data;
            other_family
        },
    ] {
        expect(&filter, &message, Reason::InfraIgmp, NEITHER);
    }
}

#[apply(everywhere)]
fn n03_dhcp_answers_pass_without_a_rule(place: Place) {
    let filter = Filter::with_group(place, NO_RULES);
    for server in ["192.0.2.1:67", "0.0.0.0:67"] {
        for client in ["192.0.2.10:68", "255.255.255.255:68"] {
            filter
                .inbound(&udp(server, client).payload(300))
                .passes(Reason::InfraDhcp4);
        }
    }
    filter
        .outbound(&udp("0.0.0.0:68", "255.255.255.255:67").payload(300))
        .passes(Reason::InfraDhcp4);
}

#[apply(everywhere)]
fn n04_dhcp_lookalikes_are_judged_by_the_rules(place: Place) {
    let filter = Filter::with_group(place, NO_RULES);
    for (from, to) in [
        ("192.0.2.1:67", "192.0.2.10:69"),
        ("192.0.2.1:66", "192.0.2.10:68"),
        // This host is a client and no server.
        ("192.0.2.1:68", "192.0.2.10:67"),
        ("[fe80::1]:67", "[fe80::10]:68"),
    ] {
        filter.inbound(&udp(from, to)).drops(Reason::NoRule);
    }
    for (from, to) in [
        ("192.0.2.10:69", "192.0.2.1:67"),
        ("192.0.2.10:68", "192.0.2.1:66"),
        ("192.0.2.10:67", "192.0.2.1:68"),
        ("192.0.2.10:67", "255.255.255.255:68"),
        ("[fe80::10]:68", "[fe80::1]:67"),
    ] {
        filter.outbound(&udp(from, to)).drops(Reason::NoRule);
    }
    let fragments = udp("192.0.2.1:67", "192.0.2.10:68").payload(300);
    let fragments = fragments.fragments(1, 64);
    filter.inbound(&fragments[1]).drops(Reason::FragmentUnknown);
    filter.inbound(&fragments[0]).passes(Reason::InfraDhcp4);
    filter.inbound(&fragments[1]).passes(Reason::Fragment);
    filter
        .inbound(&tcp("192.0.2.1:67", "192.0.2.10:68").syn())
        .drops(Reason::NoRule);
}

#[apply(everywhere)]
fn dhcpv6_passes_on_the_link_alone(place: Place) {
    let filter = Filter::with_group(place, NO_RULES);
    let client = |server: &str| udp("[fe80::10]:546", server);
    // Servers and relays answer from whichever address they have.
    for server in ["[fe80::1]:547", "[2001:db8::1]:547", "[fd00::1]:547"] {
        let request = client(server);
        filter.outbound(&request).passes(Reason::InfraDhcp6);
        filter.inbound(&request.reply()).passes(Reason::InfraDhcp6);
    }
    filter
        .outbound(&client("[ff02::1:2]:547"))
        .passes(Reason::InfraDhcp6);
    for (client, server) in [
        ("[2001:db8:a::10]:546", "[fe80::1]:547"),
        ("[2001:db8:a::10]:546", "[ff02::1:2]:547"),
        ("[fe80::10]:546", "[2001:db8::1]:40000"),
        ("[fe80::10]:545", "[fe80::1]:547"),
        // This host is a client and no server.
        ("[fe80::10]:547", "[fe80::1]:546"),
        ("192.0.2.10:546", "192.0.2.1:547"),
    ] {
        let request = udp(client, server);
        filter.outbound(&request).drops(Reason::NoRule);
        filter.inbound(&request.reply()).drops(Reason::NoRule);
    }
    assert!(filter.flows().is_empty());
}

#[apply(everywhere)]
fn other_protocols_below_ip_pass_without_a_rule(place: Place) {
    let filter = Filter::with_group(place, NO_RULES);
    // LLDP, 802.1X, and a length: spanning tree is LLC.
    for ether_type in [0x88cc, 0x888e, 0x0026] {
        let frame = ethernet(ether_type, &[0; 46]);
        filter.inbound(&frame).passes(Reason::InfraNonIp);
        filter.outbound(&frame).passes(Reason::InfraNonIp);
    }
}

#[apply(everywhere)]
fn n05_services_of_ec2_pass_where_they_are_switched_on(place: Place) {
    let filter = no_rules(place, "infra: { ec2: on }");
    let to = |peer: &str| tcp("192.0.2.10:40000", peer).syn();
    filter
        .outbound(&to("169.254.169.254:80"))
        .passes(Reason::InfraEc2);
    filter
        .inbound(&to("169.254.169.254:80").reply().syn_ack())
        .passes(Reason::InfraEc2);
    filter
        .outbound(&to("169.254.169.254:443"))
        .drops(Reason::NoRule);
    filter
        .outbound(&to("169.254.169.253:53"))
        .passes(Reason::InfraEc2);
    filter
        .outbound(&udp("192.0.2.10:123", "169.254.169.123:123"))
        .passes(Reason::InfraEc2);
    filter
        .outbound(&udp("[2001:db8:a::10]:40000", "[fd00:ec2::253]:53"))
        .passes(Reason::InfraEc2);
    filter
        .outbound(&udp("[2001:db8:a::10]:40000", "[fd00:ec2::252]:53"))
        .drops(Reason::NoRule);
    assert!(filter.flows().is_empty());
}

#[apply(everywhere)]
fn services_of_ec2_are_known_by_address_and_port(place: Place) {
    let filter = no_rules(place, "infra: { ec2: on }");
    for (address, is_udp, port) in [
        ("169.254.169.253", true, 53),
        ("169.254.169.253", false, 53),
        ("169.254.169.254", false, 80),
        ("169.254.170.2", false, 80),
        ("169.254.170.23", false, 80),
        ("169.254.169.123", true, 123),
        ("169.254.169.250", false, 1688),
        ("169.254.169.251", false, 1688),
        ("fd00:ec2::253", true, 53),
        ("fd00:ec2::253", false, 53),
        ("fd00:ec2::254", false, 80),
        ("fd00:ec2::23", false, 80),
        ("fd00:ec2::123", true, 123),
        ("fd00:ec2::250", false, 1688),
        ("fd00:ec2::240", false, 1688),
    ] {
        let remote: std::net::IpAddr = address.parse().expect("an address");
        let family = if remote.is_ipv4() { V4 } else { V6 };
        let packet = |is_udp: bool, port: u16| {
            let (from, to) = ((family.local(), 40000), (remote, port));
            if is_udp {
                udp(from, to)
            } else {
                tcp(from, to).syn()
            }
        };
        let service = packet(is_udp, port);
        filter.outbound(&service).passes(Reason::InfraEc2);
        filter.inbound(&service.reply()).passes(Reason::InfraEc2);
        filter
            .outbound(&packet(is_udp, port + 1))
            .drops(Reason::NoRule);
        if port != 53 {
            filter
                .outbound(&packet(!is_udp, port))
                .drops(Reason::NoRule);
        }
        // It is a service of the other side alone.
        let mut asked = service.reply();
        (asked.from.port, asked.to.port) = (40000, port);
        filter.inbound(&asked).drops(Reason::NoRule);
    }
    assert!(filter.flows().is_empty());
}

#[apply(everywhere)]
fn n06_resolvers_elsewhere_are_judged_by_the_rules(place: Place) {
    let filter = no_rules(place, "infra: { ec2: on }");
    filter
        .outbound(&udp("192.0.2.10:40000", "8.8.8.8:53"))
        .drops(Reason::NoRule);
}

#[apply(everywhere)]
fn n07_services_of_ec2_are_judged_by_the_rules_elsewhere(place: Place) {
    let filter = no_rules(place, "infra: { ec2: off }");
    filter
        .outbound(&tcp("192.0.2.10:40000", "169.254.169.254:80").syn())
        .drops(Reason::NoRule);
}

#[apply(everywhere)]
fn what_is_switched_off_is_judged_by_the_rules(place: Place) {
    let off = "arp: off, non_ip: off, nd: off, mld: off, igmp: off, dhcp4: off, dhcp6: off";
    let filter = no_rules(place, &format!("infra: {{ {off} }}"));
    for frame in [
        arp_request([203, 0, 113, 7], [192, 0, 2, 10]),
        ethernet(0x88cc, &[0; 46]),
        icmp("fe80::1", "ff02::1", 135, 0).hop_limit(255).bytes(),
        icmp("fe80::1", "ff02::16", 143, 0).hop_limit(1).bytes(),
        igmp("192.0.2.1", "224.0.0.1", 0x11).bytes(),
        udp("192.0.2.1:67", "192.0.2.10:68").bytes(),
        udp("[fe80::1]:547", "[fe80::10]:546").bytes(),
    ] {
        filter.inbound(&frame).drops(Reason::NoRule);
    }
}
