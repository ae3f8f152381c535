//! ICMP errors about flows: vectors M01 to M03, and the quotes that prove nothing.

use sg_tests::packet::Extension;

use crate::prelude::*;

/// How far an error quotes a packet: ICMP 28 bytes at least (RFC 792), ICMPv6 all that fits.
const SHORT: usize = 28;
const LONG: usize = 1232;

/// HTTPS may leave; errors pass by this setting.
fn filter(place: Place, related: &str) -> Filter {
    Filter::new(
        place,
        &format!(
            "
            security_groups:
              tested: {{ outbound: [{{ type: HTTPS, destinations: [203.0.113.7/32, '2001:db8:cb::7/128'], description: out }}] }}
            interfaces: {{ eth0: {{ groups: [tested], related: {related} }} }}
            "
        ),
    )
}

fn https(family: Family) -> Frame {
    tcp((family.local(), 40000), (family.remote(), 443)).syn()
}

/// Path MTU, and an error of another kind.
fn too_big(family: Family) -> (u8, u8) {
    match family {
        V4 => (3, 4),
        V6 => (2, 0),
    }
}

fn time_exceeded(family: Family) -> (u8, u8) {
    match family {
        V4 => (11, 0),
        V6 => (3, 0),
    }
}

#[rstest]
#[case::off("off", false)]
#[case::pmtud("pmtud", true)]
#[case::errors("errors", true)]
#[case::all("all", true)]
fn m01_a_path_mtu_message_about_a_flow_passes(
    #[values(NIC_XDP, NIC_TC, WORKLOAD_XDP, WORKLOAD_TC)] place: Place,
    #[values(V4, V6)] family: Family,
    #[case] related: &str,
    #[case] passes: bool,
) {
    let filter = filter(place, related);
    filter.outbound(&https(family)).passes(Reason::New);
    let error = icmp_error(family.router(), &https(family), too_big(family), LONG);
    let seen = filter.inbound(&error);
    if passes {
        seen.passes(Reason::Related).by_rule("out");
    } else {
        seen.drops(Reason::NoRule);
    }
    assert_eq!(filter.only_flow().1.packets, [1, 0]);
}

#[rstest]
fn m02_an_error_about_no_flow_is_dropped(
    #[values(NIC_XDP, NIC_TC, WORKLOAD_XDP, WORKLOAD_TC)] place: Place,
    #[values(V4, V6)] family: Family,
    #[values("off", "pmtud", "errors", "all")] related: &str,
) {
    let mut filter = filter(place, related);
    let error = icmp_error(family.router(), &https(family), too_big(family), LONG);
    filter.inbound(&error).drops(Reason::NoRule);
    // About one that is over, too.
    filter.outbound(&https(family)).passes(Reason::New);
    filter.wait_seconds(61);
    filter.inbound(&error).drops(Reason::NoRule);
}

#[rstest]
#[case::off("off", false)]
#[case::pmtud("pmtud", false)]
#[case::errors("errors", true)]
#[case::all("all", true)]
fn m03_another_error_about_a_flow_passes_if_it_should(
    #[values(NIC_XDP, NIC_TC, WORKLOAD_XDP, WORKLOAD_TC)] place: Place,
    #[values(V4, V6)] family: Family,
    #[case] related: &str,
    #[case] passes: bool,
) {
    let filter = filter(place, related);
    filter.outbound(&https(family)).passes(Reason::New);
    let error = icmp_error(family.router(), &https(family), time_exceeded(family), LONG);
    let seen = filter.inbound(&error);
    if passes {
        seen.passes(Reason::Related);
    } else {
        seen.drops(Reason::NoRule);
    }
}

#[apply(everywhere)]
fn each_setting_admits_its_messages(
    place: Place,
    #[values(("off", 0), ("pmtud", 1), ("errors", 2), ("all", 3))] setting: (&str, u8),
) {
    let (related, level) = setting;
    let filter = filter(place, related);
    filter.outbound(&https(V4)).passes(Reason::New);
    filter.outbound(&https(V6)).passes(Reason::New);
    // Message, and the first setting that admits it.
    for (family, message, from) in [
        (V4, (3, 4), 1),
        (V4, (3, 0), 2),
        (V4, (3, 13), 2),
        (V4, (11, 1), 2),
        (V4, (12, 0), 2),
        (V4, (4, 0), 3),
        (V4, (5, 1), 3),
        (V6, (2, 0), 1),
        (V6, (1, 4), 2),
        (V6, (3, 1), 2),
        (V6, (4, 1), 2),
        // No errors at all.
        (V4, (8, 0), 9),
        (V4, (0, 0), 9),
        (V6, (5, 0), 9),
        (V6, (100, 0), 9),
    ] {
        let error = icmp_error(family.router(), &https(family), message, LONG);
        let seen = filter.inbound(&error);
        if level >= from {
            seen.passes(Reason::Related);
        } else {
            seen.drops(Reason::NoRule);
        }
    }
}

#[apply(everywhere_in_both_families)]
fn our_errors_about_flows_of_others_pass(place: Place, family: Family) {
    let all = family.everything();
    let rule = format!("inbound: [{{ protocol: udp, ports: 53, source: '{all}' }}]\noutbound: []");
    let filter = Filter::with_group(place, &rule);
    let query = udp((family.remote(), 40000), (family.local(), 53));
    filter.inbound(&query).passes(Reason::New);
    let unreachable = match family {
        V4 => (3, 3),
        V6 => (1, 4),
    };
    filter
        .outbound(&icmp_error(family.local(), &query, unreachable, LONG))
        .passes(Reason::Related);
    let other = udp((family.remote(), 40001), (family.local(), 53));
    filter
        .outbound(&icmp_error(family.local(), &other, unreachable, LONG))
        .drops(Reason::NoRule);
}

