//! The command as its user meets it: exit status, streams and messages. Needs no privileges.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use crate::command::{Scratch, assert_fails, sg_ctl, text, unprivileged};

#[test]
fn help_goes_to_standard_output_and_teaches() {
    for words in [
        &["--help"][..],
        &["attach", "--help"],
        &["show", "rules", "--help"],
    ] {
        let output = sg_ctl(words);
        assert!(output.status.success(), "{words:?}");
        assert!(text(&output.stdout).contains("EXAMPLES:"), "{words:?}");
    }
    assert!(text(&sg_ctl(&["--help"]).stdout).contains("EXIT STATUS:"));
    assert!(sg_ctl(&["--version"]).status.success());
}

#[test]
fn a_command_line_that_makes_no_sense_is_bad_input() {
    for (arguments, words) in [
        (&["attack", "eth0"][..], &["attach"][..]),
        (&["attach"], &["IFACE"]),
        (&["detach"], &["IFACE"]),
        (&["detach", "eth0", "--all"], &["--all"]),
        (&["apply"], &["--file"]),
        (&["attach", "eth0", "--hook", "xpd"], &["xdp-generic"]),
        (&["flows", "--remote", "example.com"], &["10.0.0.0/8"]),
        (&["flows", "--protocol", "http"], &["icmpv6"]),
        (&["flows", "kill"], &["--all"]),
        (&["flows", "kill", "--all", "--port", "22"], &["not both"]),
        (&["flows", "--watch", "0"], &["--watch"]),
        (&["check"], &["FILE"]),
        (&["replay"], &["CAPTURE"]),
        (
            &["replay", "a.pcap", "-f", "b.yaml"],
            &["--interface", "--local"],
        ),
        (
            &[
                "replay", "a.pcap", "-f", "b.yaml", "-i", "eth0", "--local", "lan",
            ],
            &["10.0.0.0/8"],
        ),
    ] {
        assert_fails(&sg_ctl(arguments), 1, words);
    }
}

#[test]
fn without_privileges_every_verb_says_what_to_do() {
    let scratch = Scratch::new("sealed");
    let sealed = scratch.0.join("sealed");
    fs::create_dir(&sealed).expect("a directory for the test");
    fs::set_permissions(&sealed, fs::Permissions::from_mode(0o000)).expect("an owner may seal it");
    for arguments in [
        &["attach", "lo"][..],
        &["detach", "lo"],
        &["detach", "--all"],
        &["apply", "-f", "-"],
        &["status"],
        &["show", "rules"],
        &["flows"],
        &["top"],
        &["logs"],
    ] {
        let output = unprivileged()
            .args(arguments)
            .env("SG_STATE_DIR", sealed.join("state"))
            .env("SG_PIN_DIR", sealed.join("pins"))
            .stdin(Stdio::null())
            .output()
            .expect("sg-ctl runs");
        // An empty rule file is refused before anything needs privileges.
        let help = if arguments[0] == "apply" {
            "help: "
        } else {
            "help: run it as root"
        };
        assert_fails(&output, 1, &["error: ", help]);
    }
}

#[test]
fn completions_exist_for_every_shell_that_is_installed_for() {
    for (shell, word) in [
        ("bash", " -F _clap_complete_sg_ctl sg-ctl"),
        ("zsh", "#compdef"),
        ("fish", "complete --keep-order"),
    ] {
        let output = sg_ctl(&["completions", shell]);
        assert!(output.status.success());
        assert!(text(&output.stdout).contains(word), "{shell}");
    }
    assert_fails(&sg_ctl(&["completions", "cmd.exe"]), 1, &["bash"]);
}

