//! What the repository says about rule files holds: the examples, the schema, the reference.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sg_policy::rulefile::{Source, read, schema};

/// A path from the root of the repository.
fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn examples() -> Vec<Source> {
    let entries = fs::read_dir(root("examples")).expect("examples/");
    let sources: Vec<Source> = entries
        .map(|entry| entry.expect("entry").path())
        // Cases of `sg-ctl test` are tested as such, what is imported stands in directories.
        .filter(|path| path.is_file() && !path.display().to_string().ends_with(".cases.yaml"))
        .map(|path| Source::open(&path).expect("an example"))
        .collect();
    assert!(sources.len() >= 2);
    sources
}

fn reference() -> String {
    fs::read_to_string(root("docs/rule-files.md")).expect("docs/rule-files.md")
}

/// The YAML blocks of the reference.
fn documented_files() -> Vec<Source> {
    let reference = reference();
    let blocks = reference.split("```yaml\n").skip(1);
    blocks
        .filter_map(|block| block.split_once("```"))
        .map(|(text, _)| Source {
            name: "docs/rule-files.md".to_owned(),
            text: text.to_owned(),
        })
        .collect()
}

fn fits_schema(text: &str) -> bool {
    let instance: Value = serde_saphyr::from_str(text).expect("YAML");
    jsonschema::validator_for(&schema())
        .expect("a JSON schema")
        .is_valid(&instance)
}

#[test]
fn examples_and_documented_files_are_right() {
    let documented = documented_files();
    assert!(documented.len() >= 2);
    for source in examples().into_iter().chain(documented) {
        let parsed = read(std::slice::from_ref(&source));
        let parsed = parsed.unwrap_or_else(|report| panic!("{report}"));
        assert!(
            parsed.warnings.diagnostics.is_empty(),
            "{}",
            parsed.warnings
        );
        assert!(
            fits_schema(&source.text),
            "{} does not fit the schema",
            source.name
        );
    }
}

#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    let rule = |keys: &str| format!("security_groups: {{web: {{inbound: [{{{keys}}}]}}}}");
    assert!(fits_schema(&rule(
        "protocol: tcp, ports: 443, source: 10.0.0.0/8"
    )));
    let wrong = [
        rule("protocol: tcp, ports: 70000, source: 10.0.0.0/8"),
        rule("protocol: tcp, ports: [80], source: 10.0.0.0/8"),
        rule("protocol: tpc, ports: 80, source: 10.0.0.0/8"),
        rule("protocol: tcp, ports: 80, source: 10.0.0.1"),
        rule("protocol: tcp, ports: 80, sources: 10.0.0.0/8"),
        rule("protocol: tcp, prots: 80, source: 10.0.0.0/8"),
        rule("protocol: icmp, icmp: {type: 256}, source: 10.0.0.0/8"),
        "security_groups: {web: {outbound: }}".to_owned(),
        "interfaces: {eth0: {side: both}}".to_owned(),
        "interfaces: {eth0: {timeouts: {udp: 61}}}".to_owned(),
        "interfaces: {eth0: {infra: {arp: maybe}}}".to_owned(),
        "prefix_lists: {office: {max_entries: 0, entries: []}}".to_owned(),
        "members: {web: [10.0.0.0/8]}".to_owned(),
        "limts: {}".to_owned(),
    ];
    for text in wrong {
        let source = Source {
            name: "wrong.yaml".to_owned(),
            text,
        };
        assert!(
            read(std::slice::from_ref(&source)).is_err(),
            "{}",
            source.text
        );
        assert!(!fits_schema(&source.text), "{}", source.text);
    }
}

/// Adds every string under `key` anywhere in the schema: items of arrays, keys of objects.
fn collect(schema: &Value, key: &str, names: &mut Vec<String>) {
    match schema {
        Value::Object(entries) => {
            match entries.get(key) {
                Some(Value::Object(keys)) => names.extend(keys.keys().cloned()),
                Some(Value::Array(items)) => names.extend(strings(items)),
                _ => {}
            }
            for inner in entries.values() {
                collect(inner, key, names);
            }
        }
        Value::Array(items) => {
            for inner in items {
                collect(inner, key, names);
            }
        }
        _ => {}
    }
}

fn strings(items: &[Value]) -> impl Iterator<Item = String> {
    items.iter().filter_map(Value::as_str).map(str::to_owned)
}

#[test]
fn the_reference_names_every_key_and_every_choice() {
    let (schema, reference) = (schema(), reference());
    let mut names = Vec::new();
    collect(&schema, "properties", &mut names);
    collect(&schema, "enum", &mut names);
    let types = &schema["$defs"]["ConsoleType"]["examples"];
    names.extend(strings(types.as_array().expect("types")));
    assert!(names.len() > 100, "{names:?}");
    for name in names {
        let is_named = ["`", ":", "{", " "]
            .iter()
            .any(|end| reference.contains(&format!("`{name}{end}")));
        assert!(is_named, "docs/rule-files.md does not mention `{name}`");
    }
}

#[test]
fn the_reference_states_the_defaults_and_ranges_of_numbers() {
    let (schema, reference) = (schema(), reference());
    let assert_row = |key: &str, cells: &[&Value]| {
        // A default that depends on other things is told in words.
        let cells = cells.iter().filter(|cell| !cell.is_null());
        let cells: Vec<String> = cells.map(ToString::to_string).collect();
        let (start, end) = (format!("| `{key}` |"), format!("{} |", cells.join(" | ")));
        let mut lines = reference.lines();
        let is_stated = lines.any(|line| line.starts_with(&start) && line.ends_with(&end));
        assert!(is_stated, "docs/rule-files.md has no row `{start} … {end}`");
    };
    let defaults = serde_json::to_value(sg_policy::model::Timeouts::default()).expect("JSON");
    for (key, default) in defaults.as_object().expect("seconds") {
        let range = schema["$defs"]["Timeouts"]["properties"][key]["$ref"]
            .as_str()
            .expect("a type");
        let range = schema
            .pointer(range.trim_start_matches('#'))
            .expect("a range");
        assert_row(key, &[default, &range["minimum"], &range["maximum"]]);
    }
    let defaults = serde_json::to_value(sg_policy::model::Limits::default()).expect("JSON");
    for (key, default) in defaults.as_object().expect("quotas") {
        assert_row(key, &[default]);
    }
}

#[test]
fn the_schema_names_itself() {
    let schema = schema();
    assert_eq!(schema["title"], json!("sg rule file"));
    assert_eq!(
        schema["$schema"],
        json!("https://json-schema.org/draft/2020-12/schema")
    );
}
