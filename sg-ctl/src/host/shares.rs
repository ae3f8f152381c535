//! What every interface is sure of in the flow table.

use std::collections::BTreeMap;

use sg_common::settings::InterfaceSettings;

use super::desired::effective;
use super::{HostError, by_zone};
use crate::host::dataplane::{Dataplane, FlowTableInfo};
use crate::host::state::State;
use sg_policy::model::InterfaceSpec;

/// An interface of which nothing is said is sure of this part at least.
const SMALLEST_PART: u32 = 64;

/// The shares of the interfaces that are attached, or will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shares {
    /// Flows that fit the table.
    room: u32,
    /// What interfaces are sure of, by zone.
    by_zone: BTreeMap<u32, u32>,
    /// Whether anybody asked for a share.
    is_asked: bool,
}

impl Shares {
    /// The shares of the interfaces of these zones.
    pub(super) fn of(
        dataplane: &Dataplane,
        state: &State,
        zones: impl IntoIterator<Item = u32>,
    ) -> Result<Self, HostError> {
        let table = dataplane.flow_table()?;
        let size = state.model.limits.flow_table_size;
        let room = table.unwrap_or(FlowTableInfo::made_for(size)).flows;
        let records = by_zone(state);
        let zones = zones.into_iter().map(|zone| {
            let spec = records
                .get(&zone)
                .map(|(name, record)| effective(&state.model, name, &record.overrides));
            (zone, spec.and_then(|spec| spec.flow_share))
        });
        Ok(Self::divide(room, zones))
    }

    /// Divides the room: who asked has what he asked for, the others the same part each of what is
    /// left.
    fn divide(room: u32, zones: impl IntoIterator<Item = (u32, Option<u32>)>) -> Self {
        let zones: BTreeMap<_, _> = zones.into_iter().collect();
        let asked = zones
            .values()
            .flatten()
            .copied()
            .fold(0, u32::saturating_add);
        let others = zones.values().filter(|share| share.is_none()).count();
        let others = u32::try_from(others).unwrap_or(u32::MAX);
        let equal = room.saturating_sub(asked) / others.max(1);
        // A share of 0 would be none at all to the programs.
        let equal = equal.max(room / SMALLEST_PART).max(1);
        let by_zone = zones
            .iter()
            .map(|(zone, share)| (*zone, share.unwrap_or(equal)));
        Self {
            room,
            by_zone: by_zone.collect(),
            is_asked: asked > 0,
        }
    }

    /// Gives an interface's settings what it may hold of the table.
    pub(super) fn give(
        &self,
        state: &State,
        (zone, spec): (u32, &InterfaceSpec),
        settings: &mut InterfaceSettings,
    ) {
        settings.flow_share = self.by_zone.get(&zone).copied().unwrap_or_default().into();
        let limits = &state.model.limits;
        settings.flows_per_remote = limits.flows_per_remote(spec.side, self.room).into();
    }

    /// What should be known of shares that are asked for and cannot all be had.
    pub(super) fn note(&self) -> Option<String> {
        let sum: u64 = self.by_zone.values().copied().map(u64::from).sum();
        let Self { room, .. } = self;
        (self.is_asked && sum > u64::from(*room)).then(|| {
            format!(
                "the interfaces' shares of the flow table come to {sum} flows, and it has room for \
                 {room}: no share is certain; lower `flow_share`, or raise `limits: \
                 {{flow_table_size: …}}`"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(asked: &[Option<u32>]) -> Vec<u32> {
        let zones = (0..).zip(asked.iter().copied());
        Shares::divide(6400, zones).by_zone.into_values().collect()
    }

    #[test]
    fn interfaces_have_equal_shares_of_what_nobody_asked_for() {
        assert_eq!(shares(&[None]), [6400]);
        assert_eq!(shares(&[None; 4]), [1600; 4]);
        assert_eq!(shares(&[Some(4000), None, None]), [4000, 1200, 1200]);
    }

    #[test]
    fn nobody_has_less_than_a_64th() {
        assert_eq!(shares(&[None; 200]), [100; 200]);
        assert_eq!(shares(&[Some(6400), None]), [6400, 100]);
        // Who asks for less has less.
        assert_eq!(shares(&[Some(1), None]), [1, 6399]);
    }

    #[test]
    fn shares_that_cannot_all_be_had_are_told() {
        let note =
            |asked: &[Option<u32>]| Shares::divide(6400, (0..).zip(asked.iter().copied())).note();
        assert_eq!(note(&[Some(6400)]), None);
        assert_eq!(note(&[None; 200]), None);
        let told = note(&[Some(6400), None]).expect("6500 of 6400");
        assert!(
            told.contains("6500 flows, and it has room for 6400"),
            "{told}"
        );
    }
}
