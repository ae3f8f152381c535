//! Groups: names, descriptions, tags, ids, defaults, warnings.

use super::{Severity, assert_errors, findings, model};
use crate::model::{GroupId, SecurityGroup};

/// A file whose one group has this name and is a mapping of these keys.
fn group(name: &str, keys: &str) -> String {
    format!("security_groups:\n  {name}: {{{keys}}}\n")
}

#[test]
fn names_keep_the_rules_of_aws() {
    let long = "x".repeat(256);
    for (name, error) in [
        (
            "sg-web",
            "security_groups.sg-web: the name of the group begins with `sg-`, like an id (choose \
             another name; an id that AWS gave is kept by `id: sg-…` inside the group)"
                .to_owned(),
        ),
        (
            "wéb",
            "security_groups.\"wéb\": the name of the group holds the sign 'é' (allowed are a-z \
             A-Z 0-9, space and ._-:/()#,@[]+=&;{}!$*)"
                .to_owned(),
        ),
        (
            &long,
            format!(
                "security_groups.{long}: the name of the group has 256 characters (255 are \
                 allowed: shorten it)"
            ),
        ),
        (
            "' '",
            "security_groups.\" \": the name of the group is empty (give it a name)".to_owned(),
        ),
        (
            "Default",
            "security_groups.Default: `Default` differs from the built-in group only in case \
             (write `default` to define its rules)"
                .to_owned(),
        ),
    ] {
        assert_errors(&group(name, ""), &[&format!("2:3 {error}")]);
    }
    let all_signs = model(&group("'a ._-:/()#,@[]+=&;{}!$*'", ""));
    assert!(all_signs.groups.contains_key("a ._-:/()#,@[]+=&;{}!$*"));
}

#[test]
fn names_differ_in_more_than_case_and_trailing_spaces() {
    assert_eq!(model(&group("'web  '", "")).groups["web"].name, "web");
    assert_errors(
        "security_groups:\n  web: {}\n  WEB: {}\n  'web ': {}\n",
        &[
            "3:3 security_groups.WEB: the group `WEB` is defined twice (`web` is already defined \
             in a.yaml:2:3: remove or rename one of them)",
            "4:3 security_groups.\"web \": the group `web ` is defined twice (`web` is already \
             defined in a.yaml:2:3: remove or rename one of them)",
        ],
    );
}

#[test]
fn descriptions_keep_the_rules_of_aws() {
    assert_eq!(
        model(&group("web", "description: R&D (old)")).groups["web"].description,
        "R&D (old)"
    );
    assert_errors(
        &group(
            "web",
            "description: it's, inbound: [{type: SSH, source: 10.0.0.0/8, description: 'ü'}]",
        ),
        &[
            "2:22 security_groups.web.description: the description holds the sign '\\'' (allowed \
             are a-z A-Z 0-9, space and ._-:/()#,@[]+=&;{}!$*)",
            "2:83 security_groups.web.inbound[0].description: the description holds the sign 'ü' \
             (allowed are a-z A-Z 0-9, space and ._-:/()#,@[]+=&;{}!$*)",
        ],
    );
}

#[test]
fn tags_keep_the_rules_of_aws() {
    let model = model(&group(
        "web",
        "tags: {Name: web, EducationOnly: yes, Version: 1.10}",
    ));
    let tags = &model.groups["web"].tags;
    assert_eq!(
        (tags["EducationOnly"].as_str(), tags["Version"].as_str()),
        ("yes", "1.10")
    );

    assert_errors(
        &group(
            "web",
            &format!("tags: {{aws:x: 1, '': 1, y: {}}}", "v".repeat(257)),
        ),
        &[
            "2:16 security_groups.web.tags.\"aws:x\": the key of the tag begins with `aws:` \
             (choose another key: those with `aws:` belong to AWS)",
            "2:26 security_groups.web.tags.\"\": the key of the tag is empty or too long (keys \
             have 1 to 127 characters)",
            "2:36 security_groups.web.tags.y: the value of the tag is too long (values have at \
             most 256 characters)",
        ],
    );
    let many: Vec<String> = (0..51).map(|number| format!("k{number}: v")).collect();
    let found = findings(
        &[&group("web", &format!("tags: {{{}}}", many.join(", ")))],
        Severity::Error,
    );
    assert_eq!(found.len(), 1);
    assert!(
        found[0].contains("tags.k50: there are more than 50 tags"),
        "{found:?}"
    );
}

