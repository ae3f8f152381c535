//! Changes on trial.

use sg_policy::compile::{ZonePolicy, compile};

use super::{Filter, ZONE, read, settings};
use crate::family::Family;

impl Filter {
    /// Puts what is in force on trial for so many seconds: then `before`, rules and settings, comes back.
    pub fn on_trial(&mut self, before: &str, seconds: u64) {
        let model = read(before);
        let spec = model.interfaces.get("eth0").cloned().unwrap_or_default();
        let zone = ZonePolicy {
            zone: ZONE,
            groups: spec.groups.clone(),
            addresses: Family::BOTH.map(Family::local).to_vec(),
        };
        let image = compile(&model, &[zone], &mut self.numbers, self.generation);
        let image = image.expect("the rules compile");
        let settings = settings(&spec, self.now(), self.hz());
        self.loaded_mut().install_previous(&image, &settings);
        let jiffies = seconds * self.hz();
        let rollback_at = self.now() + jiffies;
        self.change_settings(|settings| settings.rollback_at = rollback_at);
        self.second.get_mut().on_trial(&model, jiffies);
    }

    /// What is on trial stays.
    pub fn confirm(&mut self) {
        self.change_settings(|settings| settings.rollback_at = 0);
        self.second.get_mut().confirm();
    }
}
