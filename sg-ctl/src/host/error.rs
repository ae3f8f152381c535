//! What can go wrong when the host is changed.

use std::net::IpAddr;

use super::changes::list;
use super::guard::Guard;
use crate::host::dataplane::DataplaneError;
use crate::host::state::{State, StateError};
use crate::vpc::DocumentError;
use sg_policy::compile::CompileError;
use sg_policy::model::Side;

/// An error of the [`host`](super). Unless its text says otherwise nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The state directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// The kernel.
    #[error(transparent)]
    Dataplane(#[from] DataplaneError),
    /// The rules are too many.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// An interface would carry a group that is not defined.
    #[error("{interface} would carry the group `{group}`, which is not defined")]
    UnknownGroup {
        /// Name of the interface.
        interface: String,
        /// Name of the group.
        group: String,
        /// The groups that there are.
        defined: Vec<String>,
    },
    /// An interface would carry more groups than the limit says.
    #[error("{interface} would carry {count} groups, {limit} is the limit")]
    TooManyGroups {
        /// Name of the interface.
        interface: String,
        /// How many.
        count: usize,
        /// The limit.
        limit: u32,
    },
    /// An interface would carry no group.
    #[error("{interface} would carry no group")]
    NoGroups {
        /// Name of the interface.
        interface: String,
    },
    /// The rules want an attached interface to be guarded from the other side.
    #[error("{interface} is attached with side {}, the rules now say {}", side(*.attached), side(*.wanted))]
    SideChanged {
        /// Name of the interface.
        interface: String,
        /// The side that its programs were loaded for.
        attached: Side,
        /// The side that the rules name.
        wanted: Side,
    },
    /// The command line states addresses of an interface that has its own.
    #[error("the addresses of {interface} are those that this host gives it")]
    StatedAddresses {
        /// Name of the interface.
        interface: String,
    },
    /// Nothing of ours is attached to the interface.
    #[error("{interface} is not attached")]
    NotAttached {
        /// Name of the interface.
        interface: String,
        /// The interfaces that are.
        attached: Vec<String>,
    },
    /// Somebody has detached the interface, and it is not to be attached by itself.
    #[error("{interface} was detached by hand")]
    DetachedByHand {
        /// Name of the interface.
        interface: String,
    },
    /// The interface was attached, but its packets do not meet our programs now.
    #[error("{interface} is not guarded: {}", .guard.fault().unwrap_or_default())]
    NotGuarded {
        /// Name of the interface.
        interface: String,
        /// Why.
        guard: Guard,
    },
    /// There are programs of ours that the state does not know: their groups are lost.
    #[error("attached, but unknown to the state: {}", .interfaces.join(", "))]
    Unrecorded {
        /// Names of the interfaces.
        interfaces: Vec<String>,
    },
    /// What is attached has maps of another layout.
    #[error("interfaces are attached with another layout of the maps ({})", .layouts.join(", "))]
    OtherLayout {
        /// Names of the layouts.
        layouts: Vec<String>,
    },
    /// The interface is cut off.
    #[error("{interface} is isolated")]
    Isolated {
        /// Name of the interface.
        interface: String,
    },
    /// The interface is not cut off.
    #[error("{interface} is not isolated")]
    NotIsolated {
        /// Name of the interface.
        interface: String,
    },
    /// Cutting the interface off would end the connection that it is asked for over.
    #[error("isolating {interface} would cut your own SSH connection, from {client}")]
    CutsSsh {
        /// Name of the interface.
        interface: String,
        /// Address of the client.
        client: IpAddr,
    },
    /// sg-ctl is not run over SSH.
    #[error("there is no SSH connection to keep")]
    NoSsh,
    /// Everything is detached, and the state still says that it is attached.
    #[error("every interface is detached, all packets pass; but the state could not be changed")]
    OnlyOpen {
        /// Why.
        source: StateError,
    },
    /// The deadline of a change on trial has passed.
    #[error(
        "too late: the change of {} was not confirmed in time, and what was before is in force",
        .interfaces.join(", ")
    )]
    TooLate {
        /// Names of the interfaces.
        interfaces: Vec<String>,
    },
    /// New rules are on trial on more interfaces than those that were to be confirmed.
    #[error("the rules themselves are on trial, on every interface")]
    RulesOnTrial,
    /// The rules of the VPC are on trial, on all of its hosts.
    #[error("the rules of the VPC are on trial")]
    VpcOnTrial,
    /// The rules document is wrong, or has two owners.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The rules are others than those that a change was made of.
    #[error("the rules have changed meanwhile")]
    Conflict {
        /// The generation of those in force.
        found: u64,
    },
    /// A change would shut out whoever asks for it.
    #[error("no rule of {interface} would admit {client}, from where this was asked for")]
    LocksOut {
        /// Name of the interface.
        interface: String,
        /// Address of the client.
        client: IpAddr,
    },
    /// There is no state to return to.
    #[error("there are no rules to return to")]
    NoPrevious,
    /// As many interfaces are attached as there are zones.
    #[error("{limit} interfaces are attached, more cannot be")]
    NoZone {
        /// The number of zones.
        limit: u32,
    },
}

