//! Whether an interface is guarded, now: the one answer that every sentence about it is made of.

use std::collections::HashSet;

use super::{Host, HostError};
use crate::host::dataplane::{Attachment, Before, HookSide, Interface, program_name};
use crate::host::state::State;

/// Whether the packets of an interface meet our programs, in this network namespace, now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    /// All of them, and nobody else's programs before.
    Whole,
    /// Those that programs of others, which come first, do not let pass on their own account.
    Preempted(Vec<String>),
    /// Those of one direction; nothing of ours is at the other hook.
    Half {
        /// The hook.
        missing: HookSide,
    },
    /// All of them, but nobody can change or see how they are judged: pins of the maps are gone.
    Unreachable,
    /// None: the interface is there, our programs are not.
    Open,
    /// None: another interface has the name now.
    Replaced {
        /// What the interface that is guarded is called.
        by_name: String,
    },
    /// There is no such interface.
    Missing,
}

impl Guard {
    /// The guard of the interface that is known as `name`, if `attachment` is what is attached for
    /// it and an interface of that name is there.
    pub(super) fn of(
        name: &str,
        attachment: Option<&Attachment>,
        is_there: bool,
        has_lost_maps: bool,
    ) -> Self {
        let held = attachment.and_then(|each| Some((each, each.interface.as_ref()?)));
        let Some((attachment, interface)) = held else {
            return if is_there { Self::Open } else { Self::Missing };
        };
        match (attachment.ingress, attachment.egress) {
            _ if interface.name != name && is_there => Self::Replaced {
                by_name: interface.name.clone(),
            },
            (None, _) => Self::Half {
                missing: HookSide::Ingress,
            },
            (_, None) => Self::Half {
                missing: HookSide::Egress,
            },
            _ if has_lost_maps => Self::Unreachable,
            _ if attachment.before.is_empty() => Self::Whole,
            _ => Self::Preempted(attachment.before.iter().copied().map(before_text).collect()),
        }
    }

    /// Whether our programs are at both hooks and obey.
    pub const fn holds(&self) -> bool {
        matches!(self, Self::Whole | Self::Preempted(_))
    }

    /// What of its packets is not judged, or not by us alone; `None` when everything is in order.
    pub fn fault(&self) -> Option<String> {
        Some(match self {
            Self::Whole => return None,
            Self::Preempted(before) => format!(
                "{} sees packets first, and may let them pass unjudged",
                before.join(", ")
            ),
            Self::Half { missing } => {
                let packets = match missing {
                    HookSide::Ingress => "received",
                    HookSide::Egress => "sent",
                };
                format!("half attached: packets that it has {packets} are not judged")
            }
            Self::Unreachable => {
                "its programs go on, but pins of their maps are gone: nobody can change or see what \
                 they do"
                    .to_owned()
            }
            Self::Open => "no program is attached: its packets are not judged".to_owned(),
            Self::Replaced { by_name } => format!(
                "another interface has the name now, and is not guarded; the one that is, is called \
                 {by_name}"
            ),
            Self::Missing => "there is no such interface".to_owned(),
        })
    }

    /// What to do about it, as one sentence.
    pub fn remedy(&self, name: &str) -> Option<String> {
        match self {
            Self::Whole | Self::Preempted(_) => None,
            Self::Half { .. } | Self::Unreachable | Self::Open => {
                Some("`sg-ctl restore` attaches it again".to_owned())
            }
            Self::Replaced { by_name } => Some(format!(
                "`sg-ctl detach {name}`, then `sg-ctl attach` {name}, {by_name} or both"
            )),
            Self::Missing => Some(format!(
                "`sg-ctl restore` attaches it when it is back, the agent by itself; `sg-ctl detach \
                 {name}` forgets it"
            )),
        }
    }

    /// The sentence for whoever relies on the interface, `None` when everything is in order.
    pub fn note(&self, name: &str) -> Option<String> {
        let fault = self.fault()?;
        Some(match self.remedy(name) {
            Some(remedy) => format!("{name}: {fault}; {remedy}"),
            None => format!("{name}: {fault}"),
        })
    }

    /// Refuses what would be said of an interface that is not guarded.
    pub(super) fn check(&self, interface: &str) -> Result<(), HostError> {
        if self.holds() {
            return Ok(());
        }
        Err(HostError::NotGuarded {
            interface: interface.to_owned(),
            guard: self.clone(),
        })
    }
}

fn before_text(Before { side, program }: Before) -> String {
    let side = side.name();
    if program == 0 {
        return format!("{side}: a filter without a program");
    }
    match program_name(program).filter(|name| !name.is_empty()) {
        Some(name) => format!("{side}: {name} ({program})"),
        None => format!("{side}: program {program}"),
    }
}

