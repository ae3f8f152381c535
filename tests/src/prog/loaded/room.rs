//! A flow table without room, made through its memory: strangers in every slot.

use std::net::IpAddr;

use sg_common::{
    addr::Addr,
    ends::{Ends, VlanIds},
    flow::{Evidence, FlowEntry, FlowKey, FlowSlot, FlowState},
    settings::InterfaceSettings,
    table::{BUCKET_SLOTS, Meta},
};

use super::{Loaded, ZONE};
use crate::oracle::Room;

/// The zone of another interface, whose flows never end.
const STRANGERS: u16 = ZONE as u16 + 100;

impl Loaded {
    /// Takes all room for new flows away, or gives it back.
    pub(crate) fn set_room(&mut self, room: Room) {
        match self.room {
            Room::Free => {}
            Room::Taken => {
                let is_stranger = |key: &FlowKey, _: &FlowEntry| key.zone() == STRANGERS;
                self.dataplane
                    .delete_flows(is_stranger)
                    .expect("maps are open");
            }
        }
        self.room = room;
        match room {
            Room::Free => {}
            Room::Taken => {
                let settings = InterfaceSettings {
                    timeouts: [u64::MAX / 4; FlowState::SLOTS],
                    ..self.settings()
                };
                self.dataplane
                    .set_settings(STRANGERS.into(), &settings)
                    .expect("maps are open");
                self.fill();
            }
        }
    }

    /// Gives strangers the slots that have become theirs to take since the latest frame.
    pub(crate) fn keep_room(&mut self) {
        if self.room == Room::Taken {
            let may_go = self.may_go();
            let mut slots = (0..self.slots.len).map(|number| self.slots.get(number));
            let is_over = |slot: FlowSlot| {
                u32::from(slot.key.zone()) == ZONE
                    && slot.entry().is_some_and(|entry| may_go(&slot.key, &entry))
            };
            if slots.any(is_over) {
                self.fill();
            }
        }
    }

    /// Whether a new flow may take the slot of another: one that is over, half-open or finished.
    fn may_go(&self) -> impl Fn(&FlowKey, &FlowEntry) -> bool + use<> {
        let (now, settings) = (self.now, self.settings());
        move |key, entry| {
            u32::from(key.zone()) == ZONE
                && (FlowState(entry.state).evidence() < Evidence::Proven
                    || !settings.keeps(entry, now))
        }
    }

    fn fill(&mut self) {
        let may_go = self.may_go();
        self.dataplane.delete_flows(may_go).expect("maps are open");
        for bucket in 0..self.tags.len {
            let mut word = self.tags.get(bucket);
            for index in 0..BUCKET_SLOTS {
                let number = bucket * BUCKET_SLOTS + index;
                let slot = self.slots.get(number);
                let byte = 8 * index;
                if word >> byte & 0x7f != 0 && slot.entry().is_some() {
                    continue;
                }
                if let Some((rule, tally)) = slot.uncounted() {
                    let overwritten = self.overwritten.entry(rule).or_default();
                    overwritten.packets += tally.packets;
                    overwritten.bytes += tally.bytes;
                }
                self.slots.set(number, self.stranger(number, slot));
                // Any tag will do: nobody looks for a stranger.
                word = word & !(0x7f << byte) | u64::from(1 + number % 127) << byte;
            }
            self.tags.set(bucket, word);
        }
    }

    /// A live flow of the other interface, in a slot that held something else.
    fn stranger(&self, number: u32, before: FlowSlot) -> FlowSlot {
        let version = u64::from(Meta(before.meta).version() & !1).wrapping_add(2);
        let local = IpAddr::V4(number.into()).into();
        let ends = Ends::new((local, 0), (Addr::UNSPECIFIED, 0));
        FlowSlot {
            key: FlowKey::new(STRANGERS.into(), VlanIds::NONE, 0, ends),
            meta: Meta(version << 32).with(FlowState::UDP_STREAM, 0).0,
            last_seen: self.now,
            created: self.now,
            ..before
        }
    }
}
