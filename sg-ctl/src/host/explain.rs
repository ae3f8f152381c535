//! Why a packet passes or drops at an attached interface now.

use std::collections::HashMap;

use sg_common::flow::{FlowEntry, FlowKey};
use sg_common::settings::MODE_AUDIT;
use sg_policy::compile::RuleNumbers;
use sg_policy::explain::{Explanation, LiveFlows, Place, Probe, explain};

use super::{Host, HostError};

/// An explanation by the rules in force and the flows that are alive.
#[derive(Debug)]
pub struct Explained<'m> {
    /// What the pipeline decides, and why.
    pub explanation: Explanation<'m>,
    /// What rule numbers stand for.
    pub numbers: RuleNumbers,
    /// Whether the interface only audits: what is denied passes all the same.
    pub audits: bool,
    /// That the packet would not be judged at all, or that other programs see it first.
    pub note: Option<String>,
}

impl Host {
    /// Explains what becomes of a packet, and hands that to `show`.
    ///
    /// # Errors
    /// When the interface is not attached; when state or kernel cannot be read.
    pub fn explain<T>(
        &self,
        interface: &str,
        probe: &Probe,
        show: impl FnOnce(&Explained<'_>) -> T,
    ) -> Result<T, HostError> {
        let state = self.state()?;
        let Some(record) = state.attachments.get(interface) else {
            return Err(HostError::not_attached(interface, &state));
        };
        let guard = self.survey()?.guard(interface, record.zone);
        let clock = self.dataplane.clock()?;
        let (model, zones) = self.zone_policies(&state)?;
        let place = Place {
            model: &model,
            zones,
            zone: record.zone,
            settings: self.dataplane.settings_in_force(record.zone)?,
            hz: clock.hz,
            now: clock.now,
            isolated: record.isolated.is_some(),
        };
        let flows = self.flows()?.into_iter();
        let flows: HashMap<FlowKey, FlowEntry> = flows.map(|flow| (flow.key, flow.entry)).collect();
        let live = LiveFlows {
            flow: &|key: &FlowKey| flows.get(key).copied(),
            has_room: &|key: &FlowKey| self.has_room(key).unwrap_or(true),
        };
        let audits = place.settings.mode == MODE_AUDIT;
        let mut numbers = state.numbers.clone();
        let explanation = explain(&place, probe, &mut numbers, Some(&live))?;
        Ok(show(&Explained {
            explanation,
            numbers,
            audits,
            note: guard.note(interface),
        }))
    }
}
