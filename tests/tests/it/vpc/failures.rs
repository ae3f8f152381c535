//! What fails, and what must hold meanwhile: each test is a row of the table in docs/vpc.md.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use sg_tests::{
    etcd::Etcd,
    eventually_within,
    topology::Network,
    traffic::{Server, tcp_is_silent},
};

use super::{MYSQL, Member, PATIENCE};

/// Exit status of `status` when something is not as it should be.
const PROBLEMS: i32 = 4;

/// What `vpc status` says of an agent that has ended.
const NOBODY: &str = "no agent runs here";

/// Short times: what takes minutes elsewhere takes seconds here.
const SHORT: [&str; 4] = ["--host-ttl", "10s", "--grace", "5s"];

#[test]
fn without_etcd_the_last_policy_is_enforced_and_the_return_is_followed() {
    let network = Network::new(&["app1", "app2", "db", "etcd"]);
    let [app1, app2, db, node] = network.hosts();
    let mut etcd = Etcd::start(&[node], &[]);
    let _server = Server::tcp(&db.namespace, MYSQL);
    let mut database = Member::database(db, &etcd, &[]);
    let app = Member::start(app1, &etcd, &[]);
    app.wait_until_it_reaches(db);
    etcd.kill(0);
    let agent = database.agent.as_mut().expect("it runs");
    agent.line_with(&["the last policy stays"]);
    let status = database.wait_for("etcd is away", |status| status["connected"] == false);
    assert!(
        status["help"]
            .as_str()
            .is_some_and(|help| help.contains("etcdctl")),
        "{status:#}"
    );
    assert_eq!(database.sg.run(&["status", "--check"]).code, PROBLEMS);
    assert!(app.reaches(db));
    assert!(tcp_is_silent(&app2.namespace, db.v4, MYSQL));

    // As after a reboot without etcd: everything is taken off, and comes back from the state alone.
    database.agent.take().expect("it runs").kill();
    database.sg.ok(&["detach", "--all"]);
    database.sg.ok(&["attach", "eth0"]);
    database.start_agent();
    database.wait_for("etcd is still away", |status| {
        let error = status["error"].as_str();
        error.is_some_and(|error| error != NOBODY)
    });
    assert!(app.reaches(db));
    assert!(tcp_is_silent(&app2.namespace, db.v4, MYSQL));

    etcd.start_node(0);
    etcd.wait_until_ready();
    database.wait_for("it is followed", |status| status["connected"] == true);
    assert_eq!(database.sg.run(&["status", "--check"]).code, 0);
    let second = Member::start(app2, &etcd, &[]);
    second.wait_until_it_reaches(db);

    // What an agent wrote that has ended is old.
    database.agent.take().expect("it runs").kill();
    let status = database.wait_for("nobody follows", |status| status["connected"] == false);
    assert_eq!(status["error"], NOBODY, "{status:#}");
    assert_eq!(database.sg.run(&["status", "--check"]).code, PROBLEMS);
}

#[test]
fn a_killed_node_a_killed_leader_and_a_lost_majority_change_no_verdict() {
    let network = Network::new(&["app1", "app2", "db", "n1", "n2", "n3"]);
    let [app1, app2, db, n1, n2, n3] = network.hosts();
    let mut etcd = Etcd::start(&[n1, n2, n3], &[]);
    let _server = Server::tcp(&db.namespace, MYSQL);
    let database = Member::database(db, &etcd, &[]);
    let app = Member::start(app1, &etcd, &[]);
    app.wait_until_it_reaches(db);
    // Whichever leads, it is among the first two that die.
    etcd.kill(0);
    assert!(app.reaches(db));
    etcd.kill(1);
    database.wait_for("no majority", |status| status["connected"] == false);
    assert!(app.reaches(db));
    assert!(tcp_is_silent(&app2.namespace, db.v4, MYSQL));
    etcd.start_node(0);
    database.wait_for("a majority", |status| status["connected"] == true);
    let second = Member::start(app2, &etcd, &[]);
    second.wait_until_it_reaches(db);
    assert!(app.reaches(db));
    etcd.start_node(1);
}

