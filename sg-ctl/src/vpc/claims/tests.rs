//! Records come and go; members follow.

use std::net::IpAddr;

use proptest::prelude::*;
use sg_policy::model::{InterfaceSpec, Model, SecurityGroup};

use super::*;
use crate::vpc::record::{Claim, write};

const GRACE: u64 = 300;

fn group(name: &str) -> GroupId {
    GroupId::derived(name)
}

/// A VPC in which hosts `app-*` carry app, and hosts `db-*` db, within 10.0.0.0/8.
fn model() -> Model {
    let mut model = Model::new();
    for name in ["app", "db"] {
        let group = SecurityGroup {
            id: group(name),
            name: name.to_owned(),
            ..SecurityGroup::built_in()
        };
        model.groups.insert(name.to_owned(), group);
        let spec = InterfaceSpec {
            groups: vec![name.to_owned()],
            addresses: vec!["10.0.0.0/8".parse().unwrap()],
            ..InterfaceSpec::default()
        };
        model
            .hosts
            .insert(format!("{name}-*/eth*").parse().unwrap(), spec);
    }
    model
}

fn key(name: &str, host: &str) -> RecordKey {
    RecordKey {
        group: group(name),
        host: host.to_owned(),
        part: 0,
    }
}

fn found(name: &str, host: &str, addresses: &[&str], (at, revision): (u64, u64)) -> Found {
    let claim = Claim {
        addresses: addresses
            .iter()
            .map(|text| (text.parse().unwrap(), at))
            .collect(),
        since: 0,
    };
    Found {
        key: key(name, host),
        value: write(&[("eth0".to_owned(), claim)].into()),
        created: revision,
        modified: revision,
    }
}

fn left(name: &str, host: &str) -> Found {
    Found {
        key: key(name, host),
        value: write(&Claimed::new()),
        created: 1,
        modified: 9,
    }
}

fn members(claims: &Claims, name: &str) -> Vec<String> {
    let membership = claims.join(&model(), "here");
    let members = membership.members.get(name).into_iter().flatten();
    members.map(ToString::to_string).collect()
}

#[test]
fn what_is_claimed_and_assigned_is_a_member() {
    let mut claims = Claims::default();
    claims.put(found("app", "app-1", &["10.0.0.1", "10.0.0.2"], (1, 1)));
    claims.put(found("app", "app-2", &["10.0.0.3"], (2, 2)));
    assert_eq!(
        members(&claims, "app"),
        ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    );
    assert!(members(&claims, "db").is_empty());
}

#[test]
fn a_host_cannot_say_which_groups_it_carries_nor_any_address() {
    let mut claims = Claims::default();
    claims.put(found("db", "app-1", &["10.0.0.1"], (1, 1)));
    claims.put(found("app", "app-2", &["192.0.2.1", "10.0.0.2"], (2, 2)));
    let membership = claims.join(&model(), "here");
    assert_eq!(members(&claims, "app"), ["10.0.0.2"]);
    assert!(!membership.members.contains_key("db"));
    let mut reasons: Vec<_> = membership
        .refused
        .iter()
        .map(|refused| &refused.reason)
        .collect();
    reasons.sort();
    let outside = Reason::Outside("192.0.2.1".parse().unwrap());
    assert_eq!(reasons, [&Reason::NotAssigned, &outside]);
    assert_eq!(membership.refused_count, 2);
}

#[test]
fn one_record_cannot_take_the_room_of_all_others() {
    let addresses = |interface: u32| {
        let first = 0x0a00_0000 + (interface << 12);
        let all = (first..first + 4096).map(|bits| (IpAddr::from(bits.to_be_bytes()), 1));
        Claim {
            addresses: all.collect(),
            since: 0,
        }
    };
    let claimed = (0..3).map(|number| (format!("eth{number}"), addresses(number)));
    let mut claims = Claims::default();
    claims.put(Found {
        value: write(&claimed.collect()),
        ..found("app", "app-1", &[], (1, 1))
    });
    claims.put(found("app", "app-2", &["10.9.0.1"], (2, 2)));
    let membership = claims.join(&model(), "here");
    assert_eq!(membership.members["app"].len(), 8192 + 1);
    assert_eq!(membership.refused_count, 1, "once for an interface");
    assert_eq!(membership.refused[0].reason, Reason::TooMany);
}

