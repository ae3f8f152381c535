//! `sg-ctl import` and `sg-ctl export` as their user meets them. Needs no privileges.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const SG_CTL: &str = env!("CARGO_BIN_EXE_sg-ctl");

/// A directory of one test, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(test: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("import-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory for the test");
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).expect("a file for the test");
        path.display().to_string()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A leftover in the target directory harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs sg-ctl without privileges.
fn sg_ctl(arguments: &[&str]) -> Output {
    unprivileged()
        .args(arguments)
        .output()
        .expect("sg-ctl runs")
}

/// sg-ctl, without capabilities even if the tests run as root, and on directories that do not
/// exist.
fn unprivileged() -> Command {
    let mut command = if nix::unistd::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-all", "--inh-caps=-all", SG_CTL]);
        command
    } else {
        Command::new(SG_CTL)
    };
    command
        .env("SG_STATE_DIR", "/nonexistent/state")
        .env("SG_PIN_DIR", "/nonexistent/pins")
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR_FORCE");
    command
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

/// Asserts that a command ended with `status` and these words on standard error, and printed
/// nothing else.
fn assert_fails(output: &Output, status: i32, words: &[&str]) {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    assert_eq!(text(&output.stdout), "");
    for word in words {
        assert!(stderr.contains(word), "no `{word}` in: {stderr}");
    }
}

#[test]
fn import_makes_a_rule_file_that_check_accepts_and_export_gives_it_back() {
    let scratch = Scratch::new("import");
    let answer = r#"{"SecurityGroups": [{"GroupId": "sg-0123456789abcdef0", "GroupName": "web",
"IpPermissions": [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443,
"IpRanges": [{"CidrIp": "10.0.0.1/8"}]}]}]}"#;
    let groups = scratch.file("groups.json", answer);
    let rules = scratch.0.join("rules.yaml").display().to_string();

    let output = sg_ctl(&["import", &groups, "-o", &rules]);
    assert!(output.status.success());
    let stderr = text(&output.stderr);
    assert!(stderr.contains("groups.json:3:"), "{stderr}");
    assert!(stderr.contains("imported as 10.0.0.0/8"), "{stderr}");
    assert!(sg_ctl(&["check", &rules]).status.success());

    let output = sg_ctl(&["export", "-f", &rules, "--format", "aws-json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let exported = scratch.file("exported.json", text(&output.stdout));
    let again = sg_ctl(&["import", &exported]);
    assert_eq!(text(&again.stderr), "");
    let written = fs::read_to_string(&rules).expect("the rule file");
    assert_eq!(text(&again.stdout), written);
    assert_eq!(text(&sg_ctl(&["export", "-f", &rules]).stdout), written);

    let strict = sg_ctl(&["import", "--strict", &groups]);
    assert_fails(
        &strict,
        1,
        &["imported as 10.0.0.0/8", "1 warning with --strict"],
    );
    let json = sg_ctl(&["import", "--json", &groups]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(json["findings"][0]["line"], 3);
    assert_eq!(
        json["rules"]["security_groups"]["web"]["outbound"],
        serde_json::json!([])
    );
}

#[test]
fn import_refuses_what_it_does_not_understand() {
    let scratch = Scratch::new("import-nothing");
    let file = scratch.file("a.json", r#"{"Instances": []}"#);
    assert_fails(
        &sg_ctl(&["import", &file]),
        1,
        &["a.json:1:1", "none of the formats"],
    );
    let json = sg_ctl(&["import", "--json", &file]);
    assert_eq!(json.status.code(), Some(1));
    assert!(text(&json.stdout).contains("\"rules\": null"));
}
