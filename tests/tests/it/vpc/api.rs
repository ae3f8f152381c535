//! The EC2 endpoint of a VPC: one host serves it, all hosts enforce what it changes.

use std::{net::SocketAddr, thread};

use nix::sys::signal::Signal;
use sg_tests::{
    ec2::{Answer, Client},
    etcd::Etcd,
    eventually_within,
    sg_ctl::{Running, SgCtl},
    topology::Network,
    traffic::Server,
};

use super::{MYSQL, Member, PATIENCE};

/// Where the endpoint is, in the namespace of the host that serves it.
const ENDPOINT: &str = "127.0.0.1:8790";

/// How often a port is shut, tried, opened and tried: for every change, and with `--long`.
const ROUNDS: (usize, usize) = (10, 200);

/// Starts the endpoint of a host; it answers when this returns.
fn serve<'n>(member: &Member<'n>) -> (Running, Client<'n>) {
    let mut serving = member.sg.start(&["serve"]);
    serving.line_with(&["EC2 endpoint"]);
    let endpoint: SocketAddr = ENDPOINT.parse().expect("an address");
    let client = Client::new(&member.host.namespace, endpoint, &member.sg);
    (serving, client)
}

/// The id of the interface of a host, once the endpoint knows it.
fn eni(client: &Client<'_>, host: &str) -> String {
    let what = format!("{host} has told of its interface");
    eventually_within(&what, PATIENCE, || {
        let filter = [
            ("Filter.1.Name", "availability-zone"),
            ("Filter.1.Value.1", host),
        ];
        let found = client.ok("DescribeNetworkInterfaces", &filter);
        let id = found.first("networkInterfaceId").to_owned();
        (!id.is_empty()).then_some(id)
    })
}

fn group(client: &Client<'_>, name: &str) -> String {
    let made = client.ok(
        "CreateSecurityGroup",
        &[
            ("GroupName", name),
            ("GroupDescription", "of the VPC"),
            ("VpcId", &vpc(client)),
        ],
    );
    made.first("groupId").to_owned()
}

fn vpc(client: &Client<'_>) -> String {
    client.ok("DescribeVpcs", &[]).first("vpcId").to_owned()
}

/// Says that the members of a group reach the database of another, or do so no more.
fn admit(client: &Client<'_>, action: &str, (to, from): (&str, &str)) -> Answer {
    client.ok(
        action,
        &[
            ("GroupId", to),
            ("IpPermissions.1.IpProtocol", "tcp"),
            ("IpPermissions.1.FromPort", "3306"),
            ("IpPermissions.1.ToPort", "3306"),
            ("IpPermissions.1.Groups.1.GroupId", from),
        ],
    )
}

/// Guards the interface of a host, which the rules assign no group to.
fn guarded(sg: &SgCtl<'_>) {
    sg.ok(&["attach", "eth0"]);
}

