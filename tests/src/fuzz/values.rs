//! What etcd may hold: any bytes as keys and values change members as the rules allow, or nothing.
//!
//! An input is a sequence of records, each a byte that says what happens to which record, two bytes of
//! length, and the value.

use sg_ctl::vpc::trial::{Rules, Trial};
use sg_ctl::vpc::{
    claims::{Claims, Found},
    keys::{Keys, RecordKey},
    record::{self, Claim, Enforced},
    wire,
};
use sg_policy::model::{GroupId, InterfaceSpec, Model};

/// Rules that assign `default` to every interface of `a*`, within 10.0.0.0/8.
fn model() -> Model {
    let mut model = Model::new();
    let spec = InterfaceSpec {
        addresses: vec!["10.0.0.0/8".parse().expect("a range")],
        ..InterfaceSpec::default()
    };
    model.hosts.insert("a*/*".parse().expect("a pattern"), spec);
    model
}

/// Takes an input for what came from etcd.
pub(super) fn run(mut input: &[u8]) {
    let keys = Keys::new("fuzz").expect("a name");
    // As keys, as documents, as what hosts say of themselves.
    let _ = (keys.parse(input), wire::read(input), Enforced::read(input));
    let model = model();
    let mut claims = Claims::default();
    let mut revision = 0;
    while let [what, high, low, rest @ ..] = input {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (value, others) = rest.split_at(length);
        input = others;
        revision += 1;
        let key = RecordKey {
            group: GroupId::derived(if what & 1 == 0 { "default" } else { "other" }),
            host: ["a1", "a2", "b1", "here"][usize::from(what >> 1 & 3)].to_owned(),
            part: what >> 3 & 15,
        };
        if what & 0x80 == 0 {
            claims.put(Found {
                key,
                value: value.to_vec(),
                created: revision,
                modified: revision,
            });
        } else {
            claims.delete(&key, revision);
            claims.expire(revision, 3);
        }
        let found = claims.join(&model, "here");
        for address in found.members.values().flatten() {
            assert!(
                model.hosts.values().all(|spec| spec.counts(*address)),
                "{address}"
            );
        }
        assert!(found.members.keys().all(|group| group == "default"));
    }
    let (again, at) = Claims::from_cache(&claims.to_cache(revision));
    assert_eq!(at, revision);
    assert_eq!(
        again.join(&model, "here").members,
        claims.join(&model, "here").members
    );
}

/// Records as hosts write them, one after the other.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let claim = |address: &str| Claim {
        addresses: [(address.parse().expect("an address"), 1)].into(),
        since: 1_700_000_000,
    };
    let record = |what: u8, addresses: &[&str]| {
        let claimed = addresses.iter().enumerate();
        let claimed = claimed.map(|(number, address)| (format!("eth{number}"), claim(address)));
        let value = record::write(&claimed.collect());
        let length = (value.len() as u16).to_be_bytes();
        [&[what][..], &length, &value].concat()
    };
    let document = sg_ctl::vpc::Document::new(model(), sg_ctl::vpc::Owners::default());
    let on_trial = Rules {
        trial: Some(Trial {
            id: 7,
            within_ms: 60_000,
            before: document.clone(),
        }),
        document,
    };
    vec![
        record(0, &["10.0.0.1", "10.0.0.2"]),
        [
            record(0, &["10.0.0.1"]),
            record(2, &["10.0.0.1", "192.0.2.1"]),
        ]
        .concat(),
        [
            record(0, &["10.0.0.1"]),
            record(0x80, &[]),
            record(4, &["2001:db8::1"]),
        ]
        .concat(),
        [
            record(1, &["10.0.0.1"]),
            record(6, &["10.0.0.1"]),
            record(0, &[]),
        ]
        .concat(),
        wire::write(&on_trial).expect("it is small"),
        b"/sg/v1/fuzz/members/sg-0123456789abcdef0/a1/0".to_vec(),
    ]
}
