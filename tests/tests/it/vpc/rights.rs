//! What a host's own user may do in an etcd that asks, and what it may not.

use std::fs;

use sg_tests::{
    certificates::{Authority, Identity},
    etcd::Etcd,
    eventually_within,
    sg_ctl::SgCtl,
    topology::{Host, Network},
    traffic::Server,
};

use super::{MYSQL, Member, PATIENCE, RULES};

/// Exit codes.
const REFUSED: i32 = 1;
const UNREACHABLE: i32 = 2;

/// Makes users of what `vpc roles` prints for hosts app and db, with passwords in place of
/// certificates, and has etcd ask for them; returns the file of the password that all have.
fn ask_for_passwords(etcd: &Etcd<'_>, planner: &SgCtl<'_>) -> String {
    let file = planner.rule_file("groups.yaml", RULES);
    let commands = planner.ok(&[
        "vpc", "roles", "--vpc", "default", "-f", &file, "--host", "app,db",
    ]);
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
    password.display().to_string()
}

/// Joins as one of these users.
fn join_as<'n>(
    host: &'n Host,
    etcd: &Etcd<'_>,
    (user, password): (&str, &str),
    further: &[&str],
) -> Member<'n> {
    let options = ["--user", user, "--password-file", password];
    Member::join(host, etcd, &[&options[..], further].concat())
}

#[test]
fn a_group_that_a_host_may_not_write_keeps_it_from_no_other() {
    let network = Network::new(&["app", "db", "etcd"]);
    let [app, db, node] = network.hosts();
    let etcd = Etcd::start(&[node], &[]);
    let planner = SgCtl::new(&node.namespace);
    let password = ask_for_passwords(&etcd, &planner);
    let root = |words: &[&str]| {
        let told = etcd.try_ctl(&[&["--user", "root:secret"], words].concat());
        told.expect("root may")
    };
    let admin = join_as(node, &etcd, ("sg-default-admin", &password), &[]);
    let _server = Server::tcp(&db.namespace, MYSQL);
    let revision = admin.apply(RULES);
    let mut database = join_as(db, &etcd, ("db", &password), &[]);
    database.start_agent();
    database.wait_until_enforced(revision);
    // An administrator's machine guards nothing, and need not follow.
    assert_eq!(admin.sg.run(&["status", "--check"]).code, 0);
    let leases = || root(&["lease", "list"]);
    let of_database = leases();
    let mut app = join_as(app, &etcd, ("app", &password), &["--host-ttl", "10s"]);
    app.start_agent();
    app.wait_until_it_reaches(db);
    let now = leases();
    let mut new = now.lines().filter(|line| !of_database.contains(line));
    let before = new.next_back().expect("that of app's agent").to_owned();
    app.agent.take().expect("it runs").kill();

    // Rights on these are what nobody has granted.
    let names = ["more", "and-more", "still-more", "most"];
    let more = names.map(|name| format!("      {name}: {{}}\n")).concat();
    let names = names.join(", ");
    let rules = RULES
        .replace("security_groups:\n", &format!("security_groups:\n{more}"))
        .replace(
            "[our-learning-sg-https] }",
            &format!("[our-learning-sg-https, {names}] }}"),
        );
    let revision = admin.apply(&rules);
    app.start_agent();
    app.wait_until_enforced(revision);
    let status = app.wait_for("something is not written", |status| {
        status["unwritten"].is_string()
    });
    let told = status["unwritten"].to_string();
    assert!(told.contains("vpc roles"), "{told}");
    // What the agent before it had written is kept by this one's lease now.
    eventually_within("the lease before is over", PATIENCE, || {
        (!leases().contains(&before)).then_some(())
    });
    let keys = root(&["get", "--prefix", "/sg/v1/default/", "--keys-only"]);
    let of_app = |key: &&str| key.contains("/members/") && key.contains("/app/");
    assert_eq!(keys.lines().filter(of_app).count(), 1, "{keys}");
    assert!(keys.contains("/enforced/app"), "{keys}");
}

#[test]
fn a_host_writes_its_own_records_and_nothing_else() {
    let network = Network::new(&["app", "db", "etcd"]);
    let [app, db, node] = network.hosts();
    let etcd = Etcd::start(&[node], &[]);
    let planner = SgCtl::new(&node.namespace);
    let password = ask_for_passwords(&etcd, &planner);
    let join = |host, user| join_as(host, &etcd, (user, &password), &[]);
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

#[test]
fn hosts_are_known_by_their_certificates() {
    let network = Network::new(&["app", "db", "etcd"]);
    let [app, db, node] = network.hosts();
    let authority = Authority::new();
    let etcd = Etcd::start_encrypted(&[node], &authority);
    let planner = SgCtl::new(&node.namespace);
    let file = planner.rule_file("groups.yaml", RULES);
    let roles = [
        "vpc", "roles", "--vpc", "default", "-f", &file, "--host", "app,db",
    ];
    etcd.ctl(&["user", "add", "root", "--no-password"]);
    etcd.ctl(&["role", "add", "root"]);
    etcd.ctl(&["user", "grant-role", "root", "root"]);
    // As printed.
    for line in planner.ok(&roles).lines() {
        let line = line.strip_prefix("etcdctl ").expect("commands of etcdctl");
        etcd.ctl(&line.split_whitespace().collect::<Vec<_>>());
    }
    etcd.ctl(&["auth", "enable"]);
    let with = |ca: &Authority, own: &Identity| {
        let files = [
            ("--ca", ca.ca()),
            ("--cert", own.cert.clone()),
            ("--key", own.key.clone()),
        ];
        files
            .map(|(name, path)| [name.to_owned(), path.display().to_string()])
            .concat()
    };
    let join = |host, user: &str| {
        let options = with(&authority, &authority.issue(user, None));
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        Member::join(host, &etcd, &options)
    };
    let admin = join(node, "sg-default-admin");
    admin.apply(RULES);
    let _server = Server::tcp(&db.namespace, MYSQL);
    let (mut member, mut database) = (join(app, "app"), join(db, "db"));
    member.start_agent();
    database.start_agent();
    database.wait_until_enforced(1);
    member.wait_until_it_reaches(db);
    let changed = member
        .sg
        .rule_file("changed.yaml", &RULES.replace("db/eth0", "app/eth1"));
    let error = member.sg.fails(REFUSED, &["apply", "-f", &changed]);
    assert!(error.contains("administrator"), "{error}");

    // Neither side takes a certificate of another authority, and nothing goes in the clear.
    let stranger = Authority::new();
    let endpoints = etcd.endpoints();
    let fresh = SgCtl::new(&app.namespace);
    let (own, foreign) = (authority.issue("app", None), stranger.issue("app", None));
    for options in [
        with(&stranger, &own),
        with(&authority, &foreign),
        vec!["--ca".to_owned(), authority.ca().display().to_string()],
    ] {
        let mut words = vec!["vpc", "join", "--host", "app", "--etcd", &endpoints];
        words.extend(options.iter().map(String::as_str));
        fresh.fails(UNREACHABLE, &words);
        assert!(!fresh.directory().join("state/vpc.json").exists());
    }
    let options = with(&stranger, &own);
    let mut words = vec!["vpc", "join", "--host", "app", "--etcd", &endpoints];
    words.extend(options.iter().map(String::as_str));
    let error = fresh.fails(UNREACHABLE, &words);
    assert!(error.contains("--ca names the authority"), "{error}");
    let clear = endpoints.replace("https", "http");
    fresh.fails(
        UNREACHABLE,
        &["vpc", "join", "--host", "app", "--etcd", &clear],
    );
}
