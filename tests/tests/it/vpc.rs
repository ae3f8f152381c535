//! Hosts of one VPC, on real etcd nodes in namespaces of their own, with real traffic between them.

mod answers;
mod api;
mod confirm;
mod failures;
mod members;
mod rights;
mod rules;
mod store;

use std::time::Duration;

use serde_json::Value;
use sg_tests::{
    etcd::Etcd,
    eventually_within,
    sg_ctl::{Running, SgCtl},
    topology::Host,
    traffic::{Connection, tcp_answers, tcp_is_silent},
};

/// The longest that a change takes to reach a host, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// Answers that are compared with their schemas here, for only a host of a VPC gives them.
pub(crate) const ONLY_IN_A_VPC: [&str; 2] = ["show-hosts", "vpc-status"];

/// Port of the database.
const MYSQL: u16 = 3306;

/// `our-learning-sg-mysql` admits `our-learning-sg-https`.
const RULES: &str = "
    security_groups:
      our-learning-sg-https: {}
      our-learning-sg-mysql:
        inbound: [{ type: MySQL/Aurora, source: 'sg:our-learning-sg-https' }]
    hosts:
      'app*/eth0': { groups: [our-learning-sg-https] }
      db/eth0: { groups: [our-learning-sg-mysql] }
";

/// A host of the VPC.
struct Member<'n> {
    /// Ends before its files go.
    agent: Option<Running>,
    host: &'n Host,
    sg: SgCtl<'n>,
}

impl<'n> Member<'n> {
    /// Joins with these further options; no agent runs yet.
    fn join(host: &'n Host, etcd: &Etcd<'_>, options: &[&str]) -> Self {
        let sg = SgCtl::new(&host.namespace);
        let endpoints = etcd.endpoints();
        let words = ["vpc", "join", "--etcd", &endpoints, "--host", host.name];
        sg.ok(&[&words[..], options].concat());
        Self {
            host,
            sg,
            agent: None,
        }
    }

    /// Joins, and starts the agent.
    fn start(host: &'n Host, etcd: &Etcd<'_>, options: &[&str]) -> Self {
        let mut member = Self::join(host, etcd, options);
        member.start_agent();
        member
    }

    /// The database: it joins, puts rules into the VPC, and enforces them.
    fn database(host: &'n Host, etcd: &Etcd<'_>, options: &[&str]) -> Self {
        let member = Self::start(host, etcd, options);
        let revision = member.apply(RULES);
        member.wait_until_enforced(revision);
        member
    }

    fn start_agent(&mut self) {
        self.agent = Some(self.sg.start_for_notes(&["agent"]));
    }

    /// Puts rules into the VPC; returns their revision.
    fn apply(&self, rules: &str) -> u64 {
        let file = self.sg.rule_file("groups.yaml", rules);
        let applied = self.sg.json(&["apply", "-f", &file]);
        applied["revision"].as_u64().expect("a number")
    }

    /// What its agent last saw of the VPC.
    fn status(&self) -> Value {
        self.sg.json(&["vpc", "status"])
    }

    /// Waits until the VPC is as it should be in the agent's eyes.
    #[track_caller]
    fn wait_for(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        eventually_within(what, PATIENCE, || Some(self.status()).filter(&is_so))
    }

    /// Waits until it is guarded, and enforces rules of at least this revision.
    #[track_caller]
    fn wait_until_enforced(&self, revision: u64) {
        let what = format!("{} enforces revision {revision}", self.host.name);
        self.wait_for(&what, |status| {
            status["rules_enforced"]
                .as_u64()
                .is_some_and(|rules| rules >= revision)
        });
        eventually_within("it is guarded", PATIENCE, || {
            let status = self.sg.json(&["status"]);
            let guarded = status["interfaces"].as_array()?;
            guarded
                .iter()
                .any(|each| each["state"] == "enforcing")
                .then_some(())
        });
    }

    /// Whether the database of another host answers.
    fn reaches(&self, database: &Host) -> bool {
        Connection::open(&self.host.namespace, database.v4, MYSQL)
            .and_then(|mut connection| connection.exchange("hello"))
            .is_ok()
    }

    /// Whether the database of another host stays silent.
    fn misses(&self, database: &Host) -> bool {
        tcp_is_silent(&self.host.namespace, database.v4, MYSQL)
    }

    /// Waits until the database answers.
    #[track_caller]
    fn wait_until_it_reaches(&self, database: &Host) {
        let what = format!("{} reaches {}", self.host.name, database.name);
        eventually_within(&what, PATIENCE, || {
            tcp_answers(&self.host.namespace, database.v4, MYSQL).then_some(())
        });
    }

    /// Waits until the database does not answer.
    #[track_caller]
    fn wait_until_it_misses(&self, database: &Host) {
        let what = format!("{} does not reach {}", self.host.name, database.name);
        eventually_within(&what, PATIENCE, || self.misses(database).then_some(()));
    }
}
