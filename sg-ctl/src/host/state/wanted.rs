//! Everything that is wanted of this host.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sg_policy::compile::RuleNumbers;
use sg_policy::model::Model;

use super::{AttachmentRecord, Detached};
use crate::vpc::{Document, Owners};

/// Everything that must outlive a reboot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Generation of the image that belongs to this state; counts operations.
    pub generation: u64,
    /// The rules.
    pub model: Model,
    /// Who owns what of the rules.
    #[serde(default, skip_serializing_if = "Owners::is_empty")]
    pub owners: Owners,
    /// The guarded interfaces, by name.
    pub attachments: BTreeMap<String, AttachmentRecord>,
    /// The interfaces that were detached by hand, by name: nothing attaches them by itself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub detached: BTreeMap<String, Detached>,
    /// The numbers of rules, of those too that are gone.
    pub numbers: RuleNumbers,
    /// The rules that come back when a change on trial is not confirmed; `None` when it changed none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Box<RulesBefore>>,
    /// The trial of the VPC's rules that this host takes part in, or took until its deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vpc_trial: Option<VpcTrial>,
}

/// A trial of the rules of a VPC, on this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VpcTrial {
    /// Which one.
    pub id: i64,
    /// Whether its deadline has passed here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_over: bool,
    /// The interfaces that were on a trial of their own when it began: it does not decide over them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub apart: BTreeSet<String>,
}

/// The rules before a change on trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesBefore {
    /// The rules.
    pub model: Model,
    /// Who owns what of them.
    #[serde(default, skip_serializing_if = "Owners::is_empty")]
    pub owners: Owners,
}

impl Default for State {
    fn default() -> Self {
        Self {
            generation: 0,
            model: Model::new(),
            owners: Owners::default(),
            attachments: BTreeMap::new(),
            detached: BTreeMap::new(),
            numbers: RuleNumbers::default(),
            before: None,
            vpc_trial: None,
        }
    }
}

impl State {
    /// Whether somebody has detached the interface that has this index now.
    pub fn was_detached(&self, ifindex: u32) -> bool {
        let mut noted = (self.detached.values()).filter(|noted| noted.index() == ifindex);
        noted.any(|noted| *noted == Detached::now(ifindex))
    }

    /// The rules, and who owns them.
    pub fn document(&self) -> Document {
        Document::new(self.model.clone(), self.owners.clone())
    }

    /// The trial of the VPC's rules that runs here.
    pub fn running_vpc_trial(&self) -> Option<&VpcTrial> {
        self.vpc_trial.as_ref().filter(|trial| !trial.is_over)
    }

    /// The rules, and who owns them, alone.
    pub fn into_document(self) -> Document {
        Document::new(self.model, self.owners)
    }
}
