//! Cuts an interface off: no group admits anything, and no flow goes on. Gives it back its groups.

use std::time::{Duration, Instant};

use sg_common::flow::FlowKey;
use sg_common::proto::TCP;

use super::desired::compile_policy;
use super::ssh::SshConnection;
use super::trial::Policy;
use super::{Host, HostError};
use crate::host::dataplane::{Attachment, Dataplane};
use crate::host::state::{SshPeer, State};

/// What [`Host::isolate`] is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IsolateRequest {
    /// Cut the interface off.
    Isolate {
        /// The SSH connection that it is asked for over.
        ssh: Option<SshConnection>,
        /// What becomes of that connection if it comes in by this interface: `Some(true)` keeps it,
        /// `Some(false)` cuts it, `None` refuses.
        keep: Option<bool>,
    },
    /// Give it back what it had.
    Release,
}

/// What [`Host::isolate`] did, or what it would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsolateSummary {
    /// Name of the interface.
    pub interface: String,
    /// Whether it is cut off now.
    pub isolated: bool,
    /// Whether anything is different from before.
    pub changed: bool,
    /// Flows that were cut.
    pub flows_cut: usize,
    /// The SSH client that is admitted all the same.
    pub kept: Option<SshPeer>,
    /// What else the user should know.
    pub notes: Vec<String>,
    /// Time that it took.
    pub duration: Duration,
}

impl Host {
    /// Cuts an attached interface off, whatever its groups and mode say, until it is released: new
    /// rules do not end it, nor does a reboot. Infrastructure passes as before.
    ///
    /// # Errors
    /// When the interface is not attached, is not isolated and to be released, or the connection
    /// that it is asked for over would be cut; nothing has changed then.
    pub fn isolate(
        &mut self,
        interface: &str,
        request: &IsolateRequest,
    ) -> Result<IsolateSummary, HostError> {
        let begin = Instant::now();
        let (lock, state) = self.begin()?;
        let Plan {
            next,
            policy,
            attachments,
            mut summary,
        } = self.plan_isolation(&state, interface, request)?;
        self.transact(&lock, &next, false, |dataplane| {
            policy.put_in_force(dataplane, &next, &attachments, None)?;
            cut(dataplane, &next)
        })?;
        summary.duration = begin.elapsed();
        Ok(summary)
    }

    /// Tells what [`isolate`](Self::isolate) would do; changes nothing.
    ///
    /// # Errors
    /// Those of `isolate` before it changes anything.
    pub fn would_isolate(
        &self,
        interface: &str,
        request: &IsolateRequest,
    ) -> Result<IsolateSummary, HostError> {
        let plan = self.plan_isolation(&self.state()?, interface, request)?;
        Ok(plan.summary)
    }

    fn plan_isolation(
        &self,
        state: &State,
        interface: &str,
        request: &IsolateRequest,
    ) -> Result<Plan, HostError> {
        let survey = self.survey()?;
        let attachments = survey.attachments.as_slice();
        Self::check_all_recorded(state, attachments)?;
        let mut next = State {
            generation: state.generation + 1,
            ..state.clone()
        };
        let not_attached = || HostError::not_attached(interface, state);
        let record = next.attachments.get_mut(interface);
        let record = record.ok_or_else(not_attached)?;
        let guard = survey.guard(interface, record.zone);
        guard.check(interface)?;
        let attachment = survey.attachment(record.zone);
        let attachment = attachment.ok_or_else(not_attached)?.clone();
        let before = record.clone();
        match request {
            IsolateRequest::Isolate { ssh, keep } => {
                let isolation = record.isolated.get_or_insert_default();
                if before.isolated.is_none() {
                    isolation.keep_ssh = before.keep_ssh;
                }
                record.keep_ssh = own_peer(state, &attachment, interface, *ssh, *keep)?;
            }
            IsolateRequest::Release => match record.isolated.take() {
                Some(isolation) => record.keep_ssh = isolation.keep_ssh,
                None => {
                    return Err(HostError::NotIsolated {
                        interface: interface.to_owned(),
                    });
                }
            },
        }
        let (isolated, kept) = (record.isolated.is_some(), record.keep_ssh);
        let zone = record.zone;
        let flows_cut = if isolated {
            let flows = self.flows()?;
            let is_cut = |key: &FlowKey| u32::from(key.zone()) == zone && !is_kept(kept, key);
            flows.iter().filter(|flow| is_cut(&flow.key)).count()
        } else {
            0
        };
        let changed = *record != before || flows_cut > 0;
        let image = compile_policy(&mut next, attachments, None)?;
        Ok(Plan {
            policy: Policy::new(&next, attachments, None, image)?,
            next,
            attachments: attachments.to_vec(),
            summary: IsolateSummary {
                interface: interface.to_owned(),
                isolated,
                changed,
                flows_cut,
                kept: kept.filter(|_| isolated),
                notes: guard.note(interface).into_iter().collect(),
                duration: Duration::ZERO,
            },
        })
    }
}

/// A change that is checked and compiled.
struct Plan {
    next: State,
    policy: Policy,
    attachments: Vec<Attachment>,
    summary: IsolateSummary,
}

/// The client that is to be admitted, when the connection comes in by this interface.
fn own_peer(
    state: &State,
    attachment: &Attachment,
    interface: &str,
    ssh: Option<SshConnection>,
    keep: Option<bool>,
) -> Result<Option<SshPeer>, HostError> {
    let Some(ssh) = ssh else {
        return match keep {
            Some(true) => Err(HostError::NoSsh),
            _ => Ok(None),
        };
    };
    if !ssh.comes_by(state, attachment)? {
        return Ok(None);
    }
    match keep {
        Some(true) => Ok(Some(ssh.peer())),
        Some(false) => Ok(None),
        None => Err(HostError::CutsSsh {
            interface: interface.to_owned(),
            client: ssh.client.ip(),
        }),
    }
}

/// Whether a flow is the SSH client's.
fn is_kept(kept: Option<SshPeer>, key: &FlowKey) -> bool {
    kept.is_some_and(|peer| {
        key.protocol() == TCP && key.local_port() == peer.port && key.remote == peer.client.into()
    })
}

/// Ends the flows of isolated interfaces: removed rules alone end none that is tracked.
///
/// The image without their groups must be in force: the kernel has waited for the programs that read
/// the one before, so no flow can be opened any more.
pub(super) fn cut(dataplane: &mut Dataplane, state: &State) -> Result<(), HostError> {
    let isolated = state
        .attachments
        .values()
        .filter(|each| each.isolated.is_some());
    for record in isolated {
        dataplane.cut(record.zone, |key| is_kept(record.keep_ssh, key))?;
    }
    Ok(())
}

/// What the user should know of an isolated interface when its rules change.
pub(super) fn note(interface: &str) -> String {
    format!(
        "{interface} stays isolated: its groups come into force with `sg-ctl isolate {interface} \
         --release`"
    )
}