/// What is attached and which interfaces are there, at one moment.
pub(super) struct Survey {
    /// What is attached, by zone, in ascending order.
    pub(super) attachments: Vec<Attachment>,
    /// The interfaces.
    pub(super) present: Vec<Interface>,
    /// Whether pins of the maps are gone.
    pub(super) has_lost_maps: bool,
}

impl Survey {
    /// What is attached for a zone.
    pub(super) fn attachment(&self, zone: u32) -> Option<&Attachment> {
        let place = self
            .attachments
            .binary_search_by_key(&zone, |each| each.zone);
        place.ok().map(|place| &self.attachments[place])
    }

    /// The guard of an interface, recorded as one of a zone.
    pub(super) fn guard(&self, name: &str, zone: u32) -> Guard {
        let is_there = self.present.iter().any(|each| each.name == name);
        Guard::of(name, self.attachment(zone), is_there, self.has_lost_maps)
    }

    /// The guard of every recorded interface.
    pub(super) fn guards<'s>(
        &'s self,
        state: &'s State,
    ) -> impl Iterator<Item = (&'s String, Guard)> {
        let names: HashSet<_> = self.present.iter().map(|each| each.name.as_str()).collect();
        state.attachments.iter().map(move |(name, record)| {
            let (attachment, is_there) =
                (self.attachment(record.zone), names.contains(name.as_str()));
            let guard = Guard::of(name, attachment, is_there, self.has_lost_maps);
            (name, guard)
        })
    }
}

impl Host {
    /// Looks at what is attached, and at the interfaces.
    pub(super) fn survey(&self) -> Result<Survey, HostError> {
        let (attachments, present) = self.dataplane.survey()?;
        Ok(Survey {
            attachments,
            present,
            has_lost_maps: self.dataplane.has_lost_maps()?,
        })
    }

    /// The guard of every recorded interface.
    ///
    /// # Errors
    /// When state or kernel cannot be read.
    pub fn guards(&self) -> Result<Vec<(String, Guard)>, HostError> {
        let (survey, state) = (self.survey()?, self.state()?);
        let guards = survey.guards(&state);
        Ok(guards.map(|(name, guard)| (name.clone(), guard)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::dataplane::{AttachedHook, HookKind, Link};

    fn interface(name: &str, index: u32) -> Interface {
        Interface {
            index,
            name: name.to_owned(),
            kind: None,
            bus: None,
            link: Link::Ethernet,
            loopback: false,
            controller: None,
            lower: None,
            peer: None,
            peer_namespace: None,
            hardware: Vec::new(),
            lower_elsewhere: None,
            xdp: None,
        }
    }

    #[test]
    fn only_both_hooks_of_the_interface_that_has_the_name_guard_it() {
        let hook = Some(AttachedHook {
            kind: HookKind::Tcx,
            program: 7,
        });
        let whole = Attachment {
            interface: Some(interface("eth0", 2)),
            ingress: hook,
            egress: hook,
            ..Attachment::default()
        };
        let half = Attachment {
            egress: None,
            ..whole.clone()
        };
        let late = Attachment {
            before: vec![Before {
                side: HookSide::Ingress,
                program: 0,
            }],
            ..whole.clone()
        };
        let gone = Attachment::default();
        let (eth0, ens3) = (interface("eth0", 2), interface("ens3", 2));
        let renamed = Attachment {
            interface: Some(ens3.clone()),
            ..whole.clone()
        };
        let of = |attachment: &Attachment, present: &[Interface]| {
            let is_there = present.iter().any(|each| each.name == "eth0");
            Guard::of("eth0", Some(attachment), is_there, false)
        };
        let here = [eth0.clone()];
        assert_eq!(of(&whole, &here), Guard::Whole);
        let missing = HookSide::Egress;
        assert_eq!(of(&half, &here), Guard::Half { missing });
        assert!(matches!(of(&late, &here), Guard::Preempted(_)));
        assert_eq!(of(&gone, &here), Guard::Open);
        assert_eq!(of(&gone, &[]), Guard::Missing);
        assert_eq!(Guard::of("eth0", None, true, false), Guard::Open);
        assert_eq!(
            Guard::of("eth0", Some(&whole), true, true),
            Guard::Unreachable
        );
        // Commands go on to know it by its former name, as long as no other has it.
        assert_eq!(of(&renamed, std::slice::from_ref(&ens3)), Guard::Whole);
        let by_name = "ens3".to_owned();
        assert_eq!(of(&renamed, &[ens3, eth0]), Guard::Replaced { by_name });
    }
}