#[test]
fn ids_are_kept_or_derived() {
    let given = model(&group("web", "id: sg-0123456789abcdef0"));
    assert_eq!(given.groups["web"].id.as_str(), "sg-0123456789abcdef0");
    assert_eq!(
        model(&group("web", "")).groups["web"].id,
        GroupId::derived("web")
    );

    let rule = "inbound: [{type: SSH, source: 10.0.0.0/8, id: sgr-0123456789abcdef0}]";
    assert_eq!(
        model(&group("web", rule)).groups["web"].inbound[0]
            .id
            .as_str(),
        "sgr-0123456789abcdef0"
    );
    assert_errors(
        "security_groups:
  a: { id: sg-1 }
  b: { id: sg-0123456789abcdef0 }
  c: { id: sg-0123456789abcdef0 }
  d:
    inbound:
      - { id: sgr-x, type: SSH, source: 10.0.0.0/8 }
      - { id: sgr-12345678, type: SSH, sources: [10.0.0.0/9, 10.0.0.0/10] }
      - { id: sgr-12345678, type: SSH, source: 10.0.0.0/11 }
      - { id: sgr-12345678, type: SSH, source: 10.0.0.0/12 }
",
        &[
            "2:12 security_groups.a.id: `sg-1` is not an id of the form sg-0123456789abcdef0 \
             (leave `id` out to have one derived)",
            "4:3 security_groups.c: the groups `b` and `c` have the same id (give each its own \
             id, or leave `id` out)",
            "7:15 security_groups.d.inbound[0].id: `sgr-x` is not an id of the form \
             sgr-0123456789abcdef0 (leave `id` out to have one derived)",
            "8:15 security_groups.d.inbound[1].id: an id names one rule, but this is 2 rules \
             (write one rule for each, with an id of its own)",
            "10:9 security_groups.d.inbound[3]: the id sgr-12345678 is taken (the rule in \
             a.yaml:9:9 has it: give another)",
        ],
    );
}

#[test]
fn outbound_left_out_is_everything_and_empty_is_nothing() {
    let model = model("security_groups: {open: {}, shut: {outbound: []}}");
    let open = &model.groups["open"];
    let rules: Vec<String> = open
        .outbound
        .iter()
        .map(|rule| format!("{} {}", rule.service, rule.peer))
        .collect();
    assert_eq!(rules, ["all 0.0.0.0/0", "all ::/0"]);
    assert!(open.inbound.is_empty());
    assert!(model.groups["shut"].outbound.is_empty());
}

#[test]
fn the_default_group_is_built_in_unless_defined() {
    let built_in = model("security_groups: {}");
    assert_eq!(built_in.groups["default"], SecurityGroup::built_in());
    let defined = model("security_groups: {default: {outbound: []}}");
    assert!(defined.groups["default"].inbound.is_empty());
    assert_eq!(defined.groups["default"].id, SecurityGroup::built_in().id);
}

#[test]
fn tags_hold_nothing_that_a_terminal_obeys() {
    for bad in [
        "\\x1b[2J", "a\\nb", "\\0", "\\x7f", "\\u202e", "\\u200b", "\\u2028", "\\x9b",
    ] {
        let value = group("web", &format!("tags: {{ name: \"{bad}\" }}"));
        let told = findings(&[&value], Severity::Error).join("\n");
        assert!(
            told.contains("the value of the tag has control"),
            "{bad}: {told}"
        );
        if bad == "\\u200b" {
            // A key with such a space is refused before it is known for a tag's.
            continue;
        }
        let key = group("web", &format!("tags: {{ \"{bad}\": name }}"));
        let told = findings(&[&key], Severity::Error).join("\n");
        assert!(
            told.contains("the key of the tag has control"),
            "{bad}: {told}"
        );
    }
    let good = group("web", "tags: { Größe: 'L, 日本 – ok' }");
    assert_eq!(findings(&[&good], Severity::Error), [""; 0]);
}

#[test]
fn rules_without_effect_are_warned_about() {
    let text = "security_groups:
  web:
    inbound:
      - { type: SSH, source: 'sg:ops' }
      - { protocol: icmp, icmp: all, source: anywhere-ipv6 }
      - { protocol: icmpv6, icmp: all, source: anywhere-ipv4 }
      - { protocol: 60, source: anywhere-ipv6 }
      - { protocol: 60, source: anywhere-ipv4 }
      - { type: HTTP, source: 'sg:web' }
      - { type: HTTP, source: 'sg:lb' }
  ops: {}
  lb: {}
  old: {}
members: { lb: [10.0.0.1] }
";
    let warnings = [
        "a.yaml:4:30 security_groups.web.inbound[0].source: nobody carries the group `ops`: the \
         rule allows nothing (list the addresses that carry it under `members: {ops: […]}`)",
        "a.yaml:5:46 security_groups.web.inbound[1].source: IPv6 hosts do not speak icmp: the \
         rule allows nothing (write `protocol: icmpv6`, or an IPv4 range)",
        "a.yaml:6:48 security_groups.web.inbound[2].source: IPv4 hosts do not speak icmpv6: the \
         rule allows nothing (write `protocol: icmp`, or an IPv6 range)",
        "a.yaml:7:33 security_groups.web.inbound[3].source: 60 is an extension header in IPv6: \
         the rule allows nothing (name the protocol that follows the header, or an IPv4 range)",
        "a.yaml:13:3 security_groups.old: nothing uses the group `old` (put it on an interface, \
         refer to it by `sg:NAME`, or remove it)",
    ];
    let attached = format!("{text}interfaces: {{eth0: {{groups: [web]}}}}\n");
    assert_eq!(findings(&[&attached], Severity::Warning), warnings);
    // Without interfaces the file is a library, and nothing in it needs to be in use.
    assert_eq!(findings(&[text], Severity::Warning), warnings[1..4]);
}
