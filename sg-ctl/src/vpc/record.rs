//! What hosts write into the store: which addresses their interfaces have, and what they enforce.
//!
//! Everything here comes from other hosts: it is read with limits, and never trusted to be right.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The version of records that is written, and the latest that is read.
const FORMAT: u32 = 1;
/// Bytes of the largest value that etcd takes by default.
pub const MAX_VALUE: usize = 1_572_864;
/// Interfaces that one record may have.
const MAX_INTERFACES: usize = 16_384;
/// Addresses that one interface may have.
const MAX_ADDRESSES: usize = 4_096;
/// Interfaces without groups, and addresses of each, that a host tells of.
pub const MAX_UNASSIGNED: (usize, usize) = (100, 8);
/// Most bytes of an interface name.
const MAX_NAME: usize = 15;

/// What an interface brings into the groups that it carries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Its addresses, each with a revision of the store before which it was not claimed: of two that
    /// claim one address, the later one has it.
    pub addresses: BTreeMap<IpAddr, u64>,
    /// When it came by them, in seconds since 1970, by its host's clock.
    pub since: u64,
}

/// The interfaces of one part of a host's record, by name.
pub type Claimed = BTreeMap<String, Claim>;

/// Why a record is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRecord {
    /// More than etcd itself would take.
    #[error("it has {0} bytes, more than {MAX_VALUE}")]
    TooLarge(usize),
    /// It is no JSON, or another.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// A later sg-ctl wrote it.
    #[error("it is of format {0}, this sg-ctl reads up to {FORMAT}")]
    TooNew(u32),
    /// It says something that cannot be.
    #[error("{0}")]
    Impossible(String),
}

#[derive(Serialize, Deserialize)]
struct Stored<T> {
    v: u32,
    interfaces: T,
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

/// Writes a record; one without interfaces says that the host has left the group.
pub fn write(claimed: &Claimed) -> Vec<u8> {
    let stored = Stored {
        v: FORMAT,
        interfaces: claimed,
    };
    // Maps of text to lists of addresses always have a JSON form.
    serde_json::to_vec(&stored).unwrap_or_default()
}

/// Reads a record.
///
/// # Errors
/// When it is not one, or says what cannot be.
pub fn read(value: &[u8]) -> Result<Claimed, BadRecord> {
    if value.len() > MAX_VALUE {
        return Err(BadRecord::TooLarge(value.len()));
    }
    let damaged = |error: serde_json::Error| BadRecord::Damaged(error.to_string());
    let Version { v } = serde_json::from_slice(value).map_err(damaged)?;
    if v > FORMAT {
        return Err(BadRecord::TooNew(v));
    }
    let stored: Stored<Claimed> = serde_json::from_slice(value).map_err(damaged)?;
    let claimed = stored.interfaces;
    if claimed.len() > MAX_INTERFACES {
        let count = claimed.len();
        return Err(BadRecord::Impossible(format!(
            "it has {count} interfaces, more than {MAX_INTERFACES}"
        )));
    }
    for (name, claim) in &claimed {
        check(name, claim).map_err(BadRecord::Impossible)?;
    }
    Ok(claimed)
}

fn check(name: &str, claim: &Claim) -> Result<(), String> {
    if !is_name(name) {
        return Err(format!("{name:?} cannot be an interface"));
    }
    let count = claim.addresses.len();
    if count > MAX_ADDRESSES {
        return Err(format!(
            "{name} has {count} addresses, more than {MAX_ADDRESSES}"
        ));
    }
    match claim.addresses.keys().find(|address| !is_member(**address)) {
        Some(address) => Err(format!("{name} has {address}, which is nobody's own")),
        None => Ok(()),
    }
}

/// Whether this can be the name of an interface.
fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'/')
}

/// Whether an address can be that of one host among others.
pub fn is_member(address: IpAddr) -> bool {
    let is_link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.to_ipv4_mapped().is_some(),
    };
    !(is_link_local || address.is_unspecified() || address.is_loopback() || address.is_multicast())
}

/// What a host says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enforced {
    /// The revision of the rules that its kernel enforces; 0 for none yet.
    pub rules: u64,
    /// A revision of the store all of which is in its kernel.
    pub revision: u64,
    /// The version of its sg-ctl.
    pub version: String,
    /// When it wrote this, in seconds since 1970, by its own clock.
    pub clock: u64,
    /// Why it does not enforce the newest rules, if it refused them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Guarded interfaces that the rules assign no group to, with their addresses: whoever assigns groups
    /// sees them. They are nobody's members. The first of them, see [`MAX_UNASSIGNED`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unassigned: BTreeMap<String, BTreeSet<IpAddr>>,
}

impl Enforced {
    /// Writes it.
    pub fn write(&self) -> Vec<u8> {
        // Numbers and text always have a JSON form.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads it; `None` for what is not one.
    pub fn read(value: &[u8]) -> Option<Self> {
        const MOST: usize = 65_536;
        if value.len() > MOST {
            return None;
        }
        let mut read: Self = serde_json::from_slice(value).ok()?;
        read.unassigned.retain(|name, addresses| {
            addresses.retain(|address| is_member(*address));
            is_name(name)
        });
        Some(read)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claim(addresses: &[&str]) -> Claim {
        Claim {
            addresses: addresses
                .iter()
                .map(|text| (text.parse().unwrap(), 7))
                .collect(),
            since: 1_700_000_000,
        }
    }

    #[test]
    fn records_are_read_as_they_are_written() {
        let claimed: Claimed = [
            ("eth0".to_owned(), claim(&["10.0.0.1", "2001:db8::1"])),
            ("tap7".to_owned(), claim(&[])),
        ]
        .into();
        assert_eq!(read(&write(&claimed)), Ok(claimed));
        assert_eq!(read(&write(&Claimed::new())), Ok(Claimed::new()));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let with =
            |interfaces: &str| read(format!("{{\"v\":1,\"interfaces\":{interfaces}}}").as_bytes());
        let one = |name: &str, address: &str| {
            with(&format!(
                "{{\"{name}\":{{\"addresses\":{{\"{address}\":1}},\"since\":1}}}}"
            ))
        };
        assert!(one("eth0", "10.0.0.1").is_ok());
        for (name, address) in [
            ("an-interface-too-long", "10.0.0.1"),
            ("", "10.0.0.1"),
            ("eth/0", "10.0.0.1"),
            ("eth0", "127.0.0.1"),
            ("eth0", "0.0.0.0"),
            ("eth0", "224.0.0.1"),
            ("eth0", "169.254.1.1"),
            ("eth0", "fe80::1"),
            ("eth0", "::ffff:10.0.0.1"),
        ] {
            assert!(
                matches!(one(name, address), Err(BadRecord::Impossible(_))),
                "{name} {address}"
            );
        }
        assert!(matches!(
            one("eth0", "10.0.0.0/8"),
            Err(BadRecord::Damaged(_))
        ));
        assert!(matches!(read(b""), Err(BadRecord::Damaged(_))));
        assert!(matches!(
            read(b"{\"v\":2,\"other\":1}"),
            Err(BadRecord::TooNew(2))
        ));
        assert!(matches!(
            read(&vec![b' '; MAX_VALUE + 1]),
            Err(BadRecord::TooLarge(_))
        ));
    }

    proptest! {
        #[test]
        fn no_value_makes_the_reader_panic(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&value);
            let _ = Enforced::read(&value);
        }
    }
}
