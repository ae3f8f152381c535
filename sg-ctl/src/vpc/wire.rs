//! The rules document as etcd keeps it: JSON with its format's version, compressed.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sg_policy::model::{
    Addresses, Hosts, InterfaceSpec, Limits, Model, PrefixList, SecurityGroup, Shared,
};

use super::record::MAX_VALUE;
use super::trial::{Rules, Trial};
use super::{Document, Owners};

/// The version that is written of rules that wait for nothing.
const FORMAT: u32 = 1;
/// That of rules on trial, and the latest that is read: whoever does not know trials must not take such
/// rules for good.
const ON_TRIAL: u32 = 2;
/// Room in a request for keys and what else goes with the document, twice: the one before is kept.
const MOST: usize = (MAX_VALUE - 4096) / 2;
/// Bytes of JSON that a document may have: what decompresses to more is no document.
const MOST_JSON: usize = 256 << 20;
/// Rules compress to a tenth at this level, in the time of a few system calls.
const LEVEL: i32 = 3;

/// Why a document is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// It is no document.
    #[error("the rules document is damaged: {0}")]
    Damaged(String),
    /// A later sg-ctl wrote it.
    #[error("the rules document is of format {found}, this sg-ctl reads up to {ON_TRIAL}")]
    TooNew {
        /// Its format.
        found: u32,
        /// The version of the sg-ctl that wrote it.
        version: String,
    },
    /// It does not fit into a value of etcd.
    #[error("the rules take {0} bytes, compressed; etcd has room for {MOST}")]
    TooLarge(usize),
}

impl WireError {
    /// The remedy, as one sentence for the user.
    pub fn help(&self) -> String {
        match self {
            Self::Damaged(_) => {
                "the last policy stays in force; `sg-ctl rollback` returns to the document before"
                    .to_owned()
            }
            Self::TooNew { version, .. } => format!(
                "the last policy stays in force; install sg-ctl {version} or later on this host"
            ),
            Self::TooLarge(_) => {
                "write address ranges in place of many addresses, or make two VPCs".to_owned()
            }
        }
    }
}

#[derive(Serialize)]
struct Stored<'r> {
    format: u32,
    version: &'static str,
    document: &'r Document,
    #[serde(skip_serializing_if = "Option::is_none")]
    trial: Option<&'r Trial>,
}

/// The same, as it is read: what is said of hosts is still text.
#[derive(Deserialize)]
struct Text<'j> {
    format: u32,
    #[serde(rename = "version")]
    _version: IgnoredAny,
    #[serde(borrow)]
    document: DocumentText<'j>,
    #[serde(borrow)]
    trial: Option<TrialText<'j>>,
}

#[derive(Deserialize)]
struct TrialText<'j> {
    id: i64,
    within_ms: u64,
    #[serde(borrow)]
    before: DocumentText<'j>,
}

#[derive(Deserialize)]
struct DocumentText<'j> {
    #[serde(borrow)]
    model: ModelText<'j>,
    #[serde(default)]
    owners: Owners,
}

#[derive(Deserialize)]
struct ModelText<'j> {
    groups: Shared<BTreeMap<String, SecurityGroup>>,
    prefix_lists: BTreeMap<String, PrefixList>,
    members: BTreeMap<String, Addresses>,
    interfaces: BTreeMap<String, InterfaceSpec>,
    #[serde(borrow, default = "nothing")]
    hosts: &'j RawValue,
    limits: Limits,
}

/// What rules of one host alone say of others.
fn nothing<'j>() -> &'j RawValue {
    serde_json::from_str("{}").expect("it is JSON")
}

#[derive(Deserialize)]
struct Header {
    format: u32,
    #[serde(default)]
    version: String,
}

/// Writes rules.
///
/// # Errors
/// When they do not fit.
pub fn write(rules: &Rules) -> Result<Vec<u8>, WireError> {
    let trial = rules.trial.as_ref();
    let stored = Stored {
        format: if trial.is_some() { ON_TRIAL } else { FORMAT },
        version: env!("CARGO_PKG_VERSION"),
        document: &rules.document,
        trial,
    };
    let json = serde_json::to_vec(&stored).map_err(|error| damaged(&error))?;
    let bytes = zstd::bulk::compress(&json, LEVEL).map_err(|error| damaged(&error))?;
    if bytes.len() > MOST {
        return Err(WireError::TooLarge(bytes.len()));
    }
    Ok(bytes)
}

/// Reads rules, and checks that they are whole.
///
/// # Errors
/// When they are damaged, or too new.
pub fn read(value: &[u8]) -> Result<Rules, WireError> {
    Reader::default().read(value)
}

/// Reads rules again and again. Of a thousand hosts in one VPC each reads what is said of all of them
/// whenever a rule changes; what is said in the same words as before is not read anew.
#[derive(Debug, Default)]
pub struct Reader {
    /// What was said of hosts the last time, and what it means.
    hosts: Option<(Box<str>, Shared<Hosts>)>,
}