#[test]
fn ones_own_interfaces_are_no_members_elsewhere() {
    let mut claims = Claims::default();
    claims.put(found("app", "app-1", &["10.0.0.1"], (1, 1)));
    assert!(claims.join(&model(), "app-1").members.is_empty());
}

#[test]
fn leaving_counts_at_once_and_getting_lost_after_the_grace() {
    let mut claims = Claims::default();
    for host in ["app-1", "app-2"] {
        let address = if host == "app-1" {
            "10.0.0.1"
        } else {
            "10.0.0.2"
        };
        claims.put(found("app", host, &[address], (1, 1)));
    }
    claims.put(left("app", "app-1"));
    claims.delete(&key("app", "app-2"), 1000);
    assert_eq!(members(&claims, "app"), ["10.0.0.2"]);
    assert_eq!((claims.next_expiry(GRACE), claims.lost()), (Some(1300), 1));
    assert!(!claims.expire(1299, GRACE));
    assert!(claims.expire(1300, GRACE));
    assert!(members(&claims, "app").is_empty());

    // One that returns in time was never gone.
    claims.put(found("app", "app-2", &["10.0.0.2"], (1, 1)));
    claims.delete(&key("app", "app-2"), 2000);
    claims.put(found("app", "app-2", &["10.0.0.2"], (3, 3)));
    assert!(!claims.expire(9000, GRACE));
    assert_eq!(members(&claims, "app"), ["10.0.0.2"]);
}

#[test]
fn a_resync_loses_what_is_gone_and_empties_nothing() {
    let mut claims = Claims::default();
    claims.put(found("app", "app-1", &["10.0.0.1"], (1, 1)));
    claims.put(found("app", "app-2", &["10.0.0.2"], (1, 1)));
    claims.put(found("db", "db-1", &["10.0.0.9"], (1, 1)));
    let followed = BTreeSet::from([group("app")]);
    let now = vec![found("app", "app-2", &["10.0.0.2", "10.0.0.3"], (4, 4))];
    claims.resync(&followed, now, 1000);
    assert_eq!(
        members(&claims, "app"),
        ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    );
    assert!(members(&claims, "db").is_empty());
    claims.expire(1300, GRACE);
    assert_eq!(members(&claims, "app"), ["10.0.0.2", "10.0.0.3"]);
}

#[test]
fn an_address_belongs_to_whoever_claimed_it_last_and_returns() {
    let mut claims = Claims::default();
    // The record of db-1 is older, its claim of the address is not.
    claims.put(found("app", "app-1", &["10.0.0.1", "10.0.0.2"], (5, 5)));
    let mut later = found("db", "db-1", &["10.0.0.1"], (8, 3));
    later.modified = 9;
    claims.put(later);
    assert_eq!(members(&claims, "app"), ["10.0.0.2"]);
    assert_eq!(members(&claims, "db"), ["10.0.0.1"]);
    let membership = claims.join(&model(), "here");
    let [conflict] = &membership.conflicts[..] else {
        panic!("one conflict: {membership:?}");
    };
    assert_eq!(conflict.holder.to_string(), "db-1/eth0");
    assert_eq!(conflict.void.to_string(), "app-1/eth0");
    claims.put(left("db", "db-1"));
    assert_eq!(members(&claims, "app"), ["10.0.0.1", "10.0.0.2"]);
}

#[test]
fn nobody_claims_from_the_future() {
    let mut claims = Claims::default();
    claims.put(found("app", "app-1", &["10.0.0.1"], (u64::MAX, 5)));
    claims.put(found("db", "db-1", &["10.0.0.1"], (6, 6)));
    assert_eq!(members(&claims, "db"), ["10.0.0.1"]);
    assert!(members(&claims, "app").is_empty());
}

#[test]
fn garbage_leaves_what_was_there_in_force() {
    let mut claims = Claims::default();
    claims.put(found("app", "app-1", &["10.0.0.1"], (1, 1)));
    for value in [&b"\x28\xb5\x2f\xfd"[..], b"", b"{\"v\":2}", b"[]"] {
        claims.put(Found {
            key: key("app", "app-1"),
            value: value.to_vec(),
            created: 1,
            modified: 2,
        });
        assert_eq!(members(&claims, "app"), ["10.0.0.1"]);
        assert_eq!(claims.bad().len(), 1);
    }
    claims.put(found("app", "app-1", &["10.0.0.3"], (3, 3)));
    assert_eq!(members(&claims, "app"), ["10.0.0.3"]);
    assert!(claims.bad().is_empty());
}