#[test]
fn every_verb_has_a_manual_page() {
    let scratch = Scratch::new("man");
    let directory = scratch.0.join("new/man1");
    let output = sg_ctl(&["man", &directory.display().to_string()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    for page in [
        "sg-ctl",
        "sg-ctl-attach",
        "sg-ctl-logs",
        "sg-ctl-show-rules",
    ] {
        let page = fs::read_to_string(directory.join(format!("{page}.1"))).expect(page);
        assert!(
            page.contains(
                "
.SH EXAMPLES
"
            ),
            "{page}"
        );
    }
    assert!(text(&sg_ctl(&["man"]).stdout).starts_with(".ie"));
}

#[test]
fn what_cannot_be_written_is_a_system_error() {
    let scratch = Scratch::new("man-refused");
    let file = scratch.file("file", "");
    assert_fails(
        &sg_ctl(&["man", &file]),
        2,
        &["error: cannot write manual pages"],
    );
}

/// Runs sg-ctl with nobody to read what it prints; returns how it ended, and what it told.
fn unread(arguments: &[&str]) -> (Option<i32>, String) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = unprivileged()
        .args(arguments)
        .stdout(writer)
        .output()
        .expect("sg-ctl runs");
    (output.status.code(), text(&output.stderr).to_owned())
}

#[test]
fn a_reader_that_goes_away_is_no_failure_and_hides_none() {
    assert_eq!(unread(&["completions", "bash"]), (Some(0), String::new()));
    let scratch = Scratch::new("unread");
    let rules = scratch.file("rules.yaml", "security_groups: { web: {} }");
    let cases = scratch.file(
        "cases.yaml",
        "cases: [{ groups: [web], inbound: tcp 192.0.2.1 80, expect: allow }]",
    );
    for json in [&[][..], &["--json"]] {
        let words = [&["test", &cases, "-f", &rules][..], json].concat();
        assert_eq!(unread(&words), (Some(1), String::new()), "{words:?}");
    }
}

#[test]
fn colours_are_for_terminals_or_on_demand() {
    let check = |color: &[&str]| {
        let output = sg_ctl(&[&["check", "/nonexistent.yaml"], color].concat());
        text(&output.stderr).contains('\u{1b}')
    };
    assert!(!check(&[]));
    assert!(!check(&["--color", "never"]));
    assert!(check(&["--color", "always"]));
}

#[test]
fn check_reports_every_mistake_with_its_place() {
    let scratch = Scratch::new("check-bad");
    let file = scratch.file(
        "bad.yaml",
        "security_groups:\n  web:\n    inbound:\n\
         \x20     - { protocol: tcp, ports: 70000, source: 0.0.0.0/0 }\n\
         \x20     - { protocol: tcp, ports: 80, source: 10.0.0.1/8 }\n",
    );
    let output = sg_ctl(&["check", &file]);
    let places = [4, 5].map(|line| format!("bad.yaml:{line}:"));
    let words = [&*places[0], &*places[1], "70000", "help:", "2 errors"];
    assert_fails(&output, 1, &words);

    let output = sg_ctl(&["check", "--json", &file]);
    assert_eq!(output.status.code(), Some(1));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(answer["valid"], false);
    assert_eq!(answer["findings"][0]["line"], 4);
    assert_eq!(answer["findings"][1]["severity"], "error");
    assert_fails(
        &sg_ctl(&["check", "/nonexistent.yaml"]),
        1,
        &["/nonexistent.yaml", "help:"],
    );
}

#[test]
fn check_prints_the_merged_rules_of_an_interface() {
    let scratch = Scratch::new("check-good");
    let file = scratch.file(
        "good.yaml",
        "security_groups:\n  web:\n    inbound:\n\
         \x20     - { type: HTTPS, source: 0.0.0.0/0, description: all of us }\n\
         interfaces:\n  eth0: { groups: [web, default] }\n",
    );
    let output = sg_ctl(&["check", &file]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let table: Vec<&str> = text(&output.stdout).lines().collect();
    assert!(table[0].starts_with("INTERFACE  DIRECTION"), "{table:#?}");
    let first: Vec<&str> = table[1].split_whitespace().collect();
    assert_eq!(
        first[..8],
        [
            "eth0",
            "inbound",
            "tcp",
            "443",
            "0.0.0.0/0",
            "1",
            "tcp",
            "web"
        ]
    );
    assert!(table[1].ends_with("all of us"));
    assert_eq!(table.len(), 1 + 2 + 4, "{table:#?}");

    let output = sg_ctl(&["check", "--json", &file]);
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let rule = &answer["interfaces"][0]["rules"][0];
    assert_eq!(rule["from_port"], 443);
    assert_eq!(rule["group"], "web");
    assert_eq!(rule["line"], 4);
    assert_eq!(rule["untracked"], serde_json::json!(["tcp"]));
}

#[test]
fn check_without_interfaces_prints_the_rules_of_the_groups() {
    let scratch = Scratch::new("check-groups");
    let file = scratch.file("groups.yaml", "security_groups:\n  web: { inbound: [] }\n");
    let output = sg_ctl(&["check", &file]);
    assert!(output.status.success());
    assert!(text(&output.stdout).starts_with("GROUP "));
    assert!(text(&output.stderr).contains("no interface"));
}

#[test]
fn schema_is_a_json_schema() {
    let output = sg_ctl(&["schema"]);
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(schema["$schema"].is_string());
    assert!(schema["properties"]["security_groups"].is_object());
}

#[test]
fn a_state_that_no_flow_can_have_is_refused() {
    for words in [
        &["flows", "--state", "est"][..],
        &["flows", "kill", "--state", "est"],
    ] {
        assert_fails(
            &sg_ctl(words),
            1,
            &["'est'", "established, half-closed, closing"],
        );
    }
}

#[test]
fn a_capture_may_come_from_standard_input() {
    let scratch = Scratch::new("piped-capture");
    let rules = scratch.file("rules.yaml", "security_groups: { web: {} }\n");
    let mut replay = unprivileged();
    replay.args([
        "replay", "-", "-f", &rules, "-i", "eth0", "--local", "10.0.0.1",
    ]);
    let capture = scratch.file("not.pcap", "no capture");
    let refused = replay
        .stdin(fs::File::open(capture).expect("it was written"))
        .output();
    let refused = refused.expect("sg-ctl runs");
    assert_fails(&refused, 1, &["- is neither a pcap nor a pcapng file"]);

    // The header of a pcap without packets: microseconds, version 2.4, Ethernet.
    let mut header = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0];
    header.extend([0; 8]);
    header.extend([0, 0, 4, 0, 1, 0, 0, 0]);
    let capture = scratch.0.join("empty.pcap");
    fs::write(&capture, header).expect("a file for the test");
    let judged = replay
        .stdin(fs::File::open(capture).expect("it was written"))
        .output();
    let judged = judged.expect("sg-ctl runs");
    assert_fails(&judged, 1, &["cannot judge packets: not permitted"]);
}

#[test]
fn a_file_without_cases_does_not_pass() {
    let scratch = Scratch::new("no-cases");
    scratch.file("rules.yaml", "security_groups: { web: {} }\n");
    let cases = scratch.file("cases.yaml", "rules: [rules.yaml]\ncases: []\n");
    assert_fails(
        &sg_ctl(&["test", &cases]),
        1,
        &["holds no case", "help: list packets"],
    );
}
