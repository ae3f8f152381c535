//! The names of a VPC's keys in etcd.
//!
//! ```text
//! /sg/v1/<vpc>/rules                          the rules document
//! /sg/v1/<vpc>/previous                       the one before it
//! /sg/v1/<vpc>/trial                          there while the rules wait to be confirmed
//! /sg/v1/<vpc>/members/<group>/<host>/<part>  the addresses that a host brings into a group
//! /sg/v1/<vpc>/enforced/<host>                what a host's kernel enforces
//! ```
//!
//! Groups are named by id: that is unique, and free of characters that would need care.

use std::fmt;

use sg_policy::model::{GroupId, HostPattern};

/// What all keys begin with, and the version of their layout.
const ROOT: &str = "/sg/v1/";

/// In how many parts a host's record of a group is cut: a changed address writes one of them anew.
pub const PARTS: u8 = 16;

/// The keys of one VPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    prefix: String,
}

/// The key of a record: what one host brings into one group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey {
    /// The group.
    pub group: GroupId,
    /// The host.
    pub host: String,
    /// Which part, below [`PARTS`].
    pub part: u8,
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "members/{}/{}/{:x}", self.group, self.host, self.part)
    }
}

/// A key of a VPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// The rules document.
    Rules,
    /// The one before it.
    Previous,
    /// That the rules wait to be confirmed.
    Trial,
    /// What a host brings into a group.
    Record(RecordKey),
    /// What a host enforces.
    Enforced(String),
}

impl Keys {
    /// The keys of a VPC; `None` for a name that cannot be one.
    pub fn new(vpc: &str) -> Option<Self> {
        HostPattern::is_host(vpc).then(|| Self {
            prefix: format!("{ROOT}{vpc}/"),
        })
    }

    /// What all keys of the VPC begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The rules document.
    pub fn rules(&self) -> String {
        format!("{}rules", self.prefix)
    }

    /// The rules document before the last change.
    pub fn previous(&self) -> String {
        format!("{}previous", self.prefix)
    }

    /// What is there while the rules wait to be confirmed.
    pub fn trial(&self) -> String {
        format!("{}trial", self.prefix)
    }

    /// What the records of a group begin with.
    pub fn group(&self, group: &GroupId) -> String {
        format!("{}members/{group}/", self.prefix)
    }

    /// What the records of all groups begin with.
    pub fn members(&self) -> String {
        format!("{}members/", self.prefix)
    }

    /// What a host's records of a group begin with.
    pub fn group_of_host(&self, group: &GroupId, host: &str) -> String {
        format!("{}members/{group}/{host}/", self.prefix)
    }

    /// One record.
    pub fn record(&self, key: &RecordKey) -> String {
        format!("{}{key}", self.prefix)
    }

    /// What all that hosts say of themselves begins with.
    pub fn all_enforced(&self) -> String {
        format!("{}enforced/", self.prefix)
    }

    /// What a host says of itself.
    pub fn enforced(&self, host: &str) -> String {
        format!("{}enforced/{host}", self.prefix)
    }

    /// Reads a key; `None` for one that is not of this VPC, or of no kind that is known.
    pub fn parse(&self, key: &[u8]) -> Option<Key> {
        let rest = str::from_utf8(key).ok()?.strip_prefix(&self.prefix)?;
        let host = |host: &str| HostPattern::is_host(host).then(|| host.to_owned());
        let words: Vec<&str> = rest.split('/').collect();
        match words[..] {
            ["rules"] => Some(Key::Rules),
            ["previous"] => Some(Key::Previous),
            ["trial"] => Some(Key::Trial),
            ["enforced", name] => host(name).map(Key::Enforced),
            ["members", group, name, part] => {
                let part = u8::from_str_radix(part, 16).ok()?;
                let key = RecordKey {
                    group: group.parse().ok()?,
                    host: host(name)?,
                    part,
                };
                // One record has one key: `0`, not `00` or `+0`.
                (part < PARTS && rest == key.to_string()).then_some(Key::Record(key))
            }
            _ => None,
        }
    }
}

/// The part in which an interface is found: always the same, so that no record ever moves.
pub fn part_of(interface: &str) -> u8 {
    // FNV-1a, and the last step of SplitMix64, which carries every bit of it to the top.
    let hash = interface
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let mixed = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed >> 56) as u8 % PARTS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys() -> Keys {
        Keys::new("prod").expect("a name")
    }

    #[test]
    fn keys_are_read_as_they_are_written() {
        let keys = keys();
        let group = GroupId::derived("web");
        let record = RecordKey {
            group: group.clone(),
            host: "app-1.example.org".to_owned(),
            part: 15,
        };
        let parse = |key: String| keys.parse(key.as_bytes());
        assert_eq!(parse(keys.rules()), Some(Key::Rules));
        assert_eq!(parse(keys.previous()), Some(Key::Previous));
        assert_eq!(parse(keys.trial()), Some(Key::Trial));
        assert_eq!(
            parse(keys.enforced("db")),
            Some(Key::Enforced("db".to_owned()))
        );
        assert!(
            keys.record(&record)
                .starts_with(&keys.group_of_host(&group, &record.host))
        );
        assert_eq!(parse(keys.record(&record)), Some(Key::Record(record)));
    }

    #[test]
    fn foreign_keys_are_none() {
        let keys = keys();
        let group = GroupId::derived("web");
        let own = keys.group(&group);
        for key in [
            "/sg/v1/test/rules".to_owned(),
            "/sg/v2/prod/rules".to_owned(),
            "/sg/v1/prod/rules/x".to_owned(),
            "/sg/v1/prod/enforced/".to_owned(),
            "/sg/v1/prod/enforced/a b".to_owned(),
            "/sg/v1/prod/members/web/db/0".to_owned(),
            format!("{own}db"),
            format!("{own}db/10"),
            format!("{own}db/00"),
            format!("{own}db/A"),
            format!("{own}../0"),
        ] {
            assert_eq!(keys.parse(key.as_bytes()), None, "{key}");
        }
        assert_eq!(keys.parse(b"/sg/v1/prod/enforced/\xff"), None);
        assert!(Keys::new("a/b").is_none() && Keys::new("").is_none());
    }

    #[test]
    fn an_interface_keeps_its_part() {
        assert_eq!(
            (part_of("eth0"), part_of("tap7")),
            (part_of("eth0"), part_of("tap7"))
        );
        let used: std::collections::BTreeSet<u8> = (0..200)
            .map(|number| part_of(&format!("tap{number}")))
            .collect();
        assert_eq!(used.len(), usize::from(PARTS));
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_the_same(key in "/sg/v1/prod/(members|enforced|rules|trial)?[/a-f0-9sg.-]{0,40}") {
            let keys = keys();
            let written = match keys.parse(key.as_bytes()) {
                None => return Ok(()),
                Some(Key::Rules) => keys.rules(),
                Some(Key::Previous) => keys.previous(),
                Some(Key::Trial) => keys.trial(),
                Some(Key::Enforced(host)) => keys.enforced(&host),
                Some(Key::Record(record)) => keys.record(&record),
            };
            prop_assert_eq!(written, key);
        }
    }
}
