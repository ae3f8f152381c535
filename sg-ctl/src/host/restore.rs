//! Brings back what was in force: after a reboot, and when an interface went and came back.

use super::{AttachRequest, AttachSummary, Host, HostError};
use crate::dataplane::Interface;

/// What became of one interface of the state.
#[derive(Debug)]
pub enum Restored {
    /// It is attached again.
    Attached(Box<AttachSummary>),
    /// It was attached all the time.
    Intact,
    /// There is no such interface (yet).
    Missing,
    /// It could not be attached.
    Failed(HostError),
}

/// What [`Host::restore`] did, by interface.
#[derive(Debug, Default)]
pub struct RestoreSummary {
    /// The interfaces of the state.
    pub interfaces: Vec<(String, Restored)>,
}

impl Host {
    /// Attaches every interface of the state again whose programs are gone, as it was attached.
    /// Traffic of an interface that cannot be is not judged; the others are restored all the same.
    ///
    /// # Errors
    /// When state or kernel cannot be read.
    pub fn restore(&mut self) -> Result<RestoreSummary, HostError> {
        let (lock, state) = self.begin()?;
        // Each attach takes it again.
        drop(lock);
        let mut summary = RestoreSummary::default();
        for (name, record) in state.attachments {
            let attachments = self.dataplane.attachments()?;
            let attachment = attachments.iter().find(|each| each.zone == record.zone);
            let result = match attachment {
                Some(attachment) if attachment.is_complete() => Restored::Intact,
                attachment => {
                    // Half of it may still be there, on an interface that has not gone.
                    let half = attachment.is_some_and(|each| each.interface.is_some());
                    self.restore_one(&name, half.then_some(record.zone))
                }
            };
            summary.interfaces.push((name, result));
        }
        Ok(summary)
    }

    /// Attaches an interface by its record, in place of the half that is left in zone `half`.
    fn restore_one(&mut self, name: &str, half: Option<u32>) -> Restored {
        let attach = |host: &mut Self| -> Result<Restored, HostError> {
            if !Interface::all()?.iter().any(|each| each.name == name) {
                return Ok(Restored::Missing);
            }
            let (lock, state) = host.begin()?;
            // Whoever detached it meanwhile wants it so.
            let Some(record) = state.attachments.get(name) else {
                return Ok(Restored::Missing);
            };
            if let Some(zone) = half {
                host.dataplane.detach(zone)?;
            }
            drop(lock);
            let request = AttachRequest {
                interface: name.to_owned(),
                overrides: record.overrides.clone(),
                ..AttachRequest::default()
            };
            let attached = host.attach(request)?;
            Ok(Restored::Attached(Box::new(attached)))
        };
        attach(self).unwrap_or_else(Restored::Failed)
    }
}
