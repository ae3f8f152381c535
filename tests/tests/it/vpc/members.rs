//! Whoever joins is a member, whoever leaves is not.

use sg_tests::{
    etcd::Etcd,
    eventually_within,
    topology::Network,
    traffic::{Server, tcp_is_silent},
};

use super::{MYSQL, Member, PATIENCE, RULES};

#[test]
fn who_joins_is_a_member_and_who_leaves_is_not() {
    let network = Network::new(&["app1", "app2", "db", "etcd"]);
    let [app1, app2, db, node] = network.hosts();
    let etcd = Etcd::start(&[node], &[]);
    let _server = Server::tcp(&db.namespace, MYSQL);
    let database = Member::database(db, &etcd, &[]);
    assert!(tcp_is_silent(&app1.namespace, db.v4, MYSQL));

    let first = Member::start(app1, &etcd, &[]);
    first.wait_until_it_reaches(db);
    assert!(tcp_is_silent(&app2.namespace, db.v4, MYSQL));
    let second = Member::start(app2, &etcd, &[]);
    second.wait_until_it_reaches(db);

    let members = first.sg.json(&["show", "members"]);
    let of = |name: &str| {
        let mut members = members.as_array().expect("a list").iter();
        let address = |member: &&serde_json::Value| member["address"] == name;
        members.find(address).cloned().unwrap_or_default()
    };
    let member = of(&app2.v4.to_string());
    assert_eq!(member["group"], "our-learning-sg-https", "{members:#}");
    assert_eq!(
        (&member["host"], &member["counts"]),
        (&"app2".into(), &true.into())
    );

    // Who it is that comes in.
    let source = format!("{}:40000", app2.v4);
    eventually_within("the records are kept", PATIENCE, || {
        let words = ["explain", "--inbound", "tcp", &source, "3306"];
        let told = database.sg.json(&words);
        assert_eq!(told["verdict"], "allow", "{told:#}");
        let member = &told["members"][0];
        let is_known = (&member["host"], &member["group"])
            == (&"app2".into(), &"our-learning-sg-https".into());
        is_known.then_some(())
    });

    let text = first.sg.ok(&["vpc", "leave"]);
    assert!(text.contains("left the VPC default"), "{text}");
    first.wait_until_it_misses(db);
    assert!(second.reaches(db));
    // Its last policy stays in force.
    assert_eq!(
        first.sg.json(&["status"])["interfaces"][0]["state"],
        "enforcing"
    );
    assert!(first.sg.json(&["status"])["vpc"].is_null());
}

#[test]
fn an_address_that_comes_or_goes_is_followed() {
    let network = Network::new(&["app", "db", "etcd"]);
    let [app, db, node] = network.hosts();
    let etcd = Etcd::start(&[node], &[]);
    let _server = Server::tcp(&db.namespace, MYSQL);
    let database = Member::database(db, &etcd, &[]);
    let member = Member::start(app, &etcd, &[]);
    member.wait_until_it_reaches(db);
    let knows = |address: &str| {
        let members = database.sg.json(&["show", "members"]);
        let members = members.as_array().expect("a list").clone();
        members.iter().any(|member| member["address"] == address)
    };
    let second = app.add_address().to_string();
    eventually_within("the second address", PATIENCE, || {
        knows(&second).then_some(())
    });
    app.namespace
        .ip(&format!("addr del {second}/28 dev eth0\n"));
    eventually_within("it goes", PATIENCE, || (!knows(&second)).then_some(()));
    assert!(member.reaches(db));
}

#[test]
fn what_is_detached_is_no_member() {
    let network = Network::new(&["app", "db", "etcd"]);
    let [app, db, node] = network.hosts();
    let etcd = Etcd::start(&[node], &[]);
    let _server = Server::tcp(&db.namespace, MYSQL);
    let _database = Member::database(db, &etcd, &[]);
    let member = Member::start(app, &etcd, &[]);
    member.wait_until_it_reaches(db);
    member.sg.ok(&["detach", "eth0"]);
    member.wait_until_it_misses(db);
}

