//! `explain` and `test` by rule files alone, as their user meets them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");

fn sg_ctl(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sg-ctl"))
        .args(arguments)
        .env("SG_STATE_DIR", "/nonexistent/state")
        .env("SG_PIN_DIR", "/nonexistent/pins")
        .current_dir(EXAMPLES)
        .output()
        .expect("sg-ctl runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn explain(arguments: &[&str]) -> Output {
    sg_ctl(&[&["explain", "-f", "three-tier.yaml"], arguments].concat())
}

#[test]
fn an_explanation_has_steps_verdict_and_the_nearest_rules() {
    let output = explain(&[
        "-i",
        "eth0",
        "--inbound",
        "tcp",
        "198.51.100.99:40000",
        "8080",
    ]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for words in [
        "inbound tcp 198.51.100.99:40000 -> this side:8080 at eth0\n",
        "none of 3 inbound rules admits it; groups: app, ssh-from-office\n",
        "\nDENY no-rule\n",
        "port matches, source does not: 198.51.100.99 carries no group sg:web, which has 2 IPv4 members",
    ] {
        assert!(text.contains(words), "no `{words}` in:\n{text}");
    }
}

#[test]
fn the_only_interface_need_not_be_named() {
    let output = explain(&["--outbound", "tcp", "10.0.3.10:5432", "--json"]);
    let answer: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(answer["interface"], "eth0");
    assert_eq!(answer["verdict"], "allow");
    assert_eq!(answer["reason"], "new");
    assert_eq!(answer["rule"]["group"], "app");
    assert_eq!(answer["steps"][0]["step"], "parse");
}

#[test]
fn a_line_of_the_log_is_a_packet() {
    let line = "2026-03-01T12:00:00.5Z eth0 inbound  DENY  no-rule tcp 198.51.100.99:40000 -> \
                10.0.2.11:8080 flags=SYN length=74";
    let output = explain(&["--log", line, "--json"]);
    let answer: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(answer["verdict"], "deny");
    assert_eq!(
        answer["packet"],
        "inbound tcp 198.51.100.99:40000 -> 10.0.2.11:8080"
    );
}

#[test]
fn questions_without_sense_are_refused_with_a_remedy() {
    for (arguments, words) in [
        (&["--inbound", "tcp", "443", "443"][..], "name the address"),
        (&["--inbound", "tcp", "10.0.0.1"], "destination has no port"),
        (
            &["-i", "eth9", "--inbound", "tcp", "10.0.0.1", "1"],
            "they name eth0",
        ),
        (
            &["-g", "wbe", "--inbound", "tcp", "10.0.0.1", "1"],
            "the groups are app",
        ),
        (&["--log", "nonsense"], "sg-ctl logs"),
        (&[], "--inbound"),
        (&["--inbound", "icmp", "10.0.0.1", "--icmp", "ping"], "3/4"),
    ] {
        let output = explain(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(words), "no `{words}` in: {stderr}");
        assert_eq!(stdout(&output), "");
    }
}

#[test]
fn the_cases_of_the_example_pass() {
    let output = sg_ctl(&["test", "three-tier.cases.yaml"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.ends_with("9 cases: 9 passed, 0 failed\n"), "{text}");
}

#[test]
fn a_case_that_fails_says_why_everywhere() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("explain-cases");
    fs::create_dir_all(&directory).expect("a directory for the test");
    let cases = directory.join("cases.yaml");
    let junit = directory.join("report.xml");
    fs::write(
        &cases,
        "cases:\n\
         - { name: \"open <to> all\", groups: [app], inbound: tcp 192.0.2.1 8080, expect: allow }\n\
         - { groups: [app], inbound: tcp 10.0.1.10 8080, expect: allow, reason: untracked }\n\
         - { groups: [db], outbound: udp 10.0.0.2:53, expect: deny }\n",
    )
    .expect("a file for the test");
    let (cases, junit) = (cases.display().to_string(), junit.display().to_string());
    let arguments = [
        "test",
        &cases,
        "-f",
        "three-tier.yaml",
        "--json",
        "--junit",
        &junit,
    ];
    let output = sg_ctl(&arguments);
    assert_eq!(output.status.code(), Some(1));
    let answer: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(
        (&answer["passed"], &answer["failed"]),
        (&1.into(), &2.into())
    );
    assert_eq!(
        answer["cases"][0]["why"][0],
        "verdict is deny, expected allow"
    );
    assert_eq!(
        answer["cases"][1]["why"][0],
        "reason is new, expected untracked"
    );
    let report = fs::read_to_string(&junit).expect("the report");
    assert!(report.contains(r#"failures="2""#), "{report}");
    assert!(report.contains("open &lt;to&gt; all"), "{report}");
}

#[test]
fn bad_cases_are_refused() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("explain-bad-cases");
    fs::create_dir_all(&directory).expect("a directory for the test");
    for (text, words) in [
        ("cases: [{ expect: allow }]", "describes no packet"),
        (
            "cases: [{ inbound: tcp 1.2.3.4 5, expect: allow }]",
            "does not say where",
        ),
        ("cases: [{ inbuond: tcp, expect: allow }]", "inbuond"),
        ("cases: [{ inbound: tcp, expect: maybe }]", "maybe"),
        (
            "cases: [{ groups: [app], inbound: tcp 1.2.3.4, expect: deny }]",
            "case 1 of",
        ),
    ] {
        let path = directory.join("cases.yaml");
        fs::write(&path, text).expect("a file for the test");
        let output = sg_ctl(&["test", &path.display().to_string(), "-f", "three-tier.yaml"]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{text}: {stderr}");
        assert!(stderr.contains(words), "no `{words}` in: {stderr}");
    }
}

#[test]
fn an_interface_that_a_pattern_matches_has_its_rules() {
    let rules =
        std::env::temp_dir().join(format!("sg-explain-pattern-{}.yaml", std::process::id()));
    let text = "
        security_groups:
          vm: { inbound: [{ type: SSH, source: anywhere-ipv4 }] }
          bastion: { inbound: [] }
        interfaces: { 'tap*': { groups: [vm] }, tap7: { groups: [bastion] } }
    ";
    fs::write(&rules, text).expect("a temporary directory");
    let file = rules.to_str().expect("UTF-8");
    let ask = |interface: &str| {
        let packet = ["--inbound", "tcp", "203.0.113.7:40000", "22", "--json"];
        sg_ctl(&[&["explain", "-f", file, "-i", interface], &packet[..]].concat())
    };
    let answers = ["tap3", "tap7", "eth0"].map(ask);
    fs::remove_file(&rules).expect("it was there");
    let [by_pattern, by_name, by_none] = answers;
    let verdict = |output: &Output| {
        let answer: Value = serde_json::from_str(&stdout(output)).expect("JSON");
        answer["verdict"].clone()
    };
    assert_eq!(verdict(&by_pattern), "allow");
    assert_eq!(verdict(&by_name), "deny");
    assert_eq!(by_none.status.code(), Some(1));
    let error = String::from_utf8_lossy(&by_none.stderr);
    assert!(error.contains("they name tap*, tap7"), "{error}");
}
