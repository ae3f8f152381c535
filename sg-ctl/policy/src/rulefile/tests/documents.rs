//! Files as a whole: YAML, keys, several files, several errors.

use std::fmt::Write as _;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::{Severity, assert_errors, findings, model, read, sources};
use crate::model::{DEFAULT_GROUP, Model};

/// Five different mistakes.
const FIVE: &str = r#"security_groups:
  web:
    inbound:
      - { type: HTTPS, source: anywhere-ipv4 }
      - { protocol: tcp, ports: 70000, source: 0.0.0.0/0 }
      - { protocol: all, ports: 88, source: 10.0.0.0/8 }
      - { protocol: tcp, ports: 80, source: 100.68.0.18/18 }
    outbund: []
  db:
    inbound:
      - { type: MySQL/Aurora, source: "sg:wbe" }
"#;

const FIVE_REPORTED: &str = "\
error: a.yaml:5:33: security_groups.web.inbound[1].ports: 70000 is not a port
  |
5 |       - { protocol: tcp, ports: 70000, source: 0.0.0.0/0 }
  |                                 ^^^^^
  |
  = help: ports go from 0 to 65535: a single port (443), a range (8000-8100) or `all`

error: a.yaml:6:33: security_groups.web.inbound[2].ports: protocol `all` has no ports: every port of every protocol would be open
  |
6 |       - { protocol: all, ports: 88, source: 10.0.0.0/8 }
  |                                 ^^
  |
  = help: leave out `ports`, or write `protocol: tcp` or `protocol: udp`

error: a.yaml:7:45: security_groups.web.inbound[3].source: `100.68.0.18/18` has bits set beyond its prefix length
  |
7 |       - { protocol: tcp, ports: 80, source: 100.68.0.18/18 }
  |                                             ^^^^^^^^^^^^^^
  |
  = help: write 100.68.0.0/18 for the whole range, or 100.68.0.18/32 for the one address

error: a.yaml:8:5: security_groups.web.outbund: unknown key
  |
8 |     outbund: []
  |     ^^^^^^^
  |
  = help: did you mean `outbound`?

error: a.yaml:11:39: security_groups.db.inbound[0].source: there is no group `wbe`
   |
11 |       - { type: MySQL/Aurora, source: \"sg:wbe\" }
   |                                       ^^^^^^^^
   |
   = help: did you mean `web`?

5 errors; nothing was changed";

#[test]
fn five_mistakes_give_five_located_errors() {
    let report = read(&sources(&[FIVE])).expect_err("five mistakes");
    assert_eq!(report.to_string(), FIVE_REPORTED);
    assert_eq!(report.errors(), 5);
}

#[test]
fn errors_serialise_with_place_field_and_help() {
    let report = read(&sources(&["limts: {}"])).expect_err("a misspelt key");
    let expected = serde_json::json!([{
        "severity": "error",
        "file": "a.yaml",
        "line": 1,
        "column": 1,
        "field": "limts",
        "message": "unknown key",
        "help": "did you mean `limits`?",
    }]);
    assert_eq!(serde_json::to_value(&report).expect("plain data"), expected);
}

#[test]
fn no_file_at_all_leaves_the_built_in_group() {
    assert_eq!(read(&[]).expect("nothing is wrong").model, Model::new());
}

#[test]
fn an_empty_file_is_refused() {
    let error = "1:1 : the file is empty (begin with a section such as `security_groups:`)";
    assert_errors("", &[error]);
    assert_errors("# nothing\n", &[error]);
}

#[test]
fn json_is_yaml() {
    let json = "{\n\t\"security_groups\": {\n\t\t\"web\": {\"inbound\": []}\n\t}\n}\n";
    assert_eq!(model(json), model("security_groups: {web: {inbound: []}}"));
}

#[test]
fn yaml_errors_have_a_place() {
    let found = findings(&["security_groups:\n  web: [1\n  db: 2\n"], Severity::Error);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("a.yaml:3:"), "{found:?}");
}

#[test]
fn a_file_that_is_no_yaml_does_not_hide_errors_of_others() {
    let found = findings(&["a: [", "limts: {}"], Severity::Error);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(
        found[1],
        "b.yaml:1:1 limts: unknown key (did you mean `limits`?)"
    );
}

#[test]
fn a_second_document_is_refused() {
    assert_errors(
        "limits: {}\n---\nlimits: {}\n",
        &[
            "2:1 : a second document begins here (put each document into a file of its own; files \
           are merged)",
        ],
    );
}

#[test]
fn unknown_keys_name_the_nearest_or_all_known_ones() {
    assert_errors(
        "security_groups: {}\nlimits: {product: 1000, colour: 1}\n",
        &[
            "2:25 limits.colour: unknown key (known keys here: rules_per_group, \
           groups_per_interface, product, prefix_list_entries, flow_table_size, \
           flows_per_remote)",
        ],
    );
}

#[test]
fn a_key_that_stands_twice_is_refused() {
    assert_errors(
        "security_groups:\n  web: {}\n  web: {}\n",
        &[
            "3:3 security_groups.web: the key stands here twice, first in line 2 (keep one of the \
           two)",
        ],
    );
}

