//! Takes gates off their hooks, and forgets what was known of their interfaces.

use std::cell::OnceCell;

use sg_common::settings::{InterfaceSettings, MAX_ZONES};

use super::error::DataplaneError;
use super::{Dataplane, flows, haste, links, rules};

impl Dataplane {
    /// Takes the programs of a zone off their hooks and forgets its settings, counters and flows.
    /// With the last zone all pins go, and the kernel frees the memory.
    ///
    /// # Errors
    /// When pins cannot be removed. A zone that has none is no error.
    pub fn detach(&mut self, zone: u32) -> Result<(), DataplaneError> {
        let _haste = haste::hurry();
        links::detach(&self.pins, zone)?;
        if self.pins.zones()?.is_empty() {
            self.maps = OnceCell::new();
            return self.pins.remove();
        }
        // Maps of another shape hold nothing for this version; attaching clears the zone anyhow.
        if self.maps().is_ok() {
            self.clear_zone(zone)?;
        }
        Ok(())
    }

    /// Takes all programs off their hooks and removes every pin, those of other versions included.
    ///
    /// # Errors
    /// When pins cannot be removed.
    pub fn detach_all(&mut self) -> Result<(), DataplaneError> {
        self.maps = OnceCell::new();
        let _haste = haste::hurry();
        for pins in self.pins.all_versions()? {
            for zone in pins.zones()? {
                links::detach(&pins, zone)?;
            }
            pins.remove()?;
        }
        Ok(())
    }

    /// Forgets settings, counters and flows of a zone without programs.
    pub(super) fn clear_zone(&mut self, zone: u32) -> Result<(), DataplaneError> {
        if zone >= MAX_ZONES {
            // Of an interface that is gone and gave its zone back.
            return Ok(());
        }
        self.reset_counters(zone)?;
        if !self.settings(zone)?.is_in_use() {
            // Nobody has used it since it was cleared.
            return Ok(());
        }
        let maps = self.maps_mut()?;
        let counted = rules::counted(maps)?;
        rules::end(maps, counted.iter().filter(|rule| rule.zone == zone))?;
        flows::delete_zone(maps, zone)?;
        // Last, for it says that the rest is done.
        self.set_settings(zone, &InterfaceSettings::UNUSED)
    }
}
