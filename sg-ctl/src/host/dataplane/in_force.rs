//! What is in force: the policy images and the settings of zones, and those that come back when a
//! change on trial is not confirmed.

use sg_common::counters::RuleKey;
use sg_common::settings::InterfaceSettings;

use super::{Dataplane, DataplaneError, ImageInfo, image, rules};
use crate::host::crash::{CrashPoint, reach};

impl Dataplane {
    /// Puts a policy image in force: every packet is judged by the old image or by the new one.
    /// Its rules are counted from now on;
    /// those that were in force before go on counting.
    ///
    /// # Errors
    /// When the words are no image for these programs, or too many. Errors after the replacement
    /// (of pins) leave the new image in force.
    pub fn install(
        &mut self,
        words: &[u32],
        rules: &[RuleKey],
    ) -> Result<ImageInfo, DataplaneError> {
        let pins = self.pins.clone();
        let now = self.clock()?.now;
        let maps = self.maps_mut()?;
        let counted = rules::counted(maps)?;
        rules::begin(maps, rules, &counted, now)?;
        let info = image::install(maps, &pins, words)?;
        let gone = counted
            .iter()
            .filter(|rule| rules.binary_search(rule).is_err());
        rules::end(maps, gone)?;
        Ok(info)
    }

    /// Puts the image in place that comes back when a change on trial is not confirmed; its rules are
    /// counted from now on.
    ///
    /// # Errors
    /// Those of [`install`](Self::install); the image in force stays.
    pub fn install_previous(
        &mut self,
        words: &[u32],
        rules: &[RuleKey],
    ) -> Result<(), DataplaneError> {
        let now = self.clock()?.now;
        let maps = self.maps_mut()?;
        let counted = rules::counted(maps)?;
        rules::begin(maps, rules, &counted, now)?;
        image::install_previous(maps, words)
    }

    /// Frees the image of [`install_previous`](Self::install_previous): no interface is on trial.
    ///
    /// # Errors
    /// When the kernel does not clear its place.
    pub fn forget_previous(&self) -> Result<(), DataplaneError> {
        image::forget_previous(self.maps()?)
    }

    /// The image in force, `None` before the first one.
    ///
    /// # Errors
    /// When the kernel does not let it be read.
    pub fn image(&self) -> Result<Option<ImageInfo>, DataplaneError> {
        if self.is_prepared() {
            image::current(self.maps()?, &self.pins)
        } else {
            Ok(None)
        }
    }

    /// The settings of a zone; all zero for one that is not in use.
    ///
    /// # Errors
    /// When nothing is loaded.
    pub fn settings(&self, zone: u32) -> Result<InterfaceSettings, DataplaneError> {
        self.maps()?.settings(zone)
    }

    /// The settings that the programs use for a zone now: those before a change on trial, once its
    /// deadline has passed.
    ///
    /// # Errors
    /// When nothing is loaded.
    pub fn settings_in_force(&self, zone: u32) -> Result<InterfaceSettings, DataplaneError> {
        let settings = self.settings(zone)?;
        if settings.rollback_at == 0 || self.clock()?.now <= settings.rollback_at {
            return Ok(settings);
        }
        self.maps()?.settings_before(zone)
    }

    /// Changes the settings of a zone. The programs read each field once per packet, so a packet
    /// may see some fields old and some new. Longer timeouts bring no flow back that was over.
    ///
    /// # Errors
    /// When nothing is loaded.
    pub fn set_settings(
        &mut self,
        zone: u32,
        settings: &InterfaceSettings,
    ) -> Result<(), DataplaneError> {
        let before = self.settings(zone)?;
        if before.is_in_use() && settings.outlasts(&before) {
            self.delete_expired(zone, &before)?;
        }
        self.maps_mut()?.set_settings(zone, settings)?;
        reach(CrashPoint::SettingsWritten);
        Ok(())
    }

    /// Changes the settings that a zone returns to when a change on trial is not confirmed.
    ///
    /// # Errors
    /// When nothing is loaded.
    pub fn set_settings_before(
        &mut self,
        zone: u32,
        settings: &InterfaceSettings,
    ) -> Result<(), DataplaneError> {
        self.maps_mut()?.set_settings_before(zone, settings)?;
        reach(CrashPoint::SettingsWritten);
        Ok(())
    }
}
