//! What OpenStack's client and API print.

use super::{findings, findings_of, imported, rules, source};
use crate::model::Direction::{Inbound, Outbound};

const WEB: &str = "8b1c0000-0000-4000-8000-000000000001";
const LB: &str = "8b1c0000-0000-4000-8000-000000000002";

/// A group as `openstack security group show` prints it.
fn group(id: &str, name: &str, more: &str, rules: &[&str]) -> String {
    let rules = rules.join(", ");
    format!(
        r#"{{"id": "{id}", "name": "{name}", "description": "d", "project_id": "p", "tags": [],
{more} "rules": [{rules}]}}"#
    )
}

fn rule(direction: &str, family: &str, more: &str) -> String {
    format!(r#"{{"id": "r", "direction": "{direction}", "ethertype": "{family}", {more}}}"#)
}

#[test]
fn groups_become_a_model() {
    let any = r#""protocol": null, "port_range_min": null, "port_range_max": null, "remote_ip_prefix": null, "remote_group_id": null"#;
    let ssh = r#""protocol": "tcp", "port_range_min": 22, "port_range_max": 22, "remote_ip_prefix": "192.0.2.0/24""#;
    let from_lb = format!(
        r#""protocol": "tcp", "port_range_min": 80, "port_range_max": 81, "remote_group_id": "{LB}""#
    );
    let ping = r#""protocol": "icmp", "port_range_min": 8, "port_range_max": 0"#;
    let rules_of_web = [
        rule("egress", "IPv4", any),
        rule("egress", "IPv6", any),
        rule("ingress", "IPv4", ssh),
        rule("ingress", "IPv4", &from_lb),
        rule("ingress", "IPv6", &from_lb),
        rule("ingress", "IPv4", ping),
        rule("ingress", "IPv6", r#""protocol": "icmp""#),
        rule(
            "ingress",
            "IPv4",
            r#""protocol": "vrrp", "remote_ip_prefix": "10.0.0.0/24""#,
        ),
        rule("ingress", "IPv6", r#""protocol": "udp""#),
    ];
    let all: Vec<&str> = rules_of_web.iter().map(String::as_str).collect();
    let web = group(WEB, "web", r#""stateful": true,"#, &all);
    let lb = group(LB, "lb", "", &[]);
    let ports = format!(
        r#"[{{"ID": "1", "Name": "", "Security Groups": ["{LB}"], "Fixed IP Addresses":
[{{"subnet_id": "s", "ip_address": "10.0.0.5"}}, {{"subnet_id": "t", "ip_address": "2001:db8::5"}}]}}]"#
    );
    let imported = imported(&[source(&web), source(&lb), source(&ports)]);
    let model = &imported.model;
    assert_eq!(
        rules(model, "web", Inbound),
        [
            "tcp 22 192.0.2.0/24",
            "tcp 80-81 sg:lb",
            "icmp 8/0 0.0.0.0/0",
            "icmpv6 all ::/0",
            "112 all 10.0.0.0/24",
            "udp all ::/0",
        ]
    );
    assert_eq!(rules(model, "web", Outbound), ["all 0.0.0.0/0", "all ::/0"]);
    // Outbound rules are all stated.
    assert_eq!(rules(model, "lb", Outbound), [""; 0]);
    let members: Vec<_> = model.members["lb"]
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(members, ["10.0.0.5", "2001:db8::5"]);
    assert_eq!(findings(&imported.warnings), [""; 0]);
}

#[test]
fn lists_of_rules_say_the_same() {
    let groups =
        format!(r#"[{{"ID": "{WEB}", "Name": "web", "Description": "", "Project": "p"}}]"#);
    let row = |more: &str| {
        format!(
            r#"{{"ID": "r", "Direction": "ingress", "Security Group": "{WEB}",
"Remote Security Group": null, "Remote Address Group": null, {more}}}"#
        )
    };
    let listed = format!(
        "[{}, {}, {}]",
        row(
            r#""IP Protocol": "tcp", "Ethertype": "IPv4", "IP Range": "0.0.0.0/0", "Port Range": "22:80""#
        ),
        row(
            r#""IP Protocol": "icmp", "Ethertype": "IPv4", "IP Range": "10.0.0.0/8", "Port Range": "type=8:code=0""#
        ),
        row(r#""IP Protocol": null, "Ethertype": "IPv6", "IP Range": "::/0", "Port Range": """#),
    );
    let model = imported(&[source(&groups), source(&listed)]).model;
    assert_eq!(
        rules(&model, "web", Inbound),
        ["tcp 22-80 0.0.0.0/0", "icmp 8/0 10.0.0.0/8", "all ::/0"]
    );
    // Without the rules nothing is allowed, aloud.
    let found = findings_of(&groups);
    assert!(
        found[0].contains("the group's rules are not in the files"),
        "{found:?}"
    );
}

#[test]
fn what_would_allow_more_here_is_left_out_and_told() {
    let from_itself = format!(r#""protocol": "tcp", "remote_group_id": "{WEB}""#);
    for (more, rule, words) in [
        (
            "",
            rule("ingress", "IPv4", &from_itself),
            "a group in one family only",
        ),
        (
            "",
            rule(
                "ingress",
                "IPv4",
                r#""protocol": "sctp", "port_range_min": 5, "port_range_max": 5"#,
            ),
            "ports of `sctp` cannot be told here",
        ),
        (
            "",
            rule(
                "ingress",
                "IPv4",
                r#""protocol": "tcp", "remote_address_group_id": "a""#,
            ),
            "the rule names an address group",
        ),
        (
            r#""stateful": false,"#,
            rule("ingress", "IPv4", r#""protocol": "tcp""#),
            "the group is stateless",
        ),
    ] {
        let text = group(WEB, "web", more, &[&rule]);
        let imported = imported(&[source(&text)]);
        assert_eq!(rules(&imported.model, "web", Inbound), [""; 0], "{words}");
        let found = findings(&imported.warnings);
        assert!(found[0].contains(words), "{found:?}");
    }
    for (rule, words) in [
        (
            rule("ingress", "IPv4", r#""remote_ip_prefix": "::/0""#),
            "`::/0` is no IPv4 range",
        ),
        (
            r#"{"id": "r", "ethertype": "IPv4"}"#.to_owned(),
            "the rule has no direction",
        ),
        (
            rule("ingress", "IPv4", r#""protocol": "icmpv6""#),
            "`icmpv6` is not a protocol of IPv4",
        ),
    ] {
        let found = findings_of(&group(WEB, "web", "", &[&rule]));
        assert!(
            found[0].contains(words) && found[0].starts_with("error"),
            "{found:?}"
        );
    }
}
