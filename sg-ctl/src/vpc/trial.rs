//! Rules of a VPC on trial: unless they are confirmed in time, those before count again.
//!
//! A key of etcd under a lease stands for the trial. While it is there the rules are on trial; once the
//! lease has run out everyone who reads them takes those before, which are kept in the same value.
//! Besides, every host's kernel has a deadline of its own, so that the way back needs no etcd.

use serde::Serialize;

use super::Document;

/// The rules as etcd keeps them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The newest.
    pub document: Document,
    /// What they return to, where they wait to be confirmed.
    pub trial: Option<Trial>,
}

/// What rules return to unless they are confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trial {
    /// The lease of its key: no other trial has the same.
    pub id: i64,
    /// Milliseconds after which a host returns by itself.
    pub within_ms: u64,
    /// The rules before.
    pub before: Document,
}

/// How a trial stands, for a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// There is none, or it was confirmed.
    #[default]
    Kept,
    /// It runs.
    Running(Box<Trial>),
    /// It was not confirmed in time: the rules before are the rules.
    Lapsed,
}

impl Rules {
    /// Rules that wait for nothing.
    pub fn kept(document: Document) -> Self {
        Self {
            document,
            trial: None,
        }
    }

    /// Whether they were not confirmed in time, by what the trial's key holds.
    pub fn has_lapsed(&self, key: Option<&[u8]>) -> bool {
        let trial = self.trial.as_ref();
        trial.is_some_and(|trial| key != Some(&trial.mark()[..]))
    }

    /// The rules that count.
    pub fn in_effect(&self, has_lapsed: bool) -> &Document {
        match &self.trial {
            Some(trial) if has_lapsed => &trial.before,
            _ => &self.document,
        }
    }
}

impl Trial {
    /// What its key holds.
    pub fn mark(&self) -> Vec<u8> {
        format!("{:x}", self.id).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use sg_policy::model::Model;

    use super::*;
    use crate::vpc::Owners;

    #[test]
    fn rules_whose_trial_has_lost_its_key_are_those_before() {
        let before = Document::new(Model::new(), Owners::default());
        let mut model = Model::new();
        model.limits.groups_per_interface += 1;
        let document = Document::new(model, Owners::default());
        let trial = Trial {
            id: 0x7f,
            within_ms: 60_000,
            before: before.clone(),
        };
        let rules = Rules {
            document: document.clone(),
            trial: Some(trial),
        };
        assert!(!rules.has_lapsed(Some(b"7f")));
        // Another trial's key is not this one's.
        assert!(rules.has_lapsed(None) && rules.has_lapsed(Some(b"80")));
        assert_eq!(rules.in_effect(false), &document);
        assert_eq!(rules.in_effect(true), &before);
        let kept = Rules::kept(document.clone());
        assert!(!kept.has_lapsed(None));
        assert_eq!(kept.in_effect(true), &document);
    }
}
