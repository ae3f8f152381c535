//! The command, as root.

use std::{fs, time::Duration};

use serde_json::{Value, json};
use sg_ctl::replay::Capture;
use sg_tests::{
    netns::Namespace,
    packet::{arp_request, tcp, udp},
    replay::CaptureFile,
    sg_ctl::SgCtl,
};

const RULES: &str = "security_groups:
  web:
    inbound: [{ type: HTTP, source: 203.0.113.0/24 }]
    outbound: []
interfaces:
  eth0: { groups: [web] }
";

const OPTIONS: [&str; 6] = ["-i", "eth0", "--local", "192.0.2.10", "-f", "RULES"];

/// A connection, a question that is dropped, one that expired, a stranger's, and ARP.
fn story() -> CaptureFile {
    let syn = tcp("203.0.113.7:40000", "192.0.2.10:80").syn();
    let question = udp("203.0.113.7:40000", "192.0.2.10:53");
    let strange = tcp("203.0.113.7:40000", "198.51.100.1:80").syn();
    let mut file = CaptureFile::default();
    for (seconds, frame) in [
        (0, syn.bytes()),
        (0, syn.reply().syn_ack().bytes()),
        (1, question.bytes()),
        (1, strange.bytes()),
        (2, arp_request([192, 0, 2, 10], [192, 0, 2, 1])),
        // Nobody answered for more than the minute that half a handshake is given.
        (120, syn.reply().ack().bytes()),
    ] {
        let time = Duration::from_secs(1_700_000_000 + seconds);
        file.push(time, &frame, usize::MAX);
    }
    file
}

struct Stage<'a> {
    sg_ctl: SgCtl<'a>,
    capture: String,
    rules: String,
}

impl<'a> Stage<'a> {
    fn new(namespace: &'a Namespace) -> Self {
        let sg_ctl = SgCtl::new(namespace);
        let path = sg_ctl.directory().join("story.pcap");
        story().write(&path);
        Self {
            rules: sg_ctl.rule_file("rules.yaml", RULES),
            capture: path.display().to_string(),
            sg_ctl,
        }
    }

    fn words<'w>(&'w self, capture: &'w str, more: &[&'w str]) -> Vec<&'w str> {
        let options = OPTIONS.map(|word| if word == "RULES" { &self.rules } else { word });
        [&["replay", capture], &options[..], more].concat()
    }
}

#[test]
fn packets_and_their_sum_are_json_lines() {
    let namespace = Namespace::new("replay");
    let stage = Stage::new(&namespace);
    let text = stage.sg_ctl.ok(&stage.words(&stage.capture, &["--json"]));
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let seen: Vec<_> = lines
        .iter()
        .filter(|line| line["type"] == "verdict")
        .map(|line| {
            json!([
                line["index"],
                line["direction"],
                line["verdict"],
                line["reason"]
            ])
        })
        .collect();
    assert_eq!(
        seen,
        [
            json!([1, "inbound", "allow", "new"]),
            json!([2, "outbound", "allow", "established"]),
            json!([3, "inbound", "deny", "no-rule"]),
            json!([5, "outbound", "allow", "infra-arp"]),
            json!([6, "outbound", "deny", "no-rule"]),
        ]
    );
    assert_eq!(lines[0]["source"], "203.0.113.7");
    assert_eq!(lines[0]["source_port"], 40000);
    assert_eq!(lines[0]["destination_port"], 80);
    assert_eq!(lines[0]["rule"]["group"], "web");
    assert_eq!(lines[0]["rule"], lines[1]["rule"]);
    assert_eq!(lines[2]["rule"], Value::Null);
    let sum = lines.last().expect("a summary");
    assert_eq!(sum["type"], "summary");
    assert_eq!(
        [
            &sum["packets"],
            &sum["judged"],
            &sum["passed"]["packets"],
            &sum["dropped"]["packets"]
        ],
        [6, 5, 3, 2]
    );
    assert_eq!(sum["skipped"]["not-local"], 1);
    assert_eq!(sum["rules"][0]["flows"], 1);
    assert_eq!(sum["rules"][0]["packets"], 2);
    assert_eq!(sum["drops"].as_array().map(Vec::len), Some(2));
    let alone = stage
        .sg_ctl
        .json(&stage.words(&stage.capture, &["--summary"]));
    assert_eq!(&alone, sum);
    assert!(stage.sg_ctl.has_no_pins());
}

