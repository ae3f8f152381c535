//! Protocols, ports, ICMP messages and console types.

use super::{assert_rule_errors, model};
use crate::model::Service;

/// The service of a rule with these keys.
#[track_caller]
fn service(keys: &str) -> String {
    let text = format!("security_groups: {{web: {{inbound: [{{{keys}, source: 'sg:web'}}]}}}}");
    model(&text).groups["web"].inbound[0].service.to_string()
}

#[test]
fn protocols_and_ports_have_one_normal_form() {
    for (keys, expected) in [
        ("protocol: tcp, ports: 443", "tcp 443"),
        ("protocol: TCP, ports: '443'", "tcp 443"),
        ("protocol: 6, ports: 443-443", "tcp 443"),
        ("protocol: udp, ports: 8000-8100", "udp 8000-8100"),
        ("protocol: 17, ports: all", "udp all"),
        ("protocol: tcp, ports: 0-65535", "tcp all"),
        ("protocol: tcp, ports: 0", "tcp 0"),
        ("protocol: all", "all"),
        ("protocol: 47", "47 all"),
        ("protocol: 0", "0 all"),
        ("protocol: 255", "255 all"),
        ("protocol: icmp, icmp: all", "icmp all"),
        ("protocol: icmp, icmp: {type: any}", "icmp all"),
        ("protocol: icmp, icmp: {type: any, code: any}", "icmp all"),
        ("protocol: icmp, icmp: {type: 3}", "icmp 3"),
        ("protocol: 1, icmp: {type: 8, code: 0}", "icmp 8/0"),
        ("protocol: icmp, icmp: echo-request", "icmp 8"),
        ("protocol: icmpv6, icmp: echo-request", "icmpv6 128"),
        ("protocol: icmp, icmp: fragmentation-needed", "icmp 3/4"),
        ("protocol: 58, icmp: packet-too-big", "icmpv6 2"),
    ] {
        assert_eq!(service(keys), expected, "{keys}");
    }
}

#[test]
fn console_types_stand_for_protocol_and_ports() {
    for (keys, expected) in [
        ("type: HTTPS", "tcp 443"),
        ("type: mysql/aurora", "tcp 3306"),
        ("type: DNS (UDP)", "udp 53"),
        ("type: HTTPS, protocol: tcp", "tcp 443"),
        ("type: HTTPS, protocol: tcp, ports: 443", "tcp 443"),
        ("type: Custom TCP, ports: 8080", "tcp 8080"),
        ("type: Custom UDP, protocol: udp, ports: 53-54", "udp 53-54"),
        (
            "type: Custom ICMP - IPv4, icmp: {type: 8, code: 0}",
            "icmp 8/0",
        ),
        ("type: Custom ICMP - IPv6, icmp: echo-request", "icmpv6 128"),
        ("type: Custom Protocol, protocol: 50", "50 all"),
        ("type: All TCP", "tcp all"),
        ("type: All UDP, ports: all", "udp all"),
        ("type: All ICMP - IPv4", "icmp all"),
        ("type: all icmp - ipv6", "icmpv6 all"),
        ("type: All traffic", "all"),
    ] {
        assert_eq!(service(keys), expected, "{keys}");
    }
    let https = "security_groups: {web: {inbound: [{type: HTTPS, source: 10.0.0.0/8}]}}";
    assert!(matches!(
        model(https).groups["web"].inbound[0].service,
        Service::Ports { .. }
    ));
}

#[test]
fn types_contradict_neither_protocol_nor_ports() {
    assert_rule_errors(
        "type: HTTPS, ports: 80, source: 10.0.0.0/8",
        &[
            ".ports: the type means tcp 443, but the rule says tcp 80 (leave out `type`, or what \
           contradicts it)",
        ],
    );
    assert_rule_errors(
        "type: HTTPS, protocol: udp, source: 10.0.0.0/8",
        &[".protocol: the protocol is not that of type `HTTPS` (leave out `protocol`, or `type`)"],
    );
    assert_rule_errors(
        "type: Custom Protocol, source: 10.0.0.0/8",
        &[
            ".type: a custom protocol needs its number (give `protocol: NUMBER`, such as \
           `protocol: 47` for GRE)",
        ],
    );
    assert_rule_errors(
        "type: HTPS, source: 10.0.0.0/8",
        &[".type: `HTPS` is no type of the AWS console (did you mean `HTTPS`?)"],
    );
    assert_rule_errors(
        "type: Gopher, source: 10.0.0.0/8",
        &[".type: `Gopher` is no type of the AWS console (write `protocol` and `ports` instead)"],
    );
}

#[test]
fn r07_rule_file_refuses_ports_with_all_protocols() {
    assert_rule_errors(
        "protocol: all, ports: 88, source: 10.0.0.0/8",
        &[
            ".ports: protocol `all` has no ports: every port of every protocol would be open \
           (leave out `ports`, or write `protocol: tcp` or `protocol: udp`)",
        ],
    );
    assert_rule_errors(
        "protocol: -1, source: 10.0.0.0/8",
        &[".protocol: `-1` is AWS's word for `all` (write `all`)"],
    );
}

