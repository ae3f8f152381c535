//! Moves what is attached from maps of another layout to those of this one, while packets meet it.
//!
//! The new maps are made beside the old ones, with policy and settings in force; flows are copied;
//! the links get a second pin; then each hook gets its new program. What the old programs have done
//! to flows since is copied afterwards. A flow opened in between is known to one side alone for that
//! moment, and its packets are judged by the rules: these flows are counted.

use schemars::JsonSchema;
use std::collections::HashMap;

use aya::maps::MapData;
use sg_common::counters::RuleKey;
use sg_common::flow::{FLOW_COUNTED, FlowEntry, FlowKey, FlowSeed, FlowSlot};
use sg_common::names::{FLOW_LAYOUT, MAP_FLOW_SLOTS};
use sg_common::reason::Reason;
use sg_common::settings::{InterfaceSettings, MODE_AUDIT};

use super::error::DataplaneError;
use super::links::Attachment;
use super::maps::{map_error, map_slots, system_error};
use super::pins::PinDir;
use super::sys::{self, MappedSlots};
use super::upgrade::NewGates;
use super::{Dataplane, attached, privilege};
use crate::host::crash::{CrashPoint, reach};
use sg_policy::model::Side;

/// Interfaces that are attached with maps of another layout.
#[derive(Debug)]
pub struct OtherLayout {
    pins: PinDir,
    /// The interfaces.
    pub attachments: Vec<Attachment>,
}

impl OtherLayout {
    /// Its name, as in the path of its pins.
    pub fn name(&self) -> String {
        self.pins.name()
    }

    /// Whose programs a zone has, `None` when that is not known.
    pub fn build_of(&self, zone: u32) -> Option<String> {
        self.pins.build_of(zone)
    }

    /// Whether its flows are of a form that is known here, and can be copied.
    pub fn carries_flows(&self) -> bool {
        self.pins.flow_layout() == Some(FLOW_LAYOUT)
    }
}

/// An interface that is to be moved.
#[derive(Debug)]
pub struct Relocation<'a> {
    /// What is attached.
    pub attachment: &'a Attachment,
    /// Which side is protected.
    pub side: Side,
    /// The settings that it is to have.
    pub settings: InterfaceSettings,
}

/// What became of flows that were to be moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, JsonSchema)]
pub struct Relocated {
    /// They are in the new table, with their counters.
    pub kept: usize,
    /// They were opened while hooks changed: some of their packets may have been judged by the
    /// rules. They are in the new table, too.
    pub late: usize,
    /// There is no room for them.
    pub refused: usize,
}

impl Dataplane {
    /// The names of other layouts that have interfaces attached.
    ///
    /// # Errors
    /// When the pins cannot be read.
    pub fn others_in_use(&self) -> Result<Vec<String>, DataplaneError> {
        self.pins.others_in_use()
    }

    /// What is attached with maps of other layouts. `ifindex_of` tells the interface index of a
    /// zone, whose hooks are looked at first; 0 if it is not known.
    ///
    /// # Errors
    /// When pins belong to another network namespace, or the kernel does not answer.
    pub fn other_layouts(
        &self,
        ifindex_of: impl Fn(u32) -> u32,
    ) -> Result<Vec<OtherLayout>, DataplaneError> {
        let mut others = Vec::new();
        for pins in self.pins.all_versions()? {
            if pins.path() == self.pins.path() || pins.zones()?.is_empty() {
                continue;
            }
            let attachments = attached::attachments(&pins, &ifindex_of)?;
            others.push(OtherLayout { pins, attachments });
        }
        Ok(others)
    }