impl Reader {
    /// Reads rules, and checks that they are whole.
    ///
    /// # Errors
    /// When they are damaged, or too new.
    pub fn read(&mut self, value: &[u8]) -> Result<Rules, WireError> {
        let json = zstd::bulk::decompress(value, MOST_JSON).map_err(|error| damaged(&error))?;
        let text = match serde_json::from_slice::<Text<'_>>(&json) {
            Ok(text) if text.format <= ON_TRIAL => text,
            other => {
                let header: Header =
                    serde_json::from_slice(&json).map_err(|error| damaged(&error))?;
                if header.format > ON_TRIAL {
                    return Err(WireError::TooNew {
                        found: header.format,
                        version: header.version.chars().take(32).collect(),
                    });
                }
                other.map_err(|error| damaged(&error))?
            }
        };
        Ok(Rules {
            document: self.document(text.document)?,
            trial: match text.trial {
                None => None,
                Some(trial) => Some(Trial {
                    id: trial.id,
                    within_ms: trial.within_ms,
                    before: self.document(trial.before)?,
                }),
            },
        })
    }

    fn document(&mut self, text: DocumentText<'_>) -> Result<Document, WireError> {
        let DocumentText { model, owners } = text;
        let model = Model {
            groups: model.groups,
            prefix_lists: model.prefix_lists,
            members: model.members,
            interfaces: model.interfaces,
            hosts: self.hosts(model.hosts)?,
            limits: model.limits,
        };
        let document = Document::new(model, owners);
        document.check().map_err(|error| damaged(&error))?;
        Ok(document)
    }

    fn hosts(&mut self, text: &RawValue) -> Result<Shared<Hosts>, WireError> {
        if let Some((known, hosts)) = &self.hosts
            && **known == *text.get()
        {
            return Ok(hosts.clone());
        }
        let hosts: Shared<Hosts> =
            serde_json::from_str(text.get()).map_err(|error| damaged(&error))?;
        self.hosts = Some((text.get().into(), hosts.clone()));
        Ok(hosts)
    }
}

fn damaged(error: &dyn fmt::Display) -> WireError {
    WireError::Damaged(error.to_string().chars().take(200).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sg_policy::model::Model;

    use super::*;
    use crate::vpc::Owners;

    fn compressed(json: &str) -> Vec<u8> {
        zstd::bulk::compress(json.as_bytes(), LEVEL).unwrap()
    }

    fn empty() -> Document {
        Document::new(Model::new(), Owners::default())
    }

    #[test]
    fn rules_are_read_as_they_are_written() {
        let kept = Rules::kept(empty());
        let on_trial = Rules {
            trial: Some(Trial {
                id: i64::MAX,
                within_ms: 1,
                before: empty(),
            }),
            ..kept.clone()
        };
        for (rules, format) in [(kept, 1), (on_trial, 2)] {
            let bytes = write(&rules).unwrap();
            let json = zstd::stream::decode_all(&bytes[..]).unwrap();
            let header: Header = serde_json::from_slice(&json).unwrap();
            assert_eq!((read(&bytes), header.format), (Ok(rules), format));
        }
    }

    #[test]
    fn what_is_said_of_hosts_is_read_once_while_it_is_the_same() {
        let rules = |hosts: &[&str], rules: u32| {
            let mut model = Model::new();
            model.limits.rules_per_group += rules;
            for host in hosts {
                let name = format!("{host}/eth0").parse().unwrap();
                model.hosts.insert(name, InterfaceSpec::default());
            }
            Rules::kept(Document::new(model, Owners::default()))
        };
        let mut reader = Reader::default();
        let read = |reader: &mut Reader, rules: &Rules| {
            let read = reader.read(&write(rules).unwrap()).unwrap();
            assert_eq!(read, *rules);
            read.document.model().hosts.clone()
        };
        let first = read(&mut reader, &rules(&["a", "b"], 0));
        let again = read(&mut reader, &rules(&["a", "b"], 1));
        let other = read(&mut reader, &rules(&["a"], 1));
        assert!(first.is_one_with(&again));
        assert!(!other.is_one_with(&first) && other != first);
        // Whoever changes what was read changes it for himself alone.
        let mut changed = other.clone();
        changed.clear();
        assert!(read(&mut reader, &rules(&["a"], 2)).is_one_with(&other));
        assert_ne!(changed, other);
        // What cannot be read takes the place of nothing.
        let stored = r#"{"format":1,"version":"","document":{"model":{"groups":{},"prefix_lists":{},"members":{},"interfaces":{},"hosts":HOSTS,"limits":LIMITS}}}"#;
        let limits = serde_json::to_string(&Limits::default()).unwrap();
        let stored = stored.replace("LIMITS", &limits);
        for hosts in [
            "null",
            "[]",
            "1",
            r#"{"a":{}}"#,
            r#"{"a/eth0":{"groups":1}}"#,
        ] {
            let broken = compressed(&stored.replace("HOSTS", hosts));
            assert!(matches!(reader.read(&broken), Err(WireError::Damaged(_))));
        }
        assert!(read(&mut reader, &rules(&["a"], 3)).is_one_with(&other));
        assert!(
            reader
                .read(&compressed(&stored.replace("HOSTS", "{}")))
                .is_ok()
        );
    }

    #[test]
    fn what_is_damaged_or_too_new_is_refused_and_told_apart() {
        let too_new = read(&compressed(r#"{"format":3,"version":"9.1.0","other":[]}"#));
        let error = too_new.expect_err("it is newer");
        assert!(error.help().contains("9.1.0"), "{error}");
        let group = r#"{"format":1,"version":"","document":{"model":{"groups":{},"prefix_lists":{},"members":{},"interfaces":{"eth0":{"groups":["none"]}},"limits":{}}}}"#;
        for value in [
            &b""[..],
            b"rules",
            &compressed("{}"),
            &compressed("[1"),
            &compressed(r#"{"format":1}"#),
            &compressed(group),
            &write(&Rules::kept(empty())).unwrap()[..20],
        ] {
            assert!(matches!(read(value), Err(WireError::Damaged(_))));
        }
    }

    #[test]
    fn what_grows_without_end_is_no_document() {
        let bomb = zstd::bulk::compress(&vec![b' '; MOST_JSON + 10], LEVEL).unwrap();
        assert!(bomb.len() < 100_000);
        assert!(matches!(read(&bomb), Err(WireError::Damaged(_))));
    }

    proptest! {
        #[test]
        fn no_value_makes_the_reader_panic(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&value);
        }
    }
}
