//! Protection that is taken away behind sg's back is claimed by no sentence of it.

use std::fs;

use aya::programs::{TcAttachType, links::PinnedLink};
use rstest::rstest;
use serde_json::Value;
use sg_ctl::host::dataplane::{AttachPlan, Dataplane, HookKind, Interface};
use sg_policy::model::{Hook, Side as Protects};
use sg_tests::{
    eventually,
    foreign::{self, ForeignTc, ForeignXdp},
    netns::Namespace,
    sg_ctl::SgCtl,
    topology::{Host, Network},
    traffic::tcp_is_silent,
};

use super::attached::{Side, guard};

pub(super) const RULES: &str = "
    security_groups: { tested: { inbound: [], outbound: [] } }
    interfaces: { eth0: { groups: [tested] } }
";

/// What is left over by whoever took protection away, until the test ends.
#[derive(Default)]
pub(super) struct Taken {
    _namespace: Option<Namespace>,
    _xdp: Option<ForeignXdp>,
    _tc: Option<ForeignTc>,
    _link: Option<PinnedLink>,
}

/// A way to take protection away from `eth0`.
type Way = fn(&SgCtl<'_>, &Host) -> Taken;

fn index(host: &Host) -> u32 {
    let found = host.namespace.enter(|| Interface::find("eth0"));
    found.expect("it is there").index
}

/// Another interface of the name and index, as of a new container.
fn anew(host: &Host, index: u32) {
    host.namespace.ip(&format!(
        "link add eth0 index {index} type veth peer name far\n\
         link set eth0 up\nlink set far up\n"
    ));
}

fn moved(_: &SgCtl<'_>, host: &Host) -> Taken {
    let other = Namespace::new("other");
    host.namespace
        .ip(&format!("link set eth0 netns {}\n", other.name()));
    Taken {
        _namespace: Some(other),
        ..Taken::default()
    }
}

fn moved_and_replaced(sg: &SgCtl<'_>, host: &Host) -> Taken {
    let index = index(host);
    let taken = moved(sg, host);
    anew(host, index);
    taken
}

fn renamed_and_replaced(_: &SgCtl<'_>, host: &Host) -> Taken {
    host.namespace.ip(
        "link set eth0 down\nlink set eth0 name ens3\nlink set ens3 up\n\
         link add eth0 type veth peer name far\nlink set eth0 up\n",
    );
    Taken::default()
}

fn removed(_: &SgCtl<'_>, host: &Host) -> Taken {
    host.namespace.ip("link del eth0\n");
    Taken::default()
}

fn recreated(_: &SgCtl<'_>, host: &Host) -> Taken {
    let index = index(host);
    host.namespace.ip("link del eth0\n");
    anew(host, index);
    Taken::default()
}

fn link_detached(sg: &SgCtl<'_>, _: &Host) -> Taken {
    for side in ["ingress", "egress"] {
        foreign::detach(&sg.pin_version().join("zones/0").join(side));
    }
    Taken::default()
}

fn half_detached(sg: &SgCtl<'_>, _: &Host) -> Taken {
    foreign::detach(&sg.pin_version().join("zones/0/egress"));
    Taken::default()
}

pub(super) fn pin_removed(sg: &SgCtl<'_>, _: &Host) -> Taken {
    fs::remove_file(sg.pin_version().join("zones/0/ingress")).expect("it is there");
    Taken::default()
}

/// The program stays at its hook for as long as somebody else holds its link.
fn pin_removed_and_held(sg: &SgCtl<'_>, host: &Host) -> Taken {
    let pin = sg.pin_version().join("zones/0/ingress");
    let link = PinnedLink::from_pin(pin).expect("it is there");
    Taken {
        _link: Some(link),
        ..pin_removed(sg, host)
    }
}

fn zone_removed(sg: &SgCtl<'_>, _: &Host) -> Taken {
    fs::remove_dir_all(sg.pin_version().join("zones/0")).expect("it is there");
    Taken::default()
}

fn pins_removed(sg: &SgCtl<'_>, _: &Host) -> Taken {
    fs::remove_dir_all(sg.pins()).expect("they are ours");
    Taken::default()
}

fn map_removed(sg: &SgCtl<'_>, _: &Host) -> Taken {
    fs::remove_file(sg.pin_version().join("maps/COUNTERS")).expect("it is there");
    Taken::default()
}

fn clock_removed(sg: &SgCtl<'_>, _: &Host) -> Taken {
    fs::remove_file(sg.pin_version().join("clock")).expect("it is there");
    Taken::default()
}

fn program_replaced(sg: &SgCtl<'_>, _: &Host) -> Taken {
    let pin = sg.pin_version().join("zones/0/egress");
    Taken {
        _tc: Some(ForeignTc::replace(&pin)),
        ..Taken::default()
    }
}

fn xdp_program_replaced(sg: &SgCtl<'_>, _: &Host) -> Taken {
    let pin = sg.pin_version().join("zones/0/ingress");
    Taken {
        _xdp: Some(ForeignXdp::replace(&pin)),
        ..Taken::default()
    }
}

fn preempted(_: &SgCtl<'_>, host: &Host) -> Taken {
    let before = ForeignTc::attach(&host.namespace, "eth0", TcAttachType::Ingress);
    Taken {
        _tc: Some(before),
        ..Taken::default()
    }
}

/// As on a kernel without TCX: the programs are filters, and their queueing discipline goes.
fn qdisc_removed(sg: &SgCtl<'_>, host: &Host) -> Taken {
    host.namespace
        .ip("link add eth1 type veth peer name far\nlink set eth1 up\n");
    sg.ok(&["attach", "eth1", "--group", "tested"]);
    host.namespace.enter(|| {
        let mut dataplane = Dataplane::open(sg.pins()).expect("the pins are in order");
        let settings = dataplane.settings(0).expect("it is attached");
        dataplane.detach(0).expect("it is attached");
        let plan = AttachPlan {
            interface: Interface::find("eth0").expect("it is there"),
            zone: 0,
            replaces: None,
            side: Protects::Nic,
            hook: Hook::Tc,
            tc: HookKind::Clsact,
            stripped: None,
            flows: 1024,
            settings,
        };
        dataplane.attach(&plan).expect("the kernel takes it");
        dataplane.enforce(0, &settings).expect("the maps are there");
    });
    assert_eq!(told(&sg.json(&["status"])), "enforcing");
    let mut tc = std::process::Command::new("tc");
    let gone = host
        .namespace
        .output(tc.args(["qdisc", "del", "dev", "eth0", "clsact"]));
    assert!(gone.status.success(), "{gone:?}");
    Taken::default()
}

/// What a document says of eth0.
pub(super) fn told(document: &Value) -> &str {
    let interfaces = document["interfaces"].as_array().expect("a list");
    let is_eth0 = |each: &&Value| each["name"] == "eth0";
    let eth0 = interfaces.iter().find(is_eth0).expect("it is in the state");
    eth0["state"].as_str().expect("a word")
}

/// Reads every sentence of sg about eth0 that is wrong when it is not guarded.
#[track_caller]
fn no_sentence_claims_it(sg: &SgCtl<'_>, state: &str) {
    let status = sg.json(&["status"]);
    assert_eq!(told(&status), state, "{status:#}");
    let problems = status["problems"].as_array().expect("a list");
    let is_problem = |each: &Value| each["interface"] == "eth0";
    assert!(problems.iter().any(is_problem), "{status:#}");
    let text = sg.run(&["status"]);
    let row = text.stdout.lines().find(|line| line.starts_with("eth0 "));
    assert!(row.is_some_and(|row| row.contains(state)), "{text:#?}");
    assert!(text.stderr.contains("warning: eth0: "), "{text:#?}");
    let is_preempted = state == "preempted";
    if state != "unreachable" {
        let once = ["top", "--once", "--interval", "1s", "--json"];
        let top: Value = serde_json::from_str(&sg.ok(&once)).expect("a document");
        assert_eq!(told(&top), state, "{top:#}");
        let shown = sg.json(&["show", "interfaces"]);
        assert_eq!(shown[0]["attached"], is_preempted, "{shown:#}");
        let rules = sg.rule_file("rules.yaml", RULES);
        let applied = sg.run(&["apply", "-f", &rules]);
        let is_claimed = applied.stdout.contains("in force on eth0");
        assert_eq!(is_claimed, is_preempted, "{applied:#?}");
        assert!(applied.stderr.contains("eth0: "), "{applied:#?}");
        let confirmed = sg.run(&["confirm"]);
        assert!(confirmed.stderr.contains("eth0: "), "{confirmed:#?}");
    }
    for words in [
        &["mode", "eth0", "audit"][..],
        &["mode", "eth0", "enforce"],
        &["isolate", "eth0", "--dry-run"],
        &["isolate", "eth0"],
    ] {
        let outcome = sg.run(words);
        if is_preempted {
            assert!(
                outcome.stderr.contains("sees packets first"),
                "{outcome:#?}"
            );
            continue;
        }
        assert_ne!(outcome.code, 0, "{words:?}: {outcome:#?}");
        for claim in ["is isolated", "enforces", "audits"] {
            assert!(!outcome.stdout.contains(claim), "{words:?}: {outcome:#?}");
        }
        assert!(outcome.stderr.contains("help: "), "{words:?}: {outcome:#?}");
    }
}

/// The metrics of an agent, which listens in a namespace of its own.
fn metrics(host: &Host) -> String {
    super::agent::get(&host.namespace, "/metrics").unwrap_or_default()
}

/// An agent that puts right what it can.
#[track_caller]
fn the_agent_claims_what_is_so(sg: &SgCtl<'_>, host: &Host, state: &str) {
    let _agent = sg.start(&["agent", "--metrics", super::agent::METRICS]);
    let (attached, enforcing) = match state {
        "enforcing" => (1, 1),
        "preempted" => (1, 0),
        _ => (0, 0),
    };
    let lines = [
        format!(r#"sg_interface_attached{{interface="eth0"}} {attached}"#),
        format!(r#"sg_interface_enforcing{{interface="eth0"}} {enforcing}"#),
    ];
    eventually("the truth of the metrics", || {
        let text = metrics(host);
        let has = |line: &String| text.lines().any(|each| each == line);
        lines.iter().all(has).then_some(())
    });
    assert_eq!(told(&sg.json(&["status"])), state);
}

#[rstest]
#[case::moved("tc", moved, "missing", "missing")]
#[case::moved_and_replaced("tc", moved_and_replaced, "not-attached", "attached")]
#[case::moved_and_replaced_at_xdp("xdp-generic", moved_and_replaced, "not-attached", "attached")]
#[case::renamed_and_replaced("tc", renamed_and_replaced, "replaced", "failed")]
#[case::removed("tc", removed, "missing", "missing")]
#[case::recreated("tc", recreated, "not-attached", "attached")]
#[case::recreated_at_xdp("xdp-generic", recreated, "not-attached", "attached")]
#[case::link_detached("tc", link_detached, "not-attached", "attached")]
#[case::link_detached_at_xdp("xdp-generic", link_detached, "not-attached", "attached")]
#[case::half_detached("xdp-generic", half_detached, "half-attached", "attached")]
#[case::pin_removed("tc", pin_removed, "half-attached", "attached")]
#[case::pin_removed_and_held("tc", pin_removed_and_held, "half-attached", "attached")]
#[case::zone_removed("tc", zone_removed, "not-attached", "attached")]
#[case::pins_removed("tc", pins_removed, "not-attached", "attached")]
#[case::map_removed("tc", map_removed, "unreachable", "attached")]
#[case::clock_removed("xdp-generic", clock_removed, "unreachable", "attached")]
#[case::program_replaced("tc", program_replaced, "half-attached", "attached")]
#[case::xdp_program_replaced("xdp-generic", xdp_program_replaced, "half-attached", "attached")]
#[case::preempted("tc", preempted, "preempted", "intact")]
#[case::qdisc_removed("tc", qdisc_removed, "not-attached", "attached")]
fn protection_that_is_taken_away_is_claimed_by_no_sentence(
    #[case] hook: &str,
    #[case] way: Way,
    #[case] state: &str,
    #[case] restored: &str,
) {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, hook), RULES);
    assert_eq!(told(&sg.json(&["status"])), "enforcing");
    sg.ok(&["mode", "eth0", "enforce", "--confirm-within", "24h"]);
    let _taken = way(&sg, server);
    no_sentence_claims_it(&sg, state);
    let outcome = sg.run(&["restore", "--json"]);
    let document: Value = serde_json::from_str(&outcome.stdout).expect("a document");
    assert_eq!(document[0]["result"], restored, "{outcome:#?}");
    let text = sg.run(&["restore"]);
    let claims = text.stdout.contains("eth0 is guarded\n");
    assert_eq!(claims, restored == "attached", "{text:#?}");
    sg.run(&["confirm"]);
    let now = match restored {
        "attached" => "enforcing",
        _ => state,
    };
    if restored != "intact" {
        assert_eq!(told(&sg.json(&["status"])), now);
    }
    // An interface that is new has another peer.
    let is_linked = network.router.enter(|| Interface::find("server").is_ok());
    if restored == "attached" && is_linked {
        assert!(tcp_is_silent(&client.namespace, server.v4, 80));
    }
}

/// What waits for confirmation waits for it when it is attached again.
#[rstest]
#[case::moved("tc", moved, "missing")]
#[case::moved_and_replaced("tc", moved_and_replaced, "enforcing")]
#[case::renamed_and_replaced("tc", renamed_and_replaced, "replaced")]
#[case::half_detached("xdp-generic", half_detached, "enforcing")]
#[case::map_removed("tc", map_removed, "enforcing")]
#[case::preempted("tc", preempted, "preempted")]
fn the_agent_puts_right_what_it_can_and_claims_no_more(
    #[case] hook: &str,
    #[case] way: Way,
    #[case] state: &str,
) {
    let network = Network::new(&["client", "server"]);
    let [_, server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, hook), RULES);
    sg.ok(&["mode", "eth0", "enforce", "--confirm-within", "24h"]);
    let _taken = way(&sg, server);
    the_agent_claims_what_is_so(&sg, server, state);
}
