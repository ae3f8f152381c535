//! Interfaces and their settings.

use super::super::read;
use super::{assert_errors, model, sources};
use crate::model::{
    Hook, Infrastructure, InterfaceSpec, LogMode, Related, Side, TcpPickup, Timeouts,
};

#[test]
fn an_interface_without_settings_carries_the_default_group() {
    let model = model("interfaces: {eth0: {}}");
    assert_eq!(model.interfaces["eth0"], InterfaceSpec::default());
    assert_eq!(model.interfaces["eth0"].groups, ["default"]);
}

#[test]
fn every_setting_is_read() {
    let model = model(
        "security_groups: {web: {id: sg-12345678}, ops: {}}
interfaces:
  veth0:
    groups: [sg-12345678, ops]
    addresses: [10.0.1.5, 10.0.2.0/24, '2001:db8::/64']
    side: workload
    hook: xdp-generic
    audit: true
    log: all
    log_limit: 250
    related: pmtud
    tcp_pickup: never
    infra: { arp: off, non_ip: false, nd: on, mld: true, igmp: off, dhcp4: off, dhcp6: off, ec2: on }
    timeouts:
      { tcp_established: 350, tcp_half_open: 5, tcp_half_closed: 2, tcp_closing: 1,
        udp: 60, udp_stream: 60, icmp: 3, other: 7 }
    flow_share: 20000
",
    );
    let expected = InterfaceSpec {
        groups: vec!["web".to_owned(), "ops".to_owned()],
        addresses: ["10.0.1.5/32", "10.0.2.0/24", "2001:db8::/64"]
            .map(|net| net.parse().expect("a range"))
            .to_vec(),
        side: Side::Workload,
        hook: Hook::XdpGeneric,
        audit: true,
        log: LogMode::All,
        log_limit: 250,
        related: Related::Pmtud,
        tcp_pickup: TcpPickup::Never,
        infrastructure: Infrastructure {
            arp: false,
            non_ip: false,
            nd: true,
            mld: true,
            igmp: false,
            dhcp4: false,
            dhcp6: false,
            ec2: Some(true),
        },
        timeouts: Timeouts {
            tcp_established: 350,
            tcp_half_open: 5,
            tcp_half_closed: 2,
            tcp_closing: 1,
            udp: 60,
            udp_stream: 60,
            icmp: 3,
            other: 7,
        },
        flow_share: Some(20_000),
    };
    assert_eq!(model.interfaces["veth0"], expected);
}

#[test]
fn wrong_settings_are_refused() {
    assert_errors(
        "interfaces:
  eth0:
    groups: []
    side: both
    hook: xpd
    audit: yes
    log: { }
    log_limit: -1
    infra: { arp: maybe, ec2: never }
    timeouts: { udp: 61, tcp_established: 5 days, icmp: 0 }
  eth1: { groups: [default, default, dflt] }
  eth/2: {}
  an-interface-too-long: {}
",
        &[
            "3:13 interfaces.eth0.groups: an interface carries at least one group (name a group; \
             one without rules, `NAME: {inbound: [], outbound: []}`, allows nothing)",
            "4:11 interfaces.eth0.side: `both` is not known here (write one of nic, workload)",
            "5:11 interfaces.eth0.hook: `xpd` is not known here (did you mean `xdp`?)",
            "6:12 interfaces.eth0.audit: `yes` is no truth value (write `true` or `false`)",
            "7:10 interfaces.eth0.log: is a mapping (write one word)",
            "8:16 interfaces.eth0.log_limit: `-1` is not a number from 0 to 1000000 (write a whole \
             number from 0 to 1000000)",
            "9:19 interfaces.eth0.infra.arp: `maybe` is no switch (write `on` or `off`)",
            "9:31 interfaces.eth0.infra.ec2: `never` is no switch (write `on`, `off` or `auto`)",
            "10:22 interfaces.eth0.timeouts.udp: `61` is not a number from 30 to 60 (write a whole \
             number from 30 to 60)",
            "10:43 interfaces.eth0.timeouts.tcp_established: `5 days` is not a number from 60 to \
             432000 (write a whole number from 60 to 432000)",
            "10:57 interfaces.eth0.timeouts.icmp: `0` is not a number from 1 to 432000 (write a \
             whole number from 1 to 432000)",
            "11:29 interfaces.eth1.groups[1]: the group `default` is named twice (name it once)",
            "11:38 interfaces.eth1.groups[2]: there is no group `dflt` (define it under \
             `security_groups`; `NAME: {}` is enough for a group that only other hosts carry)",
            "12:3 interfaces.eth/2: `eth/2` cannot be an interface (interface names have 1 to 15 \
             characters without `/`, `:` and spaces, patterns of names up to 64)",
            "13:3 interfaces.an-interface-too-long: `an-interface-too-long` cannot be an \
             interface (interface names have 1 to 15 characters without `/`, `:` and spaces, \
             patterns of names up to 64)",
        ],
    );
}

#[test]
fn the_log_may_be_without_a_limit() {
    let limit = |text: &str| {
        let model = model(&format!("interfaces: {{eth0: {{log_limit: {text}}}}}"));
        model.interfaces["eth0"].log_limit
    };
    assert_eq!(["off", "0", "7"].map(limit), [0, 0, 7]);
}

