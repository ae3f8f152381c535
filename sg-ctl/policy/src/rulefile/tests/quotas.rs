//! Quotas: vectors Q01 to Q05.

use std::fmt::Write as _;

use super::{Severity, findings, model};

/// A file whose group `web` has inbound SSH rules from the first IPv4 and IPv6 ranges, and more.
fn group(v4: u32, v6: u32, more: &str) -> String {
    let mut text = "security_groups:\n  web:\n    inbound:\n".to_owned();
    for number in 0..v4 {
        let _ = writeln!(
            text,
            "      - {{type: SSH, source: 10.{}.{}.0/24}}",
            number >> 8,
            number & 255
        );
    }
    for number in 0..v6 {
        let _ = writeln!(
            text,
            "      - {{type: SSH, source: 2001:db8:{number:x}::/48}}"
        );
    }
    text + more
}

#[track_caller]
fn assert_one_error(text: &str, expected: &str) {
    assert_eq!(
        findings(&[text], Severity::Error),
        [format!("a.yaml:{expected}")]
    );
}

const RULES_HELP: &str =
    "(merge ranges or ports, split the group, or raise `limits: {rules_per_group: …}`)";

#[test]
fn q01_the_61st_rule_of_a_family_and_direction_is_refused() {
    assert_eq!(model(&group(60, 0, "")).groups["web"].inbound.len(), 60);
    assert_one_error(
        &group(61, 0, ""),
        &format!(
            "64:29 security_groups.web.inbound[60].source: the group has 61 inbound IPv4 rules, \
             more than the limit of 60; prefix lists count as their size {RULES_HELP}"
        ),
    );
    assert_eq!(
        model(&group(61, 0, "limits: {rules_per_group: 61}\n")).groups["web"]
            .inbound
            .len(),
        61
    );
}

#[test]
fn q02_families_count_apart() {
    assert_eq!(model(&group(60, 60, "")).groups["web"].inbound.len(), 120);
}

#[test]
fn a_group_reference_counts_in_both_families() {
    let reference = "      - {type: SSH, source: 'sg:web'}\n";
    assert_eq!(
        findings(&[&group(60, 59, reference)], Severity::Error).len(),
        1
    );
    assert_eq!(
        findings(&[&group(60, 60, reference)], Severity::Error).len(),
        2
    );
}

#[test]
fn q03_a_prefix_list_counts_as_its_size() {
    let list = "      - {type: SSH, source: 'pl:partners'}\nprefix_lists:\n  \
                partners: {entries: [192.0.2.0/24], max_entries: 55}\n";
    assert_eq!(model(&group(5, 0, list)).groups["web"].inbound.len(), 6);
    assert_one_error(
        &group(6, 0, list),
        &format!(
            "10:29 security_groups.web.inbound[6].source: the group has 61 inbound IPv4 rules, \
             more than the limit of 60; prefix lists count as their size {RULES_HELP}"
        ),
    );
}

#[test]
fn q04_the_sixth_group_of_an_interface_is_refused() {
    let file = |interface: &str, more: &str| {
        format!(
            "security_groups: {{a: {{}}, b: {{}}, c: {{}}, d: {{}}, e: {{}}}}\n{more}\
                 interfaces: {{eth0: {{groups: {interface}}}}}\n"
        )
    };
    assert_eq!(
        model(&file("[a, b, c, d, e]", "")).interfaces["eth0"]
            .groups
            .len(),
        5
    );
    assert_one_error(
        &file("[a, b, c, d, e, default]", ""),
        "2:45 interfaces.eth0.groups[5]: 6 groups are more than the limit of 5 (merge groups, or \
         raise `limits: {groups_per_interface: …}`)",
    );
    let raised = file(
        "[a, b, c, d, e, default]",
        "limits: {groups_per_interface: 6}\n",
    );
    assert_eq!(model(&raised).interfaces["eth0"].groups.len(), 6);
}

#[test]
fn q05_the_product_of_quotas_is_bounded() {
    model("limits: {groups_per_interface: 16, rules_per_group: 62}");
    assert_one_error(
        "limits: {groups_per_interface: 16, rules_per_group: 63}",
        "1:53 limits.rules_per_group: 63 rules per group × 16 groups per interface = 1008, more \
         than the product 1000 (lower one of them, or set `product: 1008` (AWS allows 1000))",
    );
    let raised = model("limits: {groups_per_interface: 16, rules_per_group: 63, product: 1008}");
    assert_eq!(raised.limits.product, 1008);
}

#[test]
fn prefix_lists_have_a_quota_of_entries() {
    assert_one_error(
        "prefix_lists: {a: {entries: [], max_entries: 1001}}",
        "1:46 prefix_lists.a.max_entries: the list's size 1001 exceeds the limit of 1000 entries \
         (set `limits: {prefix_list_entries: 1001}`)",
    );
    model(
        "prefix_lists: {a: {entries: [], max_entries: 1001}}\nlimits: {prefix_list_entries: 1001}",
    );
}

#[test]
fn limits_are_positive_numbers() {
    assert_one_error(
        "limits: {product: 0}",
        "1:19 limits.product: `0` is not a number from 1 to 10000000 (write a whole number from 1 \
         to 10000000)",
    );
}

#[test]
fn the_flow_table_has_bounds() {
    assert_eq!(model("{}").limits.flow_table_size, 262_144);
    let largest = model("limits: {flow_table_size: 16777216}");
    assert_eq!(largest.limits.flow_table_size, 1 << 24);
    for (column, size) in [(27, "1023"), (27, "16777217")] {
        assert_one_error(
            &format!("limits: {{flow_table_size: {size}}}"),
            &format!(
                "1:{column} limits.flow_table_size: `{size}` is not a number from 1024 to \
                 16777216 (write a whole number from 1024 to 16777216)"
            ),
        );
    }
}