const fn side(side: Side) -> &'static str {
    match side {
        Side::Nic => "nic",
        Side::Workload => "workload",
    }
}

impl HostError {
    /// Refuses names of interfaces that were not attached.
    ///
    /// # Errors
    /// For the first of them.
    pub fn check_attached(names: &[String], state: &State) -> Result<(), Self> {
        let unknown = |name: &&String| !state.attachments.contains_key(*name);
        names
            .iter()
            .find(unknown)
            .map_or(Ok(()), |name| Err(Self::not_attached(name, state)))
    }

    /// Nothing can be done to an interface that was never attached.
    pub fn not_attached(interface: &str, state: &State) -> Self {
        Self::NotAttached {
            interface: interface.to_owned(),
            attached: state.attachments.keys().cloned().collect(),
        }
    }

    /// The remedy, as one sentence for the user.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::State(error) => error.help(),
            Self::Dataplane(error) => error.help(),
            Self::Compile(error) => error.help(),
            Self::NotIsolated { .. } => None,
            Self::UnknownGroup { defined, .. } => Some(format!("the groups are {}", list(defined))),
            Self::TooManyGroups { .. } => {
                Some("raise `limits: { groups_per_interface: … }` in a rule file".to_owned())
            }
            Self::NoGroups { .. } => Some("name at least one with --group".to_owned()),
            Self::SideChanged { interface, .. } => Some(format!(
                "attach it anew: sg-ctl detach {interface}, then sg-ctl attach {interface}"
            )),
            Self::StatedAddresses { .. } => {
                Some("--address is for what is behind an interface: --side workload".to_owned())
            }
            Self::DetachedByHand { interface } => {
                Some(format!("`sg-ctl attach {interface}` attaches it again"))
            }
            Self::NotAttached { attached, .. } if attached.is_empty() => {
                Some("no interface is attached".to_owned())
            }
            Self::NotAttached { attached, .. } => Some(format!("attached: {}", list(attached))),
            Self::NotGuarded { interface, guard } => guard.remedy(interface),
            Self::Unrecorded { .. } => {
                Some("detach them (`sg-ctl detach --all`), then attach them again".to_owned())
            }
            Self::OtherLayout { .. } => {
                Some("`sg-ctl upgrade` moves them to this one's, flows included".to_owned())
            }
            Self::Isolated { interface } => Some(format!(
                "end that first: sg-ctl isolate {interface} --release"
            )),
            Self::CutsSsh { .. } => {
                Some("--keep-ssh keeps it, --cut-ssh cuts it all the same".to_owned())
            }
            Self::OnlyOpen { .. } => Some(
                "at the next boot `sg-ctl restore` would attach again: make the state directory \
                 writable and repeat this, or disable sg-restore.service and sg-agent.service"
                    .to_owned(),
            ),
            Self::Document(error) => error.help(),
            Self::Conflict { .. } => Some("look again, and decide again".to_owned()),
            Self::LocksOut { .. } => Some("allow that address first".to_owned()),
            Self::NoSsh => Some("leave --keep-ssh out: sg-ctl was not started over SSH".to_owned()),
            Self::VpcOnTrial => Some(
                "`sg-ctl confirm` keeps them, on a host with an administrator's access; or wait until \
                 they have returned"
                    .to_owned(),
            ),
            Self::RulesOnTrial => Some("confirm them all: sg-ctl confirm".to_owned()),
            Self::TooLate { .. } => Some("make the change once more, and confirm that".to_owned()),
            Self::NoPrevious => Some("the rules have not changed yet".to_owned()),
            Self::NoZone { .. } => Some("detach one first".to_owned()),
        }
    }

    /// Whether the request is at fault and not the system (exit code 1, not 2).
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::State(error) => error.is_refusal(),
            Self::Dataplane(error) => error.is_refusal(),
            Self::OnlyOpen { .. } => false,
            _ => true,
        }
    }
}
