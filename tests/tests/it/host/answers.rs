//! What verbs print with --json keeps to its schema, on a host whose interface is guarded.

use std::{net::UdpSocket, time::Duration};

use sg_ctl::api::audit::{Audit, Entry};
use sg_tests::{
    eventually,
    packet::tcp,
    replay::CaptureFile,
    sg_ctl::SgCtl,
    topology::{Host, Network},
    traffic::{Connection, Server},
};

use crate::{
    answers::{Answers, ROOTLESS},
    vpc::ONLY_IN_A_VPC,
};

const RULES: &str = "
    prefix_lists: { office: [203.0.113.0/24] }
    security_groups:
      tested:
        description: a server
        inbound:
          - { type: SSH, source: 198.51.100.0/24, description: ssh }
          - { protocol: icmp, icmp: echo-request, source: pl:office }
        outbound: []
    interfaces:
      eth0: { groups: [tested], log: all }
      'tap*': { groups: [tested], side: workload }
";

/// A host of the network, and the answers that it has given.
struct Asked<'n> {
    sg: SgCtl<'n>,
    answers: Answers,
}

impl Asked<'_> {
    /// Runs a verb, and checks what it prints.
    #[track_caller]
    fn asks(&mut self, name: &str, more: &[&str]) {
        self.asks_for(name, &[&name.split('-').collect::<Vec<_>>(), more].concat());
    }

    /// Runs these words, whose answer is that of the verb `name`.
    #[track_caller]
    fn asks_for(&mut self, name: &str, words: &[&str]) {
        // Some say by their exit status what they have found.
        let outcome = self.sg.run(&[words, &["--json"]].concat());
        assert!([0, 3, 4].contains(&outcome.code), "{words:?}: {outcome:#?}");
        self.answers.check(name, &outcome.stdout);
    }

    /// What packets leave behind: counters, flows, events.
    fn looks(&mut self) {
        let words = ["logs", "--json"];
        let events = eventually("events", || {
            Some(self.sg.ok(&words)).filter(|text| !text.is_empty())
        });
        self.answers.check("logs", &events);
        for by in ["remote", "state", "interface", "rule"] {
            self.asks("flows", &["--by", by]);
        }
        for what in ["groups", "rules", "interfaces", "members", "infra"] {
            self.asks(&format!("show-{what}"), &[]);
        }
        self.asks("flows", &[]);
        self.asks("show-rules", &["--counters"]);
        self.asks("top", &["--once"]);
        let agent = self.sg.start(&["agent"]);
        eventually("the agent", || self.sg.socket().exists().then_some(()));
        self.asks("top", &["--once"]);
        drop(agent);
        self.asks("status", &["--counters"]);
    }

    /// Changes that are made, confirmed and taken back.
    fn changes(&mut self) {
        let other = RULES.replace("type: SSH", "type: HTTP");
        let other = self.sg.rule_file("other.yaml", &other);
        self.asks("apply", &["-n", "-f", &other]);
        self.asks("apply", &["-f", &other, "--confirm-within", "10m"]);
        self.asks("status", &[]);
        self.asks("rollback", &[]);
        self.asks("mode", &["eth0", "audit", "--confirm-within", "10m"]);
        self.asks("confirm", &[]);
        self.asks("mode", &["eth0", "enforce"]);
        self.asks("isolate", &["eth0", "-n"]);
        self.asks("isolate", &["eth0"]);
        self.asks("status", &[]);
        self.asks("isolate", &["eth0", "--release"]);
        self.asks("upgrade", &[]);
        self.asks("restore", &[]);
        self.asks("flows-kill", &["--all"]);
    }

    /// What needs no guarded interface, but more than a file of rules.
    fn reads_files(&mut self, rules: &str) {
        let syn = tcp("203.0.113.7:40000", "192.0.2.10:22").syn();
        let mut capture = CaptureFile::default();
        capture.push(Duration::from_secs(1_700_000_000), &syn.bytes(), usize::MAX);
        let path = self.sg.directory().join("a.pcap");
        capture.write(&path);
        let path = path.display().to_string();
        let words = ["-f", rules, "-i", "eth0", "--local", "192.0.2.10"];
        self.asks("replay", &[&[path.as_str()], &words[..]].concat());

        let audit = Audit::open(&self.sg.directory().join("state")).expect("the state is there");
        audit.write(&Entry {
            time: "2026-01-02T03:04:05.678Z".to_owned(),
            address: Some([192, 0, 2, 1].into()),
            before: Some(1),
            groups: [("sg-0123456789abcdef0".to_owned(), "tested".to_owned())].into(),
            ..Entry::default()
        });
        self.asks("audit", &[]);
    }
}

/// Sends a datagram that no rule admits.
fn knock(client: &Host, server: &Host) {
    client.namespace.enter(|| {
        let socket = UdpSocket::bind((client.v4, 0)).expect("a port");
        socket.send_to(b"hello", (server.v4, 9)).expect("it leaves");
    });
}

#[test]
fn every_answer_keeps_to_its_schema() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = SgCtl::new(&server.namespace);
    let rules = sg.rule_file("rules.yaml", RULES);
    let mut host = Asked {
        sg,
        answers: Answers::new(),
    };
    host.asks("attach", &["eth0", "--group", "tested", "-f", &rules]);
    let _server = Server::tcp(&server.namespace, 22);
    let mut connection =
        Connection::open(&client.namespace, server.v4, 22).expect("a rule admits it");
    connection.exchange("hello").expect("answers pass");
    knock(client, server);
    host.looks();
    host.changes();
    host.reads_files(&rules);
    host.asks("detach", &["eth0"]);

    let mut elsewhere = [&ROOTLESS[..], &ONLY_IN_A_VPC].concat();
    elsewhere.sort_unstable();
    assert_eq!(host.answers.unchecked(), elsewhere, "a verb is not tried");
}
