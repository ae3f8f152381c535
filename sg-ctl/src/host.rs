//! This host: what is wanted (state), what it compiles to, and what is in force (dataplane).
//!
//! Every operation that changes something takes the lock, writes the next state, changes the
//! kernel, and commits the state. An error takes the change back; a process that was killed leaves
//! the old policy or the new one in force, and the next operation finishes or takes back what it
//! finds (`recovery`).

mod apply;
mod attach;
mod changes;
pub mod crash;
pub mod dataplane;
mod desired;
mod detach;
mod diff;
mod error;
mod existing;
mod explain;
pub mod file;
mod flows;
mod follow;
mod guard;
mod isolate;
pub mod live;
mod occupancy;
pub mod paths;
mod put;
mod recovery;
mod refresh;
mod restore;
mod rules;
mod settings;
mod shares;
mod snapshot;
mod ssh;
pub mod state;
mod status;
mod suppressed;
mod topology;
mod trial;
mod upgrade;
mod uppers;
mod zones;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use sg_common::counters::MAX_RULES;

pub use apply::{ApplyRequest, ApplySummary, PolicySummary};
pub use attach::{AttachRequest, AttachSummary, Coming};
pub use changes::{Changes, Difference};
pub use desired::guarded;
pub use detach::Target;
pub use diff::{PartDiff, PartKind};
pub use error::HostError;
pub use explain::Explained;
pub use flows::LiveFlow;
pub use follow::Enforcement;
pub use guard::Guard;
pub use isolate::{IsolateRequest, IsolateSummary};
pub use occupancy::{Occupancy, Share, shares};
pub use restore::{BATCH, RestoreSummary, Restored};
pub use rules::RuleCount;
pub use settings::settings;
pub(crate) use snapshot::loaded;
pub use snapshot::{InterfaceRates, Rate, Rates, Snapshot};
pub use ssh::{SshConnection, WayIn};
pub use status::{Deadline, InterfaceStatus, Mode, ReasonCount, Renamed, Status, Traffic};
pub use suppressed::Suppressed;
pub use upgrade::{UpgradeSummary, Upgraded};

use shares::Shares;

use crate::host::crash::{CrashPoint, reach};
use crate::host::dataplane::{Attachment, Dataplane, EventStream, FlowTableInfo, haste};
use crate::host::paths::Paths;
use crate::host::state::{AttachmentRecord, State, StateDir, StateLock};
use desired::{compile_policy, zone_policies};
use sg_policy::compile::{Image, ZonePolicy};
use sg_policy::model::Model;
use trial::Policy;

/// This host, or the network namespace that has these paths.
pub struct Host {
    directory: StateDir,
    dataplane: Dataplane,
}

impl Host {
    /// Opens the host. Changes nothing.
    ///
    /// # Errors
    /// When this process may not look at the pins.
    pub fn open(paths: &Paths) -> Result<Self, HostError> {
        Ok(Self {
            directory: StateDir::new(&paths.state),
            dataplane: Dataplane::open(&paths.pins)?,
        })
    }