    /// Gives interfaces of another layout the maps of this one, with room for `flows` flows and with
    /// `image`, whose rules are `rules`, in force, and the programs of this binary. `open_flows` is
    /// called when all packets meet the new maps and none is dropped yet.
    ///
    /// # Errors
    /// When the kernel refuses maps or programs: nothing has changed then for any packet. After that
    /// an error leaves some hooks with the old programs and maps, others with the new ones, and all
    /// pins; a second run goes on.
    pub fn relocate(
        &mut self,
        other: &OtherLayout,
        zones: &[Relocation<'_>],
        (flows, image, rules): (u32, &[u32], &[RuleKey]),
        open_flows: impl FnOnce(&mut Self) -> Result<(), DataplaneError>,
    ) -> Result<Relocated, DataplaneError> {
        privilege::check()?;
        self.prepare(flows)?;
        self.install(image, rules)?;
        // Until both hooks have the new table, each knows flows that the other one does not.
        for zone in zones {
            let settings = InterfaceSettings {
                mode: MODE_AUDIT,
                log_reasons: 0,
                ..zone.settings
            };
            self.set_settings(zone.attachment.zone, &settings)?;
        }
        let mut loaded = Vec::new();
        for zone in zones {
            loaded.push(NewGates::load(&self.pins, zone.attachment, zone.side)?);
        }
        let mut copy = FlowCopy::open(other, zones)?;
        let (kept, refused) = copy.round(self, true)?;
        for (zone, gates) in zones.iter().zip(&loaded) {
            let zone = zone.attachment.zone;
            self.pins.create_zone(zone)?;
            self.pins.forget_gates(zone)?;
            other.pins.forget_gates(zone)?;
            gates.hold(&self.pins, zone)?;
            for (old, new) in other.pins.pins_of(zone, &self.pins)? {
                let object = sys::open_pin(&old).map_err(system_error("open a pin"))?;
                sys::pin(&object, &new).map_err(system_error("pin anew"))?;
            }
        }
        reach(CrashPoint::PinnedAnew);
        for (zone, gates) in zones.iter().zip(&loaded) {
            gates.replace(&self.pins, zone.attachment)?;
        }
        reach(CrashPoint::Moved);
        open_flows(self)?;
        for zone in zones {
            self.set_settings(zone.attachment.zone, &zone.settings)?;
        }
        let (late, more) = copy.round(self, false)?;
        reach(CrashPoint::FlowsCopied);
        for (zone, gates) in zones.iter().zip(&loaded) {
            gates.note(&self.pins, zone.attachment.zone)?;
        }
        other.pins.remove()?;
        Ok(Relocated {
            kept,
            late,
            refused: refused + more,
        })
    }
}

/// The flows of another layout, and what has been copied of them.
struct FlowCopy<'a> {
    slots: Option<MappedSlots>,
    zones: &'a [Relocation<'a>],
    copied: HashMap<FlowKey, FlowEntry>,
}

impl<'a> FlowCopy<'a> {
    fn open(other: &OtherLayout, zones: &'a [Relocation<'a>]) -> Result<Self, DataplaneError> {
        let mut copy = Self {
            slots: None,
            zones,
            copied: HashMap::new(),
        };
        if other.carries_flows() {
            let map = MapData::from_pin(other.pins.map(MAP_FLOW_SLOTS))
                .map_err(map_error("open", MAP_FLOW_SLOTS))?;
            let info = map.info().map_err(map_error("describe", MAP_FLOW_SLOTS))?;
            if info.value_size() as usize == size_of::<FlowSlot>() {
                copy.slots = Some(map_slots(&map)?);
            }
        }
        Ok(copy)
    }

    /// Every flow of the old table that is alive.
    fn live(&self, now: u64) -> Vec<(FlowKey, FlowEntry)> {
        let timeout = |key: &FlowKey, entry: &FlowEntry| {
            let is_zone = |zone: &&Relocation<'_>| zone.attachment.zone == u32::from(key.zone());
            let settings = self.zones.iter().find(is_zone)?.settings;
            settings.timeouts.get(usize::from(entry.state)).copied()
        };
        let slots = self.slots.iter();
        slots
            .flat_map(|slots| (0..slots.len()).filter_map(|index| slots.read(index)))
            .filter_map(|slot| Some((slot.key, slot.entry()?)))
            .filter(|(key, entry)| {
                timeout(key, entry)
                    .is_some_and(|timeout| now <= entry.last_seen.saturating_add(timeout))
            })
            .collect()
    }

    /// Copies what has changed since the last round; `quiet` while no program uses the new table.
    /// Returns the number of flows that are new, and of those that found no room.
    fn round(
        &mut self,
        dataplane: &mut Dataplane,
        quiet: bool,
    ) -> Result<(usize, usize), DataplaneError> {
        let live = self.live(dataplane.clock()?.now);
        let (known, new): (Vec<_>, Vec<_>) = live
            .into_iter()
            .partition(|(key, _)| self.copied.contains_key(key));
        let seeds = new.iter().map(|(key, entry)| FlowSeed {
            key: *key,
            state: entry.state.into(),
            flags: (entry.flags & !FLOW_COUNTED).into(),
            numbers: entry.numbers,
        });
        let codes = dataplane.run_seeds(seeds)?;
        let mut refused = 0;
        // What is to be added to each slot.
        let mut changes: HashMap<FlowKey, (FlowEntry, Option<FlowEntry>)> = HashMap::new();
        for ((key, entry), code) in new.iter().zip(codes) {
            if code == Reason::New as u32 {
                changes.insert(*key, (*entry, None));
            } else if code != Reason::Established as u32 {
                refused += 1;
            }
            self.copied.insert(*key, *entry);
        }
        let opened = changes.len();
        for (key, entry) in known {
            let before = self.copied.insert(key, entry);
            if before != Some(entry) {
                changes.insert(key, (entry, before));
            }
        }
        let maps = dataplane.maps()?;
        let slots = maps.flows()?;
        for index in maps.taken_slots()? {
            if let Some(slot) = slots.read(index)
                && slot.entry().is_some()
                && let Some((entry, before)) = changes.remove(&slot.key)
            {
                slots.add(index, &entry, before.as_ref(), quiet);
            }
        }
        Ok((opened, refused))
    }
}