#[test]
fn ports_and_messages_stand_only_where_they_mean_something() {
    let source = "source: 10.0.0.0/8";
    assert_rule_errors(
        &format!("protocol: icmp, ports: 8, {source}"),
        &[".ports: control messages have no ports (write `icmp: {type: 8, code: any}` instead)"],
    );
    assert_rule_errors(
        &format!("protocol: 47, ports: 8, {source}"),
        &[
            ".ports: a protocol given by number has no ports here (leave out `ports`: the whole \
           protocol is allowed)",
        ],
    );
    assert_rule_errors(
        &format!("protocol: tcp, ports: 8, icmp: all, {source}"),
        &[
            ".icmp: only `icmp` and `icmpv6` have messages (leave out `icmp`, or write \
           `protocol: icmp` or `protocol: icmpv6`)",
        ],
    );
}

#[test]
fn nothing_is_allowed_by_omission() {
    assert_rule_errors(
        "protocol: tcp, source: 10.0.0.0/8",
        &[": tcp needs `ports` (write `ports: 443`, `ports: 8000-8100` or `ports: all`)"],
    );
    assert_rule_errors(
        "protocol: icmpv6, source: '::/0'",
        &[
            ": icmpv6 needs `icmp` (write `icmp: {type: 8, code: any}`, `icmp: echo-request` or \
           `icmp: all`)",
        ],
    );
    assert_rule_errors(
        "source: 10.0.0.0/8",
        &[
            ": the rule does not say what it allows (write `type: HTTPS`, or `protocol: tcp` and \
           `ports: 443`)",
        ],
    );
}

#[test]
fn wrong_ports_and_protocols_are_refused() {
    const PORTS: &str =
        "(ports go from 0 to 65535: a single port (443), a range (8000-8100) or `all`)";
    for (ports, message) in [
        ("65536", "65536 is not a port"),
        ("-1", " is not a port"),
        ("80-70000", "70000 is not a port"),
        ("+80", "+80 is not a port"),
        ("http", "http is not a port"),
        ("any", "any is not a port"),
    ] {
        assert_rule_errors(
            &format!("protocol: tcp, ports: {ports}, source: 10.0.0.0/8"),
            &[&format!(".ports: {message} {PORTS}")],
        );
    }
    assert_rule_errors(
        "protocol: tcp, ports: 90-80, source: 10.0.0.0/8",
        &[".ports: the range 90-80 ends before it begins (write 80-90)"],
    );
    assert_rule_errors(
        "protocol: tcp, ports: [80], source: 10.0.0.0/8",
        &[".ports: is a list (write one rule for each port or range)"],
    );
    for protocol in ["256", "tpc", "any"] {
        assert_rule_errors(
            &format!("protocol: {protocol}, ports: 80, source: 10.0.0.0/8"),
            &[&format!(
                ".protocol: `{protocol}` is not a protocol (write tcp, udp, icmp, icmpv6, all, \
                 or a number from 0 to 255)"
            )],
        );
    }
}

#[test]
fn wrong_messages_are_refused() {
    for (icmp, error) in [
        (
            "{type: any, code: 4}",
            ".icmp.code: code 4 of any type means nothing (give the type too)",
        ),
        (
            "{code: 4}",
            ".icmp: the type is missing (write `type: 8`, or `type: any`)",
        ),
        (
            "{type: 256}",
            ".icmp.type: `256` is not a number from 0 to 255 (write the number, or `any`)",
        ),
        (
            "ecko-request",
            ".icmp: `ecko-request` is no message known by name (did you mean `echo-request`?)",
        ),
        (
            "packet-too-big",
            ".icmp: icmp has no message `packet-too-big` (it has echo-request, echo-reply, \
             destination-unreachable, net-unreachable, host-unreachable, port-unreachable, \
             fragmentation-needed, redirect, time-exceeded, parameter-problem, timestamp-request, \
             timestamp-reply)",
        ),
    ] {
        assert_rule_errors(
            &format!("protocol: icmp, icmp: {icmp}, source: 10.0.0.0/8"),
            &[error],
        );
    }
}

#[test]
fn templates_stand_for_protocol_and_ports() {
    for (keys, expected) in [
        ("template: kafka-broker-tcp", "tcp 9092"),
        ("template: solr-tcp", "tcp 8983-8987"),
        ("template: all-tcp", "tcp all"),
        ("template: all-icmp", "icmp all"),
        ("template: all-ipv6-icmp", "icmpv6 all"),
        ("template: all-all", "all"),
        ("template: dns-udp, protocol: udp, ports: 53", "udp 53"),
    ] {
        assert_eq!(service(keys), expected, "{keys}");
    }
}

#[test]
fn templates_are_known_and_contradict_nothing() {
    for (keys, error) in [
        (
            "template: kafka-broker-tpc",
            ".template: `kafka-broker-tpc` is no template (did you mean `kafka-broker-tcp`?)",
        ),
        (
            "template: grafana",
            ".template: `grafana` is no template (there are grafana-tcp)",
        ),
        (
            "template: gopher",
            ".template: `gopher` is no template (`sg-ctl templates` lists them; or write \
             `protocol` and `ports`)",
        ),
        (
            "template: ssh-tcp, type: SSH",
            ".template: both `type` and `template` are given (keep one of them)",
        ),
        (
            "template: ssh-tcp, ports: 2222",
            ".ports: the template means tcp 22, but the rule says tcp 2222 (leave out \
             `template`, or what contradicts it)",
        ),
        (
            "template: ssh-tcp, protocol: udp",
            ".protocol: the protocol is not that of template `ssh-tcp` (leave out `protocol`, or \
             `template`)",
        ),
    ] {
        assert_rule_errors(&format!("{keys}, source: 10.0.0.0/8"), &[error]);
    }
}