#[test]
fn a_stopped_node_is_left_for_another() {
    let network = Network::new(&["app1", "app2", "db", "n1", "n2", "n3"]);
    let [app1, app2, db, n1, n2, n3] = network.hosts();
    let etcd = Etcd::start(&[n1, n2, n3], &[]);
    let _server = Server::tcp(&db.namespace, MYSQL);
    let database = Member::database(db, &etcd, &[]);
    let app = Member::start(app1, &etcd, &[]);
    app.wait_until_it_reaches(db);
    let endpoint = database.status()["endpoint"]
        .as_str()
        .expect("text")
        .to_owned();
    let nodes = [n1, n2, n3];
    let number = nodes
        .iter()
        .position(|node| endpoint.contains(&format!("{}:", node.v4)));
    let number = number.expect("it is one of them");
    etcd.signal(number, Signal::SIGSTOP);
    database.wait_for("another node", |status| {
        status["connected"] == true && status["endpoint"] != endpoint
    });
    let second = Member::start(app2, &etcd, &[]);
    second.wait_until_it_reaches(db);
    etcd.signal(number, Signal::SIGCONT);
    assert!(app.reaches(db));
}

#[test]
fn a_vpc_in_which_nothing_happens_is_followed_without_a_break() {
    /// Several times as long as it took etcd to end connections that were tried too often.
    const LONG: Duration = Duration::from_secs(25);
    let network = Network::new(&["db", "etcd"]);
    let [db, node] = network.hosts();
    let etcd = Etcd::start(&[node], &[]);
    let database = Member::database(db, &etcd, &[]);
    let begin = Instant::now();
    let since = database.status()["since"].clone();
    eventually_within("a while without a break", PATIENCE, || {
        let status = database.status();
        assert_eq!(status["connected"], true, "{status:#}");
        assert_eq!(status["since"], since, "{status:#}");
        (begin.elapsed() > LONG).then_some(())
    });
}

#[test]
fn a_compaction_while_a_host_is_away_loses_no_member() {
    let network = Network::new(&["app1", "app2", "db", "etcd"]);
    let [app1, app2, db, node] = network.hosts();
    let etcd = Etcd::start(&[node], &[]);
    let _server = Server::tcp(&db.namespace, MYSQL);
    let database = Member::database(db, &etcd, &[]);
    let app = Member::start(app1, &etcd, &[]);
    app.wait_until_it_reaches(db);
    network.router.ip("link set db down\n");
    database.wait_for("it is cut off", |status| status["connected"] == false);
    let second = Member::start(app2, &etcd, &[]);
    eventually_within("the claim of app2", PATIENCE, || {
        let records = etcd.ctl(&["get", "--prefix", "/sg/v1/default/members/", "--keys-only"]);
        records.contains("/app2/").then_some(())
    });
    etcd.ctl(&["put", "other", "1"]);
    let answer = etcd.ctl(&["get", "other", "-w", "json"]);
    let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
    let revision = answer["header"]["revision"].to_string();
    etcd.ctl(&["compact", &revision]);
    network.router.ip("link set db up\n");
    network.router.ip("route replace 198.51.100.48/28 dev db\n");
    second.wait_until_it_reaches(db);
    assert!(app.reaches(db));
}

#[test]
fn a_host_that_dies_is_a_member_for_its_time_and_then_no_more() {
    let network = Network::new(&["app", "db", "etcd"]);
    let [app, db, node] = network.hosts();
    let etcd = Etcd::start(&[node], &[]);
    let _server = Server::tcp(&db.namespace, MYSQL);
    let _database = Member::database(db, &etcd, &SHORT);
    let mut app = Member::start(app, &etcd, &SHORT);
    app.wait_until_it_reaches(db);
    app.agent.take().expect("it runs").kill();
    assert!(app.reaches(db));
    app.wait_until_it_misses(db);
    app.start_agent();
    app.wait_until_it_reaches(db);
}

#[test]
fn a_host_cut_from_etcd_keeps_its_policy_and_is_back_when_the_link_is() {
    let network = Network::new(&["app", "db", "etcd"]);
    let [app, db, node] = network.hosts();
    let etcd = Etcd::start(&[node], &[]);
    let _server = Server::tcp(&db.namespace, MYSQL);
    let _database = Member::database(db, &etcd, &SHORT);
    let app = Member::start(app, &etcd, &SHORT);
    app.wait_until_it_reaches(db);
    // From etcd only: between the two nothing changes.
    let way = format!("{}/32", node.v4);
    app.host
        .namespace
        .ip(&format!("route add unreachable {way}\n"));
    app.wait_for("it is cut off", |status| status["connected"] == false);
    assert_eq!(
        app.sg.json(&["status"])["interfaces"][0]["state"],
        "enforcing"
    );
    app.wait_until_it_misses(db);
    app.host
        .namespace
        .ip(&format!("route del unreachable {way}\n"));
    app.wait_until_it_reaches(db);
}

