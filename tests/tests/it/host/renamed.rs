//! Interfaces that are called otherwise now.

use sg_tests::topology::Network;

use super::{
    attached::{Side, guard},
    safety::{problems, rules},
};

#[test]
fn an_interface_that_is_called_otherwise_now_is_told() {
    let network = Network::new(&["server"]);
    let [server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, "tc"), &rules("SSH"));
    assert_eq!(problems(&sg), [""; 0]);
    let rename = "link set eth0 down\nlink set eth0 name ens3\nlink set ens3 up\n";
    server.namespace.ip(rename);
    let [told] = &problems(&sg)[..] else {
        panic!("{:#?}", problems(&sg));
    };
    assert!(told.starts_with("is called ens3 now"), "{told}");
    assert!(!told.contains("not guarded"), "{told}");

    // Another interface takes its name: `eth0 enforcing` must not pass for a word about that one.
    server
        .namespace
        .ip("link add eth0 type veth peer name other\n");
    let [told] = &problems(&sg)[..] else {
        panic!("{:#?}", problems(&sg));
    };
    assert!(told.contains("is not guarded"), "{told}");
    sg.ok(&["detach", "eth0"]);
    sg.ok(&["attach", "ens3", "--group", "tested"]);
    let text = problems(&sg).join("\n");
    assert!(!text.contains("is called"), "{text}");
}

#[test]
fn an_interface_that_was_renamed_is_detached_by_either_name() {
    let network = Network::new(&["server"]);
    let [server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, "tc"), &rules("SSH"));
    let rename = |from: &str, to: &str| {
        let lines = format!("link set {from} down\nlink set {from} name {to}\nlink set {to} up\n");
        server.namespace.ip(&lines);
    };
    let is_attached = || sg.json(&["status"])["interfaces"] != serde_json::json!([]);
    for name in ["ens3", "eth0"] {
        rename("eth0", "ens3");
        sg.ok(&["detach", name]);
        assert!(!is_attached(), "detached as {name}");
        rename("ens3", "eth0");
        // The rules name it.
        let mut agent = sg.start_for_notes(&["agent"]);
        agent.line_with(&["note: eth0 was detached by hand and stays so"]);
        agent.kill();
        assert!(!is_attached(), "detached as {name}");
        sg.ok(&["attach", "eth0"]);
        assert!(is_attached());
    }
}
