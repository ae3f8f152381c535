//! Rules of a VPC on trial: what is not confirmed in time returns, on every host.

use std::time::Instant;

use serde_json::json;
use sg_tests::{
    etcd::Etcd,
    eventually_within,
    sg_ctl::SgCtl,
    topology::Network,
    traffic::{Connection, Server, tcp_answers, tcp_is_silent},
};

use super::{MYSQL, Member, PATIENCE, RULES};

/// Exit code.
const REFUSED: i32 = 1;
/// Where the database listens, too.
const OTHER: u16 = 5432;

/// The database opens another port, in place of the one that it has open.
fn other_rules() -> String {
    RULES.replace("type: MySQL/Aurora", "type: PostgreSQL")
}

/// A time within which more can be done than has been since, on a machine as busy as it was: the time of
/// a trial that a test looks at while it runs, and waits for.
fn longer_than(since: Instant) -> String {
    format!("{}s", (since.elapsed() * 5).as_secs().clamp(20, 100))
}

/// Puts rules into the VPC, on trial; returns their revision. Every host that is heard of enforces them.
fn try_out(sg: &SgCtl, rules: &str, within: &str) -> u64 {
    let file = sg.rule_file("other.yaml", rules);
    let words = [
        "apply",
        "-f",
        &file,
        "--confirm-within",
        within,
        "--wait",
        "60s",
    ];
    let applied = sg.json(&words);
    assert_eq!(applied["behind"], json!([]), "{applied:#}");
    assert_eq!(applied["deadline"]["passed"], false, "{applied:#}");
    applied["revision"].as_u64().expect("a number")
}

#[test]
fn rules_that_nobody_confirms_return_on_every_host() {
    let network = Network::new(&["app", "db", "etcd"]);
    let [app, db, node] = network.hosts();
    let etcd = Etcd::start(&[node], &[]);
    let _server = Server::tcp(&db.namespace, MYSQL);
    let began = Instant::now();
    let admin = Member::join(node, &etcd, &[]);
    let first = admin.apply(RULES);
    let database = Member::start(db, &etcd, &[]);
    let app = Member::start(app, &etcd, &[]);
    for member in [&database, &app] {
        member.wait_until_enforced(first);
    }
    app.wait_until_it_reaches(db);
    assert!(admin.sg.ok(&["confirm"]).contains("nothing waits"));

    let revision = try_out(&admin.sg, &other_rules(), &longer_than(began));
    assert!(app.misses(db));
    let status = database.status();
    assert_eq!(status["trial"], "running", "{status:#}");
    let waits = database.sg.json(&["status"]);
    let deadline = &waits["interfaces"][0]["deadline"];
    assert_eq!(deadline["passed"], false, "{waits:#}");
    // An interface has one deadline: nothing else can be tried out meanwhile, nor confirmed in part.
    let words = ["mode", "eth0", "audit", "--confirm-within", "60s"];
    let error = database.sg.fails(REFUSED, &words);
    assert!(error.contains("rules of the VPC are on trial"), "{error}");
    let error = database.sg.fails(REFUSED, &["confirm", "eth0"]);
    assert!(error.contains("administrator"), "{error}");

    app.wait_until_it_reaches(db);
    let status = database.wait_for("it is over", |status| status["trial"] == "lapsed");
    assert_eq!(status["rules_enforced"], revision, "{status:#}");
    let error = admin.sg.fails(REFUSED, &["confirm"]);
    assert!(error.contains("too late"), "{error}");
    assert!(app.reaches(db));
    let settled = database.sg.json(&["status"]);
    // That it passed is told until the next change.
    assert_ne!(
        settled["interfaces"][0]["deadline"]["passed"], false,
        "{settled:#}"
    );

    // What is undone already is not put in force again by undoing once more.
    let undone = admin.sg.json(&["rollback"]);
    assert_eq!(undone["changed"], false, "{undone:#}");

    // What is changed next is changed from the rules before; nobody's change is lost.
    let file = admin.sg.rule_file("groups.yaml", RULES);
    let same = admin.sg.json(&["apply", "-f", &file]);
    assert_eq!(same["changed"], false, "{same:#}");
    let revision = admin.apply(&other_rules());
    database.wait_until_enforced(revision);
    assert_eq!(database.status()["trial"], json!(null));
    assert!(app.misses(db));
}

#[test]
fn rules_that_are_confirmed_stay_and_a_rollback_ends_a_trial() {
    let network = Network::new(&["app", "db", "etcd"]);
    let [app, db, node] = network.hosts();
    let etcd = Etcd::start(&[node], &[]);
    let _server = Server::tcp(&db.namespace, MYSQL);
    let _other = Server::tcp(&db.namespace, OTHER);
    let database = Member::database(db, &etcd, &[]);
    let app = Member::start(app, &etcd, &[]);
    app.wait_until_it_reaches(db);

    // The trial goes on while the rules are changed again, and ends for all of them.
    let first = try_out(&database.sg, &other_rules(), "10m");
    let revision = database.apply(&other_rules().replace("db/eth0", "d?/eth0"));
    assert!(revision > first);
    database.wait_until_enforced(revision);
    assert_eq!(database.status()["trial"], "running");
    let confirmed = database.sg.json(&["confirm"]);
    let kept = confirmed["revision"].as_u64().expect("a number");
    assert!(kept > revision, "{confirmed:#}");
    database.wait_until_enforced(kept);
    assert_eq!(database.status()["trial"], json!(null));
    let status = database.sg.json(&["status"]);
    assert_eq!(
        status["interfaces"][0]["deadline"],
        json!(null),
        "{status:#}"
    );
    assert!(app.misses(db));
    assert!(Connection::open(&app.host.namespace, db.v4, OTHER).is_ok());

    try_out(&database.sg, RULES, "10m");
    assert!(app.reaches(db));
    database.sg.ok(&["rollback"]);
    app.wait_until_it_misses(db);
    database.wait_for("no trial", |status| status["trial"].is_null());
    assert!(database.sg.ok(&["confirm"]).contains("nothing waits"));
}

#[test]
fn without_etcd_and_agents_rules_on_trial_return_and_know_who_came_meanwhile() {
    let network = Network::new(&["app1", "app2", "db", "etcd"]);
    let [app1, app2, db, node] = network.hosts();
    let mut etcd = Etcd::start(&[node], &[]);
    let _servers = [MYSQL, OTHER].map(|port| Server::tcp(&db.namespace, port));
    let began = Instant::now();
    let mut database = Member::database(db, &etcd, &[]);
    let first = Member::start(app1, &etcd, &[]);
    first.wait_until_it_reaches(db);
    try_out(&database.sg, &other_rules(), &longer_than(began));
    assert!(first.misses(db));
    let mut second = Member::start(app2, &etcd, &[]);
    eventually_within("the rules on trial know it", PATIENCE, || {
        tcp_answers(&app2.namespace, db.v4, OTHER).then_some(())
    });
    for agent in [&mut database.agent, &mut second.agent] {
        agent.take().expect("it runs").kill();
    }
    etcd.kill(0);
    assert!(second.misses(db));
    second.wait_until_it_reaches(db);
    assert!(first.reaches(db));
    assert!(tcp_is_silent(&app2.namespace, db.v4, OTHER));

    // Whoever comes back does not begin the trial again.
    etcd.start_node(0);
    etcd.wait_until_ready();
    database.start_agent();
    database.wait_for("it is over", |status| status["trial"] == "lapsed");
    assert!(second.reaches(db));
}