#[test]
fn a_full_etcd_changes_nothing_and_says_what_to_do() {
    let network = Network::new(&["app1", "app2", "db", "etcd"]);
    let [app1, app2, db, node] = network.hosts();
    let etcd = Etcd::start(&[node], &["--quota-backend-bytes", "1000000"]);
    let _server = Server::tcp(&db.namespace, MYSQL);
    let _database = Member::database(db, &etcd, &[]);
    let app = Member::start(app1, &etcd, &[]);
    app.wait_until_it_reaches(db);
    let filler = "x".repeat(100_000);
    eventually_within("the alarm", PATIENCE, || {
        let put = etcd.try_ctl(&["put", "filler", &filler]);
        let is_full = |error: &String| error.contains("database space exceeded");
        put.err().filter(is_full)
    });
    let second = Member::start(app2, &etcd, &[]);
    let status = second.wait_for("it cannot write", |status| status["unwritten"].is_string());
    let text = status["unwritten"].as_str().expect("text");
    assert!(text.contains("alarm disarm"), "{status:#}");
    assert!(app.reaches(db));
    assert!(second.misses(db));
}

#[test]
fn another_etcd_and_an_older_one_are_no_policy() {
    let network = Network::new(&["app", "db", "n1", "n2"]);
    let [app, db, n1, n2] = network.hosts();
    let mut etcd = Etcd::start(&[n1], &[]);
    let _server = Server::tcp(&db.namespace, MYSQL);
    let database = Member::database(db, &etcd, &[]);
    let app = Member::start(app, &etcd, &[]);
    app.wait_until_it_reaches(db);
    // Another one takes the place of the first.
    etcd.kill(0);
    let address = format!("{}/32", n1.v4);
    n1.namespace.ip("addr flush dev eth0\n");
    n2.namespace.ip(&format!("addr add {address} dev eth0\n"));
    network
        .router
        .ip(&format!("route replace {address} via {}\n", n2.v4));
    let _other = Etcd::start(
        &[n2],
        &[
            "--listen-client-urls",
            &format!("http://{}:2379,http://{}:2379", n1.v4, n2.v4),
        ],
    );
    let status = database.wait_for("another etcd", |status| {
        status["error"]
            .as_str()
            .is_some_and(|text| text.contains("another etcd"))
    });
    assert_eq!(status["connected"], false, "{status:#}");
    assert!(app.reaches(db));
}

#[test]
fn hosts_whose_clocks_are_wrong_are_members_as_any_other() {
    // Years ahead of everybody, at the beginning of time, and at the end of numbers.
    const CLOCKS: [u64; 3] = [4_102_444_800, 0, u64::MAX];
    let network = Network::new(&["app", "db", "etcd"]);
    let [app, db, node] = network.hosts();
    let etcd = Etcd::start(&[node], &[]);
    let _server = Server::tcp(&db.namespace, MYSQL);
    let database = Member::database(db, &etcd, &[]);
    let member = Member::start(app, &etcd, &[]);
    member.wait_until_it_reaches(db);
    // What its agent has said, once more by other clocks.
    drop(member.agent);
    let keys = etcd.ctl(&["get", "--prefix", "/sg/v1/default/members/", "--keys-only"]);
    let own = keys.lines().find(|key| key.contains("/app/"));
    let own = own.expect("its record").to_owned();
    for clock in CLOCKS {
        let claim = format!(
            r#"{{"v":1,"interfaces":{{"eth0":{{"addresses":{{"{}":1}},"since":{clock}}}}}}}"#,
            app.v4
        );
        etcd.ctl(&["put", &own, r#"{"v":1,"interfaces":{}}"#]);
        let address = app.v4.to_string();
        let counts = || {
            let members = database.sg.json(&["show", "members"]);
            let mut members = members.as_array().expect("a list").iter();
            members.any(|member| member["address"] == *address && member["counts"] == true)
        };
        eventually_within("it has left", PATIENCE, || (!counts()).then_some(()));
        let shut_out = || tcp_is_silent(&app.namespace, db.v4, MYSQL).then_some(());
        eventually_within("the database shuts it out", PATIENCE, shut_out);
        etcd.ctl(&["put", &own, &claim]);
        let said = format!(r#"{{"rules":1,"revision":1,"version":"0.1.0","clock":{clock}}}"#);
        etcd.ctl(&["put", "/sg/v1/default/enforced/app", &said]);
        eventually_within("it is a member again", PATIENCE, || counts().then_some(()));
        let hosts = database.sg.ok(&["show", "hosts"]);
        assert!(hosts.contains("app"), "{hosts}");
        let reached = || (!tcp_is_silent(&app.namespace, db.v4, MYSQL)).then_some(());
        eventually_within("the database admits it", PATIENCE, reached);
    }
}