#[apply(everywhere_in_both_families)]
fn errors_about_udp_ping_and_other_protocols_pass(place: Place, family: Family) {
    let all = family.everything();
    let rule = format!("outbound: [{{ type: All traffic, destination: '{all}' }}]");
    let filter = Filter::with_group(place, &rule);
    let (local, remote) = (family.local(), family.remote());
    for packet in [
        udp((local, 40000), (remote, 53)).payload(100),
        ping(local, remote, 7).payload(56),
        ip(local, remote, 47),
        tcp((local, 40000), (remote, 443)).syn().payload(100),
    ] {
        let error = |quoted| icmp_error(family.router(), &packet, time_exceeded(family), quoted);
        let headers = if local.is_ipv4() { 20 } else { 40 };
        filter.inbound(&error(LONG)).drops(Reason::NoRule);
        filter.outbound(&packet).passes(Reason::New);
        filter.inbound(&error(LONG)).passes(Reason::Related);
        filter.inbound(&error(headers + 8)).passes(Reason::Related);
        // From the other side itself as well as from a router.
        filter
            .inbound(&icmp_error(remote, &packet, time_exceeded(family), LONG))
            .passes(Reason::Related);
    }
}

#[apply(everywhere_in_both_families)]
fn an_error_must_come_to_the_sender_of_what_it_quotes(place: Place, family: Family) {
    let filter = filter(place, "all");
    filter.outbound(&https(family)).passes(Reason::New);
    // The quoted packet is one that came in.
    let mut error = icmp_error(
        family.router(),
        &https(family).reply(),
        too_big(family),
        LONG,
    );
    error.to = family.local().into();
    filter.inbound(&error).drops(Reason::NoRule);
    // The error goes to somebody else.
    let mut error = icmp_error(family.router(), &https(family), too_big(family), LONG);
    error.to = family.second_local().into();
    filter.inbound(&error).drops(Reason::NoRule);
    // The error leaves, though what it quotes has left too.
    let mut error = icmp_error(family.local(), &https(family), too_big(family), LONG);
    error.to = family.remote().into();
    filter.outbound(&error).drops(Reason::NoRule);
}

#[apply(everywhere)]
fn a_quote_without_ports_proves_nothing(place: Place) {
    let filter = filter(place, "all");
    filter.outbound(&https(V4)).passes(Reason::New);
    for quoted in 0..SHORT - 4 {
        let error = icmp_error(V4.router(), &https(V4), (3, 4), quoted);
        filter.inbound(&error).drops(Reason::NoRule);
    }
    let error = icmp_error(V4.router(), &https(V4), (3, 4), SHORT);
    filter.inbound(&error).passes(Reason::Related);
}

#[apply(everywhere)]
fn a_quoted_later_fragment_proves_nothing(place: Place) {
    let filter = filter(place, "all");
    filter.outbound(&https(V4)).passes(Reason::New);
    let mut error = icmp_error(V4.router(), &https(V4), (3, 4), SHORT);
    // Fragment offset of the quoted header.
    error.data[7] = 1;
    filter.inbound(&error).drops(Reason::NoRule);
}

#[apply(everywhere)]
fn a_quoted_error_proves_nothing(place: Place) {
    let filter = filter(place, "all");
    filter.outbound(&https(V4)).passes(Reason::New);
    let inner = icmp_error(V4.local(), &https(V4), (3, 4), SHORT);
    let mut error = icmp_error(V4.router(), &inner, (3, 4), LONG);
    error.to = V4.local().into();
    filter.inbound(&error).drops(Reason::NoRule);
}

#[apply(everywhere)]
fn quotes_are_read_behind_options_and_extension_headers(place: Place) {
    let filter = filter(place, "errors");
    let with_options = https(V4).options(&[1; 40]);
    filter.outbound(&with_options).passes(Reason::New);
    let error = icmp_error(V4.router(), &with_options, (3, 4), 60 + 8);
    filter.inbound(&error).passes(Reason::Related);
    // The error may have options of its own.
    filter
        .inbound(&error.options(&[1; 8]))
        .passes(Reason::Related);

    let with_extension = https(V6).extension(Extension::padding(60, 2));
    filter.outbound(&with_extension).passes(Reason::New);
    let error = icmp_error(V6.router(), &with_extension, (2, 0), LONG);
    filter.inbound(&error).passes(Reason::Related);
    filter
        .inbound(&error.extension(Extension::padding(0, 1)))
        .passes(Reason::Related);
}

#[apply(everywhere_in_both_families)]
fn errors_about_untracked_flows_pass_while_the_rule_stands(place: Place, family: Family) {
    let all = family.everything();
    let open = format!(
        "inbound: [{{ type: HTTP, source: '{all}', description: http }}]
outbound: [{{ type: All traffic, destination: '{all}' }}]"
    );
    let mut filter = Filter::with_group(place, &open);
    let answer = tcp((family.local(), 80), (family.remote(), 40000))
        .ack()
        .payload(1000);
    let error = icmp_error(family.router(), &answer, too_big(family), LONG);
    filter
        .inbound(&error)
        .passes(Reason::Related)
        .by_rule("http");
    assert!(filter.flows().is_empty());
    filter.apply_group("outbound: []");
    filter.inbound(&error).drops(Reason::NoRule);
}

#[apply(everywhere)]
fn an_error_that_a_rule_admits_needs_no_flow(place: Place) {
    let rule = "inbound: [{ protocol: icmp, icmp: time-exceeded, source: 198.51.100.0/24 }]";
    let filter = Filter::with_group(place, &format!("{rule}\noutbound: []"));
    filter
        .inbound(&icmp_error(V4.router(), &https(V4), (11, 0), SHORT))
        .passes(Reason::Stateless);
}
