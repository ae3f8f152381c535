//! Rules of a VPC: changed on one host, enforced on all.

use sg_tests::{etcd::Etcd, sg_ctl::SgCtl, topology::Network, traffic::Server};

use super::{MYSQL, Member, RULES};

/// Exit codes.
const REFUSED: i32 = 1;
const PENDING: i32 = 3;

#[test]
fn rules_are_changed_for_all_hosts_and_return() {
    let network = Network::new(&["app", "db", "etcd"]);
    let [app, db, node] = network.hosts();
    let etcd = Etcd::start(&[node], &[]);
    let _server = Server::tcp(&db.namespace, MYSQL);
    // An administrator's machine: it guards nothing.
    let admin = Member::join(node, &etcd, &[]);
    let first = admin.apply(RULES);
    let (app, database) = (
        Member::start(app, &etcd, &[]),
        Member::start(db, &etcd, &[]),
    );
    database.wait_until_enforced(first);
    app.wait_until_it_reaches(db);

    let closed = RULES.replace(
        "inbound: [{ type: MySQL/Aurora, source: 'sg:our-learning-sg-https' }]",
        "inbound: []",
    );
    let file = admin.sg.rule_file("closed.yaml", &closed);
    let dry = admin.sg.run(&["apply", "-n", "-f", &file]);
    assert_eq!(dry.code, PENDING, "{dry:#?}");
    assert!(
        dry.stdout.contains("group our-learning-sg-mysql"),
        "{dry:#?}"
    );
    assert!(app.reaches(db));
    let applied = admin.sg.json(&["apply", "-f", &file, "--wait", "60s"]);
    assert_eq!(applied["behind"], serde_json::json!([]), "{applied:#}");
    let second = applied["revision"].as_u64().expect("a number");
    assert!(second > first);
    assert!(app.misses(db));
    let hosts = admin.sg.json(&["show", "hosts"]);
    let hosts = hosts.as_array().expect("a list");
    let names: Vec<_> = hosts
        .iter()
        .map(|host| host["host"].as_str().unwrap_or("?"))
        .collect();
    assert_eq!(names, ["app", "db"]);
    assert!(
        hosts
            .iter()
            .all(|host| host["rules"] == second && host["behind"] == false)
    );

    admin.sg.ok(&["rollback"]);
    app.wait_until_it_reaches(db);
    let again = admin.sg.json(&["apply", "-f", &file]);
    assert_eq!(again["changed"], true, "{again:#}");
    let same = admin.sg.json(&["apply", "-f", &file]);
    assert_eq!(
        (&same["changed"], &same["revision"]),
        (&false.into(), &again["revision"])
    );
    drop(database);
}

#[test]
fn whoever_comes_by_ssh_is_warned_of_rules_that_would_shut_him_out() {
    let network = Network::new(&["app", "db", "etcd"]);
    let [app, db, node] = network.hosts();
    let etcd = Etcd::start(&[node], &[]);
    let database = Member::start(db, &etcd, &[]);
    let open = RULES.replace(
        "inbound: [{ type: MySQL",
        "inbound: [{ type: SSH, source: anywhere-ipv4 }, { type: MySQL",
    );
    let revision = database.apply(&open);
    database.wait_until_enforced(revision);
    let connection = format!("{} 50000 {} 22", app.v4, db.v4);
    let (sg, file) = (&database.sg, database.sg.rule_file("groups.yaml", RULES));
    let dry = sg.run_over_ssh(&connection, &["apply", "-n", "-f", &file]);
    assert_eq!(dry.code, PENDING, "{dry:#?}");
    let kept = sg.run_over_ssh(&connection, &["apply", "--keep-ssh", "-f", &file]);
    assert_eq!(kept.code, REFUSED, "{kept:#?}");
    assert!(kept.stderr.contains("--confirm-within"), "{kept:#?}");
    let done = sg.run_over_ssh(&connection, &["apply", "-f", &file]);
    assert_eq!(done.code, 0, "{done:#?}");
    for outcome in [dry, done] {
        let warning = format!("no rule of eth0 would admit {}", app.v4);
        assert!(outcome.stderr.contains(&warning), "{outcome:#?}");
    }
}

#[test]
fn rules_of_one_host_and_of_a_vpc_are_told_apart() {
    let network = Network::new(&["app", "etcd"]);
    let [app, node] = network.hosts();
    let alone = SgCtl::new(&app.namespace);
    let many = alone.rule_file("many.yaml", RULES);
    let error = alone.fails(REFUSED, &["apply", "-f", &many]);
    assert!(error.contains("vpc join"), "{error}");
    assert!(alone.is_untouched());

    let etcd = Etcd::start(&[node], &[]);
    let member = Member::join(app, &etcd, &[]);
    let one = member.sg.rule_file("one.yaml", "interfaces: { eth0: {} }");
    let error = member.sg.fails(REFUSED, &["apply", "-f", &one]);
    assert!(error.contains("HOST/INTERFACE"), "{error}");
    let error = member.sg.fails(REFUSED, &["attach", "eth0", "-f", &one]);
    assert!(error.contains("belongs to a VPC"), "{error}");
    let error = member.sg.fails(REFUSED, &["adopt", "web"]);
    assert!(error.contains("the API owns no group"), "{error}");
    let error = member.sg.fails(REFUSED, &["serve", "--host", "other"]);
    assert!(error.contains("leave out --host"), "{error}");
    let endpoints = etcd.endpoints();
    let other = [
        "vpc", "join", "--etcd", &endpoints, "--vpc", "other", "--host", "app",
    ];
    let error = member.sg.fails(REFUSED, &other);
    assert!(error.contains("vpc leave"), "{error}");
}

#[test]
fn a_document_that_is_damaged_or_too_new_leaves_the_last_policy_in_force() {
    let network = Network::new(&["app", "db", "etcd"]);
    let [app, db, node] = network.hosts();
    let etcd = Etcd::start(&[node], &[]);
    let _server = Server::tcp(&db.namespace, MYSQL);
    let database = Member::database(db, &etcd, &[]);
    let app = Member::start(app, &etcd, &[]);
    app.wait_until_it_reaches(db);
    // What `printf '{"format":9,"version":"9.9.9"}' | zstd` writes cannot be given as an argument of
    // etcdctl: text is damage, too, and the formats are told apart in the unit tests.
    etcd.ctl(&["put", "/sg/v1/default/rules", "no document"]);
    let status = database.wait_for("the refusal", |status| {
        status["rules_refused"]
            .as_str()
            .is_some_and(|text| text.contains("damaged"))
    });
    assert!(
        status["rules_wanted"].as_u64() > status["rules_enforced"].as_u64(),
        "{status:#}"
    );
    assert!(app.reaches(db));
    etcd.ctl(&["del", "/sg/v1/default/rules"]);
    database.wait_for("the empty store", |status| {
        status["rules_refused"]
            .as_str()
            .is_some_and(|text| text.contains("no rules"))
    });
    assert!(app.reaches(db));
    let revision = database.apply(&RULES.replace("db/eth0", "d?/eth0"));
    database.wait_until_enforced(revision);
    assert!(app.reaches(db));
}