#[test]
fn a_call_is_answered_when_every_host_of_the_vpc_enforces_it() {
    let network = Network::new(&["app", "db", "etcd"]);
    let [app, db, node] = network.hosts();
    let etcd = Etcd::start(&[node], &[]);
    let _server = Server::tcp(&db.namespace, MYSQL);
    let admin = Member::join(node, &etcd, &[]);
    let first = admin.apply("security_groups: {}");
    let (app, database) = (
        Member::start(app, &etcd, &[]),
        Member::start(db, &etcd, &[]),
    );
    for member in [&app, &database] {
        guarded(&member.sg);
        member.wait_until_enforced(first);
    }
    let (serving, client) = serve(&admin);

    let (web, mysql) = (group(&client, "web"), group(&client, "mysql"));
    for (host, id) in [("app", &web), ("db", &mysql)] {
        let eni = eni(&client, host);
        let parameters = [("NetworkInterfaceId", &*eni), ("SecurityGroupId.1", id)];
        let changed = client.ok("ModifyNetworkInterfaceAttribute", &parameters);
        assert_eq!(changed.pending(), None, "{}", changed.text);
        let shown = client.ok(
            "DescribeNetworkInterfaces",
            &[("NetworkInterfaceId.1", &eni)],
        );
        assert_eq!(shown.all("groupId"), [id]);
        assert_eq!(shown.first("availabilityZone"), host);
    }
    // The addresses of web's member come to the database as a claim, not as a change of the rules.
    admit(&client, "AuthorizeSecurityGroupIngress", (&mysql, &web));
    app.wait_until_it_reaches(db);
    let (few, many) = ROUNDS;
    let has_time = std::env::var_os("SG_LONG").is_some();
    for round in 0..if has_time { many } else { few } {
        let closed = admit(&client, "RevokeSecurityGroupIngress", (&mysql, &web));
        assert_eq!(closed.pending(), None, "{round}");
        assert!(app.misses(db), "{round}: open after it was shut");
        let open = admit(&client, "AuthorizeSecurityGroupIngress", (&mysql, &web));
        assert_eq!(open.pending(), None, "{round}");
        // A connection tries again for so long that it alone would not tell who enforces it late.
        let hosts = admin.sg.json(&["show", "hosts"]);
        let mut hosts = hosts.as_array().expect("a list").iter();
        assert!(hosts.all(|host| host["behind"] == false), "{round}");
        assert!(app.reaches(db), "{round}: shut after it was opened");
    }

    // Who does not follow is named, and enforces it when he does.
    let mut database = database;
    let running = database.agent.take();
    drop(running);
    let closed = admit(&client, "RevokeSecurityGroupIngress", (&mysql, &web));
    assert_eq!(closed.pending(), Some("db"), "{}", closed.text);
    // An endpoint that is told to end answers what it has begun to do.
    let open = thread::scope(|scope| {
        let call = || admit(&client, "AuthorizeSecurityGroupIngress", (&mysql, &web));
        let call = scope.spawn(call);
        eventually_within("the change is made", PATIENCE, || {
            let rules = client.ok("DescribeSecurityGroupRules", &[]);
            rules.text.contains("3306").then_some(())
        });
        serving.signal(Signal::SIGTERM);
        call.join().expect("it is answered")
    });
    assert_eq!(open.pending(), Some("db"), "{}", open.text);
    assert_eq!(serving.wait(), 0);
    let (_serving, client) = serve(&admin);
    admit(&client, "RevokeSecurityGroupIngress", (&mysql, &web));
    database.start_agent();
    app.wait_until_it_misses(db);

    // Rule files replace what is theirs.
    admin.apply("security_groups: { other: {} }");
    let groups = client.ok("DescribeSecurityGroups", &[]);
    let mut names = groups.all("groupName");
    names.sort_unstable();
    names.dedup();
    assert_eq!(names, ["default", "mysql", "other", "web"]);
    // What is adopted is a rule file's, and goes with the next one.
    admin.sg.ok(&[
        "adopt",
        "web",
        "mysql",
        "--interface",
        "app/eth0",
        "--interface",
        "db/eth0",
    ]);
    admin.apply("security_groups: { other: {} }");
    let groups = client.ok("DescribeSecurityGroups", &[]);
    assert!(!groups.text.contains("mysql"), "{}", groups.text);
    let carried = admin.sg.json(&["audit"]);
    assert!(
        carried
            .to_string()
            .contains("AuthorizeSecurityGroupIngress"),
        "{carried:#}"
    );
}

#[test]
fn what_is_served_ends_with_the_vpc_that_it_was_served_for() {
    let network = Network::new(&["app", "etcd"]);
    let [app, node] = network.hosts();
    let alone = Member {
        agent: None,
        sg: SgCtl::new(&app.namespace),
        host: app,
    };
    let (_serving, client) = serve(&alone);
    group(&client, "web");
    let etcd = Etcd::start(&[node], &[]);
    let endpoints = etcd.endpoints();
    alone
        .sg
        .ok(&["vpc", "join", "--etcd", &endpoints, "--host", "app"]);
    let parameters = [("GroupName", "more"), ("GroupDescription", "of whom")];
    let refused = client.call("CreateSecurityGroup", &parameters);
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert!(refused.text.contains("start it again"), "{}", refused.text);
}