#[test]
fn an_interface_may_be_a_pattern_of_names() {
    let model = model(
        "security_groups: {vm: {}, uplink: {}}
interfaces:
  \"tap*\": { groups: [vm], side: workload }
  \"tap[0-9][0-9][0-9]\": { groups: [vm] }
  tap7: { groups: [uplink] }
",
    );
    let side = |name: &str| model.interface(name).map(|spec| spec.side);
    assert_eq!(side("tap12"), Some(Side::Workload));
    assert_eq!(side("tap123"), Some(Side::Nic));
    assert_eq!(model.interface("tap7").unwrap().groups, ["uplink"]);
    assert_eq!(side("eth0"), None);
}

#[test]
fn patterns_that_mean_nothing_are_refused() {
    assert_errors(
        "interfaces:
  \"tap[0-9\": {}
  \"tap**\": {}
  \"tap/*\": {}
",
        &[
            "2:3 interfaces.\"tap[0-9\": `tap[0-9` is no pattern: invalid range pattern (`*` stands \
             for any characters, `?` for one, `[0-9]` for one of these)",
            "3:3 interfaces.\"tap**\": `tap**` is no pattern: recursive wildcards must form a single \
             path component (`*` stands for any characters, `?` for one, `[0-9]` for one of these)",
            "4:3 interfaces.\"tap/*\": `tap/*` cannot be an interface (interface names have 1 to 15 \
             characters without `/`, `:` and spaces, patterns of names up to 64)",
        ],
    );
}

#[test]
fn wrong_addresses_are_refused() {
    assert_errors(
        "interfaces: { eth0: { addresses: [10.0.1.5/24, eth0, '::ffff:10.0.0.1'] },
  eth1: { addresses: [10.0.1.5, 10.0.1.5/32] } }",
        &[
            "1:35 interfaces.eth0.addresses[0]: `10.0.1.5/24` has bits set beyond its prefix length \
             (write 10.0.1.0/24 for the whole range, or 10.0.1.5/32 for the one address)",
            "1:48 interfaces.eth0.addresses[1]: `eth0` is not an address (write an address (10.0.1.5) \
             or a range of them (10.0.1.0/24))",
            "1:54 interfaces.eth0.addresses[2]: `::ffff:10.0.0.1/128` is an IPv4 range in IPv6 \
             clothes (write 10.0.0.1/32)",
            "2:33 interfaces.eth1.addresses[1]: 10.0.1.5/32 is listed twice (keep one of them)",
        ],
    );
}

#[test]
fn hosts_are_patterns_of_hosts_and_interfaces() {
    let model =
        model("hosts: { 'app-*/eth0': { addresses: [10.0.1.0/24] }, db/tap7: { side: workload } }");
    let names: Vec<String> = model.hosts.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["app-*/eth0", "db/tap7"]);
    let [app, db] = ["app-3", "db"].map(|host| model.on_host(host).into_owned());
    let app = app.interface("eth0").expect("a pattern means it");
    assert!(app.counts([10, 0, 1, 9].into()) && !app.counts([10, 0, 2, 9].into()));
    assert_eq!(
        db.interface("tap7").map(|spec| spec.side),
        Some(Side::Workload)
    );
    assert_errors(
        "hosts: { a/eth0: {} }\ninterfaces: { eth0: {} }",
        &[
            "1:10 hosts.a/eth0: `hosts` stands beside `interfaces` (the rules of one host have \
             `interfaces`, those of a VPC have `hosts`: keep one of them; `interfaces` is in \
             a.yaml:2:15)",
        ],
    );
    for wrong in ["eth0", "'a b/eth0'", "'a/['", "a/b/c"] {
        let report = read(&sources(&[&format!("hosts: {{ {wrong}: {{}} }}")]));
        let report = report.expect_err("it is no pattern of hosts").to_string();
        assert!(report.contains("write HOST/INTERFACE"), "{report}");
    }
}

#[test]
fn a_remote_address_holds_a_part_of_the_table_at_a_workloads_interface() {
    let limit = |text: &str, side| {
        let limits = model(&format!("limits: {{{text}}}")).limits;
        limits.flows_per_remote(side, 1600)
    };
    assert_eq!(limit("", Side::Nic), 0);
    assert_eq!(limit("", Side::Workload), 100);
    for side in [Side::Nic, Side::Workload] {
        assert_eq!(limit("flows_per_remote: 7", side), 7);
        assert_eq!(limit("flows_per_remote: off", side), 0);
    }
}

#[test]
fn a_share_of_the_flow_table_fits_the_table() {
    let share = |text: &str| model(text).interfaces["eth0"].flow_share;
    assert_eq!(share("interfaces: {eth0: {}}"), None);
    let whole = "limits: {flow_table_size: 2048}\ninterfaces: {eth0: {flow_share: 2048}}";
    assert_eq!(share(whole), Some(2048));
    assert_errors(
        "limits: {flow_table_size: 2048}
interfaces:
  eth0: {flow_share: 2049}
  eth1: {flow_share: 0}
  eth2: {flow_share: 10%}
",
        &[
            "3:22 interfaces.eth0.flow_share: a share of 2049 flows is more than the flow table, \
             2048 (lower it, or raise `limits: {flow_table_size: …}`)",
            "4:22 interfaces.eth1.flow_share: `0` is not a number from 1 to 16777216 (write a whole \
             number from 1 to 16777216)",
            "5:22 interfaces.eth2.flow_share: `10%` is not a number from 1 to 16777216 (write a \
             whole number from 1 to 16777216)",
        ],
    );
}
