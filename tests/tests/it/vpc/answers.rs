//! What verbs print with --json keeps to its schema, in a VPC.

use sg_tests::{etcd::Etcd, eventually_within, topology::Network};

use super::{Member, ONLY_IN_A_VPC, PATIENCE, RULES};
use crate::answers::Answers;

#[test]
fn answers_about_a_vpc_keep_to_their_schemas() {
    let network = Network::new(&["db", "etcd"]);
    let [db, node] = network.hosts();
    let etcd = Etcd::start(&[node], &[]);
    let database = Member::database(db, &etcd, &[]);
    let sg = &database.sg;
    let mut answers = Answers::new();
    for what in ["hosts", "members"] {
        let rows = eventually_within("it is heard of", PATIENCE, || {
            let text = sg.ok(&["show", what, "--json"]);
            (text.trim() != "[]").then_some(text)
        });
        answers.check(&format!("show-{what}"), &rows);
    }
    answers.check("vpc-status", &sg.ok(&["vpc", "status", "--json"]));
    answers.check("status", &sg.ok(&["status", "--json"]));
    let file = sg.rule_file("other.yaml", &RULES.replace("MySQL/Aurora", "PostgreSQL"));
    answers.check("apply", &sg.ok(&["apply", "-f", &file, "--json"]));
    answers.check("rollback", &sg.ok(&["rollback", "--json"]));
    for name in ONLY_IN_A_VPC {
        assert!(!answers.unchecked().contains(&name), "{name} is not tried");
    }
}