    /// The state in force: rules, attachments, rule numbers. What was not confirmed in time is undone
    /// in it, as it is in the kernel.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn state(&self) -> Result<State, HostError> {
        let state = self.directory.load()?;
        if trial::is_past_deadline(&self.dataplane, &state)? {
            return Ok(state.settled());
        }
        Ok(state)
    }

    /// The groups and addresses of every attached interface, as the policy is compiled from them.
    ///
    /// # Errors
    /// When the interfaces cannot be looked at.
    pub fn zone_policies<'s>(
        &self,
        state: &'s State,
    ) -> Result<(Cow<'s, Model>, Vec<ZonePolicy>), HostError> {
        zone_policies(state, &self.dataplane.attachments()?)
    }

    /// The kernel side.
    pub fn dataplane(&self) -> &Dataplane {
        &self.dataplane
    }

    /// The verdicts that the programs report. One reader at a time.
    ///
    /// # Errors
    /// When there is another reader, or nothing is attached.
    pub fn events(&self) -> Result<EventStream, HostError> {
        Ok(self.dataplane.events()?)
    }

    /// Takes the lock, brings to an end what was interrupted, and loads the state.
    fn begin(&mut self) -> Result<(StateLock, State), HostError> {
        let lock = self.directory.lock()?;
        let layouts = self.dataplane.others_in_use()?;
        if !layouts.is_empty() {
            return Err(HostError::OtherLayout { layouts });
        }
        haste::calm();
        self.settle(&lock)?;
        let state = self.directory.load()?;
        let state = self.undo_unconfirmed(&lock, state)?;
        Ok((lock, state))
    }

    /// Writes the next state, acts, and commits; an error of `act` takes back what can be. When
    /// the rules change the old state becomes the previous one.
    fn transact<T>(
        &mut self,
        lock: &StateLock,
        next: &State,
        rules_change: bool,
        act: impl FnOnce(&mut Dataplane) -> Result<T, HostError>,
    ) -> Result<T, HostError> {
        lock.prepare(next)?;
        match act(&mut self.dataplane) {
            Ok(done) => {
                lock.commit(rules_change)?;
                Ok(done)
            }
            Err(error) => {
                // The first error is the one to report; what stays open now is settled later.
                let _ = self.settle(lock);
                Err(error)
            }
        }
    }

    /// Finishes or takes back an operation that did not come to its end.
    fn settle(&mut self, lock: &StateLock) -> Result<(), HostError> {
        let Some(next) = lock.pending()? else {
            return Ok(());
        };
        let current = self.directory.load()?;
        let complete: BTreeSet<u32> = self
            .dataplane
            .attachments()?
            .iter()
            .filter(|attachment| attachment.is_complete())
            .map(|attachment| attachment.zone)
            .collect();
        let image = self.dataplane.image()?;
        let generation = image.map(|image| image.generation);
        let decision = recovery::decide(&current, &next, generation, &complete);
        reach(CrashPoint::RecoveryDecided);
        for zone in decision.detach {
            self.dataplane.detach(zone)?;
        }
        let rules_change = (current.model != next.model || current.owners != next.owners)
            && !next.undoes(&current);
        let mut state = if decision.forward { next } else { current };
        let attachments = self.dataplane.attachments()?;
        if !attachments.is_empty() {
            let image = compile_policy(&mut state, &attachments, None)?;
            let policy = Policy::new(&state, &attachments, None, image)?;
            policy.put_in_force(&mut self.dataplane, &state, &attachments, None)?;
            isolate::cut(&mut self.dataplane, &state)?;
        }
        reach(CrashPoint::RecoveryInForce);
        if decision.forward {
            lock.commit(rules_change)?;
        } else {
            lock.discard()?;
        }
        Ok(())
    }

    /// Refuses to compile while interfaces are attached whose groups nobody knows: they would drop
    /// everything.
    fn check_all_recorded(state: &State, attachments: &[Attachment]) -> Result<(), HostError> {
        let records = by_zone(state);
        let interfaces: Vec<_> = attachments
            .iter()
            .filter(|attachment| !records.contains_key(&attachment.zone))
            .filter_map(|attachment| attachment.interface.as_ref())
            .map(|interface| interface.name.clone())
            .collect();
        if interfaces.is_empty() {
            Ok(())
        } else {
            Err(HostError::Unrecorded { interfaces })
        }
    }
}

/// Whether an interface is one of `only`, which names all if it names none.
fn is_among(name: &String, only: &[String]) -> bool {
    only.is_empty() || only.contains(name)
}

/// The records of all zones, each with the name of its interface.
fn by_zone(state: &State) -> HashMap<u32, (&str, &AttachmentRecord)> {
    let records = state.attachments.iter();
    records
        .map(|(name, record)| (record.zone, (name.as_str(), record)))
        .collect()
}

/// The record of a zone, with the name of its interface.
fn record_of(state: &State, zone: u32) -> Option<(&str, &AttachmentRecord)> {
    state
        .attachments
        .iter()
        .find(|(_, record)| record.zone == zone)
        .map(|(name, record)| (name.as_str(), record))
}

/// Tells when the flow table is not of the size that the rules ask for, or will be made.
fn flow_table_note(table: Option<FlowTableInfo>, model: &Model) -> Option<String> {
    let wanted = FlowTableInfo::made_for(model.limits.flow_table_size);
    match table {
        None => Some(format!(
            "the first interface that is attached makes the flow table: room for {} flows, {} MiB \
             of kernel memory",
            wanted.flows,
            wanted.bytes >> 20
        )),
        Some(table) if table != wanted => Some(format!(
            "the flow table keeps its room for {} flows while anything is attached; for {} flows \
             ({} MiB): `sg-ctl detach --all`, then attach again",
            table.flows,
            wanted.flows,
            wanted.bytes >> 20
        )),
        Some(_) => None,
    }
}

/// Tells when there are more rules than counters.
fn rule_counters_note(image: &Image) -> Option<String> {
    let rules = image.rules().len();
    (rules > MAX_RULES as usize).then(|| {
        format!(
            "{rules} rules are in force, of all interfaces together, and there are counters for \
             {MAX_RULES}: the others are not counted one by one"
        )
    })
}