#[test]
fn values_of_the_wrong_kind_are_refused() {
    assert_errors(
        "security_groups:\n  web: [1]\n  db: {inbound: 1, outbound:, description: [1]}\n",
        &[
            "2:8 security_groups.web: is not a mapping (write lines of `key: value`)",
            "3:17 security_groups.db.inbound: is not a list (write `[…]`, or lines with `-`)",
            "3:28 security_groups.db.outbound: has no value (write a list (`[]` if it is empty), \
             or leave the key out)",
            "3:44 security_groups.db.description: is a list (write text)",
        ],
    );
    assert_errors(
        "[1]",
        &["1:1 : is not a mapping (write lines of `key: value`)"],
    );
    assert_errors(
        "? [a]\n: 1\n",
        &["1:3 : a key is not text (write a name before the colon)"],
    );
}

#[test]
fn anchors_repeat_values() {
    let text = "security_groups:\n  \
        web: {inbound: &open [{type: HTTPS, source: anywhere-ipv4}]}\n  \
        api: {inbound: *open}\n";
    let model = model(text);
    assert_eq!(
        model.groups["api"].inbound[0].service,
        model.groups["web"].inbound[0].service
    );
}

#[test]
fn aliases_cannot_blow_a_file_up() {
    let mut bomb = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n".to_owned();
    for (inner, outer) in ('a'..='h').zip('b'..='i') {
        let _ = writeln!(
            bomb,
            "{outer}: &{outer} [{}]",
            vec![format!("*{inner}"); 10].join(", ")
        );
    }
    let found = findings(&[&bomb], Severity::Error);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("aliases make the document too large"),
        "{found:?}"
    );
    assert_errors(
        "a: &a [*a]",
        &[
            "1:8 : the alias stands inside its own anchor (an alias may stand only after the whole \
           value that it repeats)",
        ],
    );
}

#[test]
fn deep_nesting_is_refused_not_followed() {
    let found = findings(&[&"[".repeat(100_000)], Severity::Error);
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn tags_are_refused() {
    assert_errors(
        "limits: !Ref x\n",
        &["1:9 : the tag `!Ref` means nothing here (remove the tag)"],
    );
}

#[test]
fn files_make_one_model() {
    let groups = "security_groups: {web: {}}";
    let interfaces = "interfaces: {eth0: {groups: [web]}}";
    let parsed = read(&sources(&[interfaces, groups])).expect("nothing is wrong");
    assert_eq!(parsed.model.interfaces["eth0"].groups, ["web"]);
    assert!(parsed.model.groups.contains_key(DEFAULT_GROUP));
}

#[test]
fn what_two_files_define_is_refused_with_both_places() {
    let file = "security_groups: {web: {}}\nprefix_lists: {office: []}\nmembers: {web: []}\n\
                interfaces: {eth0: {groups: [web]}}\nlimits: {}\n";
    let expected = [
        "b.yaml:1:19 security_groups.web: the group `web` is defined twice (`web` is already \
         defined in a.yaml:1:19: remove or rename one of them)",
        "b.yaml:2:16 prefix_lists.office: the prefix list `office` is defined twice (`office` is \
         already defined in a.yaml:2:16: remove or rename one of them)",
        "b.yaml:3:11 members.web: the member list of `web` is defined twice (`web` is already \
         defined in a.yaml:3:11: remove or rename one of them)",
        "b.yaml:4:14 interfaces.eth0: the interface `eth0` is defined twice (`eth0` is already \
         defined in a.yaml:4:14: remove or rename one of them)",
        "b.yaml:5:9 limits: limits are stated twice (state them once; they are also in \
         a.yaml:5:9)",
    ];
    assert_eq!(findings(&[file, file], Severity::Error), expected);
}

#[test]
fn rules_remember_where_they_stand() {
    let text = "security_groups:\n  web:\n    inbound:\n      - type: HTTPS\n        \
                source: anywhere-ipv4\n";
    let location = model(text).groups["web"].inbound[0]
        .location
        .clone()
        .expect("written");
    assert_eq!(location.to_string(), "a.yaml:4");
}

proptest! {
    /// Pieces of rule files in any order, with signs that YAML and our excerpts care about.
    #[test]
    fn no_text_makes_the_reader_panic(
        pieces in vec(
            prop_oneof![
                select(vec![
                    "security_groups", "prefix_lists", "members", "interfaces", "limits", "web",
                    "inbound", "outbound", "type", "HTTPS", "protocol", "tcp", "ports", "443",
                    "icmp", "source", "sources", "sg:web", "pl:a", "10.0.0.0/8", "::/0", ": ",
                    ":", "- ", "\n", "\n  ", "\n    ", "{", "}", "[", "]", ", ", "'", "\"", "|",
                    ">", "&a ", "*a", "!x ", "? ", "# ", "---", "...", "%", "\t", "\r\n", "\u{feff}",
                    "é", "\u{1F600}", "\\", "0", "~",
                ])
                .prop_map(str::to_owned),
                ".{0,3}",
            ],
            0..60,
        ),
    ) {
        let text = pieces.concat();
        if let Err(report) = read(&sources(&[&text])) {
            prop_assert!(!report.to_string().is_empty());
        }
    }
}