#[test]
fn a_claim_outside_the_assigned_addresses_is_refused_and_shown() {
    let network = Network::new(&["app", "db", "etcd"]);
    let [app, db, node] = network.hosts();
    let etcd = Etcd::start(&[node], &[]);
    let _server = Server::tcp(&db.namespace, MYSQL);
    let database = Member::start(db, &etcd, &[]);
    let pinned = "groups: [our-learning-sg-https], addresses: [198.51.100.0/24]";
    let rules = RULES.replacen("groups: [our-learning-sg-https]", pinned, 1);
    let revision = database.apply(&rules);
    database.wait_until_enforced(revision);
    let member = Member::start(app, &etcd, &[]);
    member.wait_until_it_reaches(db);
    // As a compromised host may do: it writes for itself what it does not have.
    let members = etcd.ctl(&["get", "--prefix", "/sg/v1/default/members/", "--keys-only"]);
    let key = members
        .lines()
        .find(|key| key.contains("/app/"))
        .expect("its record");
    let claim = r#"{"v":1,"interfaces":{"eth0":{"addresses":{"203.0.113.9":1},"since":1}}}"#;
    etcd.ctl(&["put", key, claim]);
    let status = database.wait_for("the refusal", |status| status["refused_count"] == 1);
    assert_eq!(
        status["refused"][0]["reason"]["outside"], "203.0.113.9",
        "{status:#}"
    );
    // And garbage leaves in force what was there.
    etcd.ctl(&["put", key, "garbage"]);
    database.wait_for("the damage", |status| status["damaged"][0].is_string());
}

#[test]
fn an_address_that_is_claimed_twice_belongs_to_the_later_one() {
    let network = Network::new(&["app1", "app2", "db", "etcd"]);
    let [app1, app2, db, node] = network.hosts();
    let etcd = Etcd::start(&[node], &[]);
    let database = Member::database(db, &etcd, &[]);
    let first = Member::start(app1, &etcd, &[]);
    let _second = Member::start(app2, &etcd, &[]);
    let shared = "203.0.113.7";
    app1.namespace
        .ip(&format!("addr add {shared}/32 dev eth0\n"));
    let holder = |host: &str| {
        let members = database.sg.json(&["show", "members"]);
        let members = members.as_array().expect("a list").clone();
        let mut held = members.iter().filter(|member| member["address"] == shared);
        held.any(|member| member["host"] == host && member["counts"] == true)
    };
    eventually_within("the first claim", PATIENCE, || holder("app1").then_some(()));
    app2.namespace
        .ip(&format!("addr add {shared}/32 dev eth0\n"));
    eventually_within("the later claim", PATIENCE, || holder("app2").then_some(()));
    let status = database.wait_for("the conflict", |status| status["conflict_count"] == 1);
    assert_eq!(
        status["conflicts"][0]["holder"]["host"], "app2",
        "{status:#}"
    );
    assert_eq!(status["conflicts"][0]["void"]["host"], "app1", "{status:#}");
    app2.namespace
        .ip(&format!("addr del {shared}/32 dev eth0\n"));
    eventually_within("the older one counts again", PATIENCE, || {
        holder("app1").then_some(())
    });
    drop(first);
}

#[test]
fn a_record_that_another_lease_keeps_is_kept_by_that_of_the_agent_once_it_counts() {
    let network = Network::new(&["app", "db", "etcd"]);
    let [app, db, node] = network.hosts();
    let etcd = Etcd::start(&[node], &[]);
    let _server = Server::tcp(&db.namespace, MYSQL);
    let database = Member::database(db, &etcd, &[]);
    let rules = RULES.replace("security_groups:\n", "security_groups:\n      more: { inbound: [{ type: SSH, source: 'sg:our-learning-sg-mysql' }] }\n");
    database.apply(&rules);
    let member = Member::start(app, &etcd, &[]);
    member.wait_until_it_reaches(db);
    let groups = database.sg.json(&["show", "groups"]);
    let id = |name: &str| {
        let mut groups = groups.as_array().expect("a list").iter();
        let group = groups.find(|group| group["name"] == name);
        group.expect("it is there")["id"]
            .as_str()
            .expect("a text")
            .to_owned()
    };
    let keys = etcd.ctl(&["get", "--prefix", "/sg/v1/default/members/", "--keys-only"]);
    let own = keys.lines().find(|key| key.contains("/app/"));
    let own = own.expect("its record");
    let left = own.replace(&id("our-learning-sg-https"), &id("more"));
    assert_ne!(own, left);

    // As an agent would have left it that carried the group some time ago.
    let granted = etcd.ctl(&["lease", "grant", "600"]);
    let lease = granted.split_whitespace().nth(1).expect("lease ID granted");
    let claim = etcd.ctl(&["get", own, "--print-value-only"]);
    etcd.ctl(&["put", "--lease", lease, &left, claim.trim()]);
    database.apply(&rules.replace(
        "[our-learning-sg-https] }",
        "[our-learning-sg-https, more] }",
    ));
    eventually_within("the agent's lease keeps it", PATIENCE, || {
        let kept = etcd.ctl(&["lease", "timetolive", lease, "--keys"]);
        (!kept.contains(&left)).then_some(())
    });
    let kept = etcd.ctl(&["get", &left, "--print-value-only"]);
    assert!(kept.contains(&app.v4.to_string()), "{kept}");
}
