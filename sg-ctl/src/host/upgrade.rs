//! Puts the programs of this sg-ctl in the place of those that another one has loaded.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::apply::milliseconds;
use super::{Host, HostError, record_of};
use crate::dataplane::{Attachment, BUILD};
use crate::model::Side;

/// An interface that [`Host::upgrade`] has looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Upgraded {
    /// Name of the interface.
    pub interface: String,
    /// Whether its programs were replaced; if not, they were those of this sg-ctl.
    pub replaced: bool,
    /// Whose programs it had, `None` when that is not known.
    pub before: Option<String>,
}

/// What [`Host::upgrade`] did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UpgradeSummary {
    /// Whose programs all interfaces have now.
    pub build: String,
    /// The interfaces that are attached.
    pub interfaces: Vec<Upgraded>,
    /// Time that it took.
    #[serde(rename = "duration_ms", serialize_with = "milliseconds")]
    pub duration: Duration,
}

impl Host {
    /// Replaces the programs of every attached interface that has others than those of this sg-ctl.
    /// Rules, flows, counters and settings stay; no packet is left unjudged.
    ///
    /// # Errors
    /// When the kernel refuses the programs, or has maps of another shape: nothing has changed then.
    /// An upgrade that was cut short leaves old programs at some hooks and new ones at others, which
    /// know the same rules and flows; a second one goes on.
    pub fn upgrade(&mut self) -> Result<UpgradeSummary, HostError> {
        let begin = Instant::now();
        let (_lock, state) = self.begin()?;
        let attachments = self.dataplane.attachments()?;
        Self::check_all_recorded(&state, &attachments)?;
        let mut interfaces = Vec::new();
        let mut old: Vec<(&Attachment, Side)> = Vec::new();
        for attachment in &attachments {
            // What is gone has no programs, only pins.
            if attachment.interface.is_none() {
                continue;
            }
            let Some((name, record)) = record_of(&state, attachment.zone) else {
                continue;
            };
            let before = self.dataplane.build_of(attachment.zone);
            let replaced = before.as_ref() != Some(&*BUILD);
            if replaced {
                old.push((attachment, record.side));
            }
            interfaces.push(Upgraded {
                interface: name.to_owned(),
                replaced,
                before,
            });
        }
        self.dataplane.upgrade(&old)?;
        Ok(UpgradeSummary {
            build: BUILD.clone(),
            interfaces,
            duration: begin.elapsed(),
        })
    }
}