#[test]
fn a_cache_brings_back_what_was_known() {
    let mut claims = Claims::default();
    claims.put(found("app", "app-1", &["10.0.0.1"], (1, 1)));
    assert_eq!(Claims::from_cache(&claims.to_cache(7)), (claims, 7));
    assert_eq!(Claims::from_cache(b"garbage"), (Claims::default(), 0));
}

/// What may happen to the records of some hosts.
#[derive(Clone, Debug)]
enum Step {
    Put(usize, Vec<u8>),
    Leave(usize),
    Delete(usize),
    Garbage(usize),
    Time(u64),
    Resync,
}

fn step() -> impl Strategy<Value = Step> {
    let host = 0..6_usize;
    prop_oneof![
        4 => (host.clone(), proptest::collection::vec(1..9_u8, 0..3))
            .prop_map(|(host, addresses)| Step::Put(host, addresses)),
        1 => host.clone().prop_map(Step::Leave),
        1 => host.clone().prop_map(Step::Delete),
        1 => host.prop_map(Step::Garbage),
        1 => (0..400_u64).prop_map(Step::Time),
        1 => Just(Step::Resync),
    ]
}

proptest! {
    /// However records come and go, an address is a member of the groups of one interface only, never
    /// outside what the rules say, and a resync after the grace is the same as having seen it all.
    #[test]
    fn members_follow_records(steps in proptest::collection::vec(step(), 0..40)) {
        let names = ["app-1", "app-2", "app-3", "db-1", "db-2", "db-3"];
        let group_of = |host: usize| if host < 3 { "app" } else { "db" };
        let (rules, mut claims, mut going_along) = (model(), Claims::default(), Join::default());
        let mut store: BTreeMap<usize, Found> = BTreeMap::new();
        let (mut now, mut revision) = (0, 1);
        let followed = BTreeSet::from([group("app"), group("db")]);
        for step in steps {
            revision += 1;
            match step {
                Step::Put(host, addresses) => {
                    let addresses: Vec<_> = addresses.iter().map(|last| format!("10.0.0.{last}")).collect();
                    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
                    let found = found(group_of(host), names[host], &addresses, (revision, revision));
                    store.insert(host, found.clone());
                    claims.put(found);
                }
                Step::Leave(host) => {
                    let left = left(group_of(host), names[host]);
                    store.insert(host, left.clone());
                    claims.put(left);
                }
                Step::Delete(host) => {
                    store.remove(&host);
                    claims.delete(&key(group_of(host), names[host]), now);
                }
                Step::Garbage(host) => claims.put(Found {
                    key: key(group_of(host), names[host]),
                    value: b"?".to_vec(),
                    created: 1,
                    modified: revision,
                }),
                Step::Time(passed) => {
                    now += passed;
                    claims.expire(now, GRACE);
                }
                Step::Resync => claims.resync(&followed, store.values().cloned().collect(), now),
            }
            let membership = claims.join(&rules, "here");
            // One that goes along comes to the same as one that is made anew, also when rules change
            // meanwhile and nothing that assigns.
            let mut other_rules = rules.clone();
            for group in other_rules.groups.values_mut() {
                group.description = now.to_string();
            }
            prop_assert!(rules.assigns_as(&other_rules));
            prop_assert_eq!(&going_along.follow(&claims, &other_rules, "here"), &membership);
            let of = |name: &str| membership.members.get(name).cloned().unwrap_or_default();
            prop_assert!(!of("app").iter().any(|address| of("db").contains(address)));
            prop_assert_eq!(membership.refused_count, 0);
        }
        claims.resync(&followed, store.values().cloned().collect(), now);
        claims.expire(now + GRACE, GRACE);
        let mut fresh = Claims::default();
        fresh.resync(&followed, store.into_values().collect(), 0);
        prop_assert_eq!(claims.join(&model(), "here").members, fresh.join(&model(), "here").members);
        let anywhere: IpAddr = "10.0.0.0".parse().unwrap();
        prop_assert!(fresh.join(&model(), "here").members.values().flatten().all(|address| *address > anywhere));
    }
}
