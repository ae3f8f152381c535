//! The rules document as etcd keeps it: JSON with its format's version, compressed.

use std::io::Read as _;

use serde::{Deserialize, Serialize};

use super::Document;
use super::record::MAX_VALUE;
use super::trial::{Rules, Trial};

/// The version that is written of rules that wait for nothing.
const FORMAT: u32 = 1;
/// That of rules on trial, and the latest that is read: whoever does not know trials must not take such
/// rules for good.
const ON_TRIAL: u32 = 2;
/// Room in a request for keys and what else goes with the document, twice: the one before is kept.
const MOST: usize = (MAX_VALUE - 4096) / 2;
/// Bytes of JSON that a document may have: what decompresses to more is no document.
const MOST_JSON: u64 = 256 << 20;
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

#[derive(Serialize, Deserialize)]
struct Stored<D, T> {
    format: u32,
    version: String,
    document: D,
    #[serde(skip_serializing_if = "Option::is_none")]
    trial: Option<T>,
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
        version: env!("CARGO_PKG_VERSION").to_owned(),
        document: &rules.document,
        trial,
    };
    let damaged = |error: &dyn std::fmt::Display| WireError::Damaged(error.to_string());
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
    let damaged = |error: &dyn std::fmt::Display| {
        let text: String = error.to_string().chars().take(200).collect();
        WireError::Damaged(text)
    };
    let decoder = zstd::stream::read::Decoder::new(value).map_err(|error| damaged(&error))?;
    let mut json = Vec::new();
    let mut bounded = decoder.take(MOST_JSON);
    let read = bounded.read_to_end(&mut json);
    read.map_err(|error| damaged(&error))?;
    let stored = match serde_json::from_slice::<Stored<Document, Trial>>(&json) {
        Ok(stored) if stored.format <= ON_TRIAL => stored,
        other => {
            let header: Header = serde_json::from_slice(&json).map_err(|error| damaged(&error))?;
            if header.format > ON_TRIAL {
                return Err(WireError::TooNew {
                    found: header.format,
                    version: header.version.chars().take(32).collect(),
                });
            }
            other.map_err(|error| damaged(&error))?
        }
    };
    let Stored {
        document, trial, ..
    } = stored;
    for document in [Some(&document), trial.as_ref().map(|trial| &trial.before)] {
        let checked = document.map_or(Ok(()), Document::check);
        checked.map_err(|error| damaged(&error))?;
    }
    Ok(Rules { document, trial })
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
        let bomb = zstd::bulk::compress(&vec![b' '; (MOST_JSON as usize) + 10], LEVEL).unwrap();
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