#[test]
fn what_was_dropped_is_written_as_it_was_captured() {
    let namespace = Namespace::new("replay-drops");
    let stage = Stage::new(&namespace);
    let drops = stage.sg_ctl.directory().join("drops.pcapng");
    let name = drops.display().to_string();
    let more = ["--only", "dropped", "--write-dropped", &name];
    let text = stage.sg_ctl.ok(&stage.words(&stage.capture, &more));
    assert!(text.starts_with("     3 "), "{text}");
    assert!(
        text.contains("6 packets in 2m00s, 5 judged: 3 passed, 2 dropped"),
        "{text}"
    );
    assert!(
        text.contains("left out: 1 packet between addresses"),
        "{text}"
    );

    let mut original = Capture::open(stage.capture.as_ref()).expect("a capture");
    let mut written = Capture::open(&drops).expect("a capture");
    let mut found = 0;
    while let Some(packet) = written.next_packet().expect("a whole capture") {
        found += 1;
        let same = loop {
            let other = original.next_packet().expect("a whole capture");
            let other = other.expect("the packet is in it");
            if other.data == packet.data {
                break (other.time, other.original, other.link);
            }
        };
        assert_eq!((packet.time, packet.original, packet.link), same);
        assert_eq!(packet.sent, Some(found == 2));
    }
    assert_eq!(found, 2);
    // Dropped once, dropped again.
    let again = stage.sg_ctl.json(&stage.words(&name, &["--summary"]));
    assert_eq!(again["dropped"]["packets"], 2);
    let bytes = fs::read(&drops).expect("a file");
    let comment = b"inbound dropped: no-rule";
    assert!(bytes.windows(comment.len()).any(|window| window == comment));
}

#[test]
fn what_could_be_read_counts_and_the_rest_is_an_error() {
    let namespace = Namespace::new("replay-cut");
    let stage = Stage::new(&namespace);
    let path = stage.sg_ctl.directory().join("cut.pcap");
    let story = story();
    fs::write(&path, &story.bytes()[..story.bytes().len() - 5]).expect("ours");
    let name = path.display().to_string();
    let words = stage.words(&name, &["--summary"]);
    let outcome = stage.sg_ctl.run(&words);
    assert_eq!(outcome.code, 1, "{outcome:?}");
    assert!(
        outcome.stderr.contains("cut off after packet 5"),
        "{outcome:?}"
    );
    assert!(
        outcome.stdout.contains("5 packets in 2s, 4 judged"),
        "{outcome:?}"
    );
}

#[test]
fn frames_of_another_link_type_are_an_error() {
    let namespace = Namespace::new("replay-link");
    let stage = Stage::new(&namespace);
    let mut bytes = story().bytes().to_vec();
    bytes[20] = 105;
    let path = stage.sg_ctl.directory().join("wlan.pcap");
    fs::write(&path, bytes).expect("ours");
    let name = path.display().to_string();
    let error = stage.sg_ctl.fails(1, &stage.words(&name, &["--summary"]));
    assert!(error.contains("link type 105"), "{error}");
}

#[test]
fn bad_input_is_refused_before_anything_is_judged() {
    let namespace = Namespace::new("replay-bad");
    let stage = Stage::new(&namespace);
    let missing = stage
        .sg_ctl
        .fails(1, &stage.words("/nonexistent.pcap", &[]));
    assert!(
        missing.contains("cannot read /nonexistent.pcap"),
        "{missing}"
    );
    let other = stage.sg_ctl.fails(1, &stage.words(&stage.rules, &[]));
    assert!(other.contains("neither a pcap nor a pcapng"), "{other}");
    let group = stage
        .sg_ctl
        .fails(1, &stage.words(&stage.capture, &["--group", "none"]));
    assert!(group.contains("none"), "{group}");
    let outcome = stage
        .sg_ctl
        .run_as_nobody(&stage.words(&stage.capture, &[]));
    assert_eq!(outcome.code, 1, "{outcome:?}");
}
