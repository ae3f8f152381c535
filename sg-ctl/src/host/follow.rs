//! What a host of a VPC enforces, and what it brings into its groups.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::put::take_assignments;
use super::{Host, HostError, WayIn, zone_policies};
use crate::vpc::Document;
use crate::vpc::trial::Standing;

/// What [`Host::enforce`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enforcement {
    /// Generation of the policy.
    pub generation: u64,
    /// Security groups.
    pub groups: usize,
    /// Rules of all groups.
    pub rules: usize,
    /// Whether the rules are others than before, and not their members alone.
    pub rules_changed: bool,
}

impl Host {
    /// Puts the rules of a VPC in force, as this host has them; on trial where they are. Does nothing
    /// when they are in force so.
    ///
    /// # Errors
    /// Those of [`apply`](Self::apply); nothing has changed then.
    pub fn enforce(
        &mut self,
        mut document: Document,
        standing: Standing,
    ) -> Result<Enforcement, HostError> {
        let (lock, found) = self.begin()?;
        let mut state = found.clone();
        let mut confirm_within = None;
        match standing {
            Standing::Running(trial) => match &state.vpc_trial {
                // Its deadline has passed here, before etcd's: this host does not begin it again.
                Some(known) if known.id == trial.id && known.is_over => document = trial.before,
                Some(known) if known.id == trial.id => state.renew_before(trial.before),
                _ => {
                    confirm_within = Some(Duration::from_millis(trial.within_ms));
                    state.begin_vpc_trial(trial.id, trial.before);
                }
            },
            Standing::Kept => state = state.without_vpc_trial(true),
            Standing::Lapsed => state = state.without_vpc_trial(false),
        }
        let before = found.document();
        let rules_changed = !is_same_but_members(&before, &document);
        let is_same = before == document
            && (&found.before, &found.vpc_trial) == (&state.before, &state.vpc_trial);
        take_assignments(&mut state, &document);
        let on_trial = confirm_within.is_some();
        let planned = self.plan_rules(&state, document, WayIn::default(), on_trial)?;
        if !is_same || planned.is_new() {
            self.put_in_force(&lock, &planned, confirm_within)?;
        }
        let policy = planned.policy();
        Ok(Enforcement {
            generation: policy.generation,
            groups: policy.groups,
            rules: policy.rules,
            rules_changed,
        })
    }

    /// The addresses of guarded interfaces, by name.
    ///
    /// # Errors
    /// When state or interfaces cannot be looked at.
    pub fn guarded_addresses(&self) -> Result<BTreeMap<String, BTreeSet<IpAddr>>, HostError> {
        let state = self.state()?;
        let survey = self.survey()?;
        let guarded: BTreeSet<&String> = survey
            .guards(&state)
            .filter(|(_, guard)| guard.holds())
            .map(|(name, _)| name)
            .collect();
        let (_, zones) = zone_policies(&state, &survey.attachments)?;
        let records = state.attachments.iter();
        let addresses = records
            .filter(|(name, _)| guarded.contains(name))
            .map(|(name, record)| {
                let zone = zones.iter().find(|zone| zone.zone == record.zone);
                let addresses = zone.into_iter().flat_map(|zone| &zone.addresses).copied();
                (name.clone(), addresses.collect())
            });
        Ok(addresses.collect())
    }
}

fn is_same_but_members(one: &Document, other: &Document) -> bool {
    let (one, other) = (one.model(), other.model());
    one.groups == other.groups
        && one.prefix_lists == other.prefix_lists
        && one.interfaces == other.interfaces
        && one.limits == other.limits
}
