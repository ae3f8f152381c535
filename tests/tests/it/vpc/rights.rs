//! What a host's own user may do in an etcd that asks, and what it may not.

use std::fs;

use sg_tests::{etcd::Etcd, sg_ctl::SgCtl, topology::Network, traffic::Server};

use super::{MYSQL, Member, RULES};

/// Exit code.
const REFUSED: i32 = 1;

#[test]
fn a_host_writes_its_own_records_and_nothing_else() {
    let network = Network::new(&["app", "db", "etcd"]);
    let [app, db, node] = network.hosts();
    let etcd = Etcd::start(&[node], &[]);
    let planner = SgCtl::new(&node.namespace);
    let file = planner.rule_file("groups.yaml", RULES);
    let commands = planner.ok(&[
        "vpc", "roles", "--vpc", "default", "-f", &file, "--host", "app,db",
    ]);
    // As printed, but with passwords in place of certificates.
    etcd.ctl(&["user", "add", "root:secret"]);
    etcd.ctl(&["role", "add", "root"]);
    etcd.ctl(&["user", "grant-role", "root", "root"]);
    for line in commands.lines() {
        let line = line.strip_prefix("etcdctl ").expect("commands of etcdctl");
        let words: Vec<String> = line
            .split_whitespace()
            .filter(|word| *word != "--no-password")
            .map(str::to_owned)
            .collect();
        let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
        let user = format!("{}:secret", words.get(2).copied().unwrap_or("?"));
        if words[..2] == ["user", "add"] {
            words[2] = &user;
        }
        etcd.ctl(&words);
    }
    etcd.ctl(&["auth", "enable"]);
    let password = planner.directory().join("password");
    fs::write(&password, "secret\n").expect("the directory is ours");
    let password = password.display().to_string();
    let as_user =
        |user: &'static str| ["--user", user, "--password-file", &password].map(str::to_owned);
    let join = |host, user| {
        let options = as_user(user);
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        Member::join(host, &etcd, &options)
    };
    let admin = join(node, "sg-default-admin");
    admin.apply(RULES);
    let _server = Server::tcp(&db.namespace, MYSQL);
    let (mut app, mut database) = (join(app, "app"), join(db, "db"));
    app.start_agent();
    database.start_agent();
    database.wait_until_enforced(1);
    app.wait_until_it_reaches(db);

    // With what is stolen from app: its own records, all that is to be read, and no more.
    let stolen = |words: &[&str]| etcd.try_ctl(&[&["--user", "app:secret"], words].concat());
    let keys = stolen(&["get", "--prefix", "/sg/v1/default/", "--keys-only"]).expect("it may read");
    let own = keys
        .lines()
        .find(|key| key.contains("/app/"))
        .expect("its own record");
    let other = keys
        .lines()
        .find(|key| key.contains("/db/"))
        .expect("the other's record");
    stolen(&["put", own, r#"{"v":1,"interfaces":{}}"#]).expect("its own record is its own");
    for key in [
        "/sg/v1/default/rules",
        "/sg/v1/default/previous",
        "/sg/v1/default/enforced/db",
        other,
        &own.replace("/app/", "/db/"),
        &other.replace("/db/", "/app/"),
        "/sg/v1/other/rules",
    ] {
        let error = stolen(&["put", key, "x"]).expect_err(key);
        assert!(error.contains("permission denied"), "{key}: {error}");
    }
    assert!(stolen(&["get", "/sg/v1/other/rules"]).is_err());
    assert!(stolen(&["user", "list"]).is_err());
    let changed = app
        .sg
        .rule_file("changed.yaml", &RULES.replace("db/eth0", "app/eth1"));
    let error = app.sg.fails(REFUSED, &["apply", "-f", &changed]);
    assert!(error.contains("administrator"), "{error}");
}
