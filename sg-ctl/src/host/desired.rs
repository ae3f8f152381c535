//! What each interface should be: by the rules, by the command line, cut off, on trial.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use sg_common::settings::InterfaceSettings;
use sg_policy::compile::{Image, ZonePolicy, compile};
use sg_policy::model::{InterfaceSpec, Model, Side};

use super::settings::settings;
use super::{HostError, by_zone, ssh};
use crate::host::dataplane::{Attachment, Interface};
use crate::host::state::{AttachmentRecord, Overrides, SshPeer, State};

/// What an interface should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Desired {
    /// How it is guarded; its groups are names of groups that exist.
    pub(super) spec: InterfaceSpec,
    /// The client whose way in is kept open, whatever the groups say.
    pub(super) kept: Option<SshPeer>,
}

/// What an interface of the state should be.
///
/// What is cut off carries no group and does not audit. What was never guarded before a change that
/// nobody confirmed carries none, either, where the rules before do not have its groups: it audits.
///
/// # Errors
/// When it carries no group, too many, or one that is not defined.
pub(super) fn desired(
    state: &State,
    name: &str,
    record: &AttachmentRecord,
) -> Result<Desired, HostError> {
    let mut spec = effective(&state.model, name, &record.overrides);
    if record.isolated.is_some() {
        spec.audit = false;
        spec.groups.clear();
    } else if !record.overrides.name_no_group() {
        spec = check_groups(&state.model, name, spec)?;
    }
    Ok(Desired {
        spec,
        kept: record.keep_ssh,
    })
}

impl Desired {
    /// The settings that its programs read; times are jiffies.
    pub(super) fn settings(
        &self,
        ifindex: u32,
        hz: u64,
        pickup_until: u64,
        rollback_at: u64,
    ) -> InterfaceSettings {
        InterfaceSettings {
            rollback_at,
            ..settings(&self.spec, ifindex, hz, pickup_until)
        }
    }
}

/// How an interface would be guarded if it were attached with these rules.
///
/// # Errors
/// When it carries no group, too many, or one that is not defined.
pub fn guarded(
    model: &Model,
    interface: &str,
    overrides: &Overrides,
) -> Result<InterfaceSpec, HostError> {
    check_groups(model, interface, effective(model, interface, overrides))
}

/// How an interface is to be guarded.
pub(super) fn effective(model: &Model, name: &str, overrides: &Overrides) -> InterfaceSpec {
    overrides.over(model.interface(name))
}

/// Checks that an interface can be guarded so; returns the specification with names for ids.
pub(super) fn check_groups(
    model: &Model,
    interface: &str,
    mut spec: InterfaceSpec,
) -> Result<InterfaceSpec, HostError> {
    let interface = || interface.to_owned();
    let mut names = Vec::new();
    for group in &spec.groups {
        let Some(found) = model.group(group) else {
            return Err(HostError::UnknownGroup {
                interface: interface(),
                group: group.clone(),
                defined: model.groups.keys().cloned().collect(),
            });
        };
        if !names.contains(&found.name) {
            names.push(found.name.clone());
        }
    }
    let limit = model.limits.groups_per_interface;
    if names.is_empty() {
        return Err(HostError::NoGroups {
            interface: interface(),
        });
    }
    if names.len() > limit as usize {
        return Err(HostError::TooManyGroups {
            interface: interface(),
            count: names.len(),
            limit,
        });
    }
    spec.groups = names;
    Ok(spec)
}

/// Compiles the policies of everything attached, and of interfaces that are about to be.
pub(super) fn compile_policy<'a>(
    state: &mut State,
    attachments: &'a [Attachment],
    coming: impl IntoIterator<Item = &'a Attachment>,
) -> Result<Image, HostError> {
    let mut numbers = std::mem::take(&mut state.numbers);
    let (model, zones) = zone_policies(state, attachments.iter().chain(coming))?;
    let image = compile(&model, &zones, &mut numbers, state.generation);
    if let Ok(image) = &image {
        let before = state.before.as_ref().map(|before| &before.model);
        numbers.forget_gone(image, before.into_iter().chain([&*model]));
    }
    state.numbers = numbers;
    Ok(image?)
}

/// The groups and addresses of interfaces, and the model with all of these groups: those that keep a
/// way in open are in no rule file.
pub(super) fn zone_policies<'s, 'a>(
    state: &'s State,
    attachments: impl IntoIterator<Item = &'a Attachment>,
) -> Result<(Cow<'s, Model>, Vec<ZonePolicy>), HostError> {
    let mut zones = Vec::new();
    let mut model = Cow::Borrowed(&state.model);
    let mut own: HashMap<u32, BTreeSet<IpAddr>> = HashMap::new();
    for (index, address) in Interface::all_addresses()? {
        own.entry(index).or_default().insert(address);
    }
    let records = by_zone(state);
    for attachment in attachments {
        let Some((name, record)) = records.get(&attachment.zone).copied() else {
            continue;
        };
        let Desired { spec, kept } = desired(state, name, record)?;
        // What a workload's addresses are, its host's interface does not tell: they are stated.
        let mut addresses = match (&attachment.interface, record.side) {
            (Some(interface), Side::Nic) => {
                let own = own.get(&interface.index).into_iter();
                own.flatten().copied().collect()
            }
            (None, Side::Nic) => Vec::new(),
            (_, Side::Workload) => match &record.overrides.addresses {
                Some(addresses) => addresses.iter().copied().collect(),
                None => spec.stated_addresses(),
            },
        };
        addresses.retain(|address| spec.counts(*address));
        let mut groups = spec.groups;
        if let Some(peer) = kept {
            groups.push(ssh::add_keep_group(model.to_mut(), peer));
        }
        zones.push(ZonePolicy {
            zone: record.zone,
            groups,
            addresses,
        });
    }
    Ok((model, zones))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::state::Isolation;
    use sg_policy::model::{GroupId, Hook, SecurityGroup};

    fn state() -> State {
        let mut state = State::default();
        let group = SecurityGroup {
            id: GroupId::derived("web"),
            name: "web".to_owned(),
            description: String::new(),
            tags: [].into(),
            inbound: Vec::new(),
            outbound: Vec::new(),
        };
        state.model.groups.insert("web".to_owned(), group);
        let spec = InterfaceSpec {
            groups: vec!["web".to_owned()],
            ..InterfaceSpec::default()
        };
        state.model.interfaces.insert("eth0".to_owned(), spec);
        state
    }

    /// Every way in which the groups may be named, and audit asked for, and the interface be cut off,
    /// and a way in kept: what it should be.
    #[test]
    fn an_interface_should_be_what_rules_command_line_and_isolation_say() {
        let client = SshPeer {
            client: [203, 0, 113, 1].into(),
            port: 22,
        };
        for (named, groups) in [
            (None, Some(&["web"][..])),
            (Some(&["web"][..]), Some(&["web"][..])),
            (Some(&["gone"][..]), None),
            // What a change that was undone has left.
            (Some(&[][..]), Some(&[][..])),
        ] {
            for audit in [None, Some(false), Some(true)] {
                for isolated in [None, Some(Isolation::default())] {
                    for kept in [None, Some(client)] {
                        let groups_named = named.map(|groups: &[&str]| {
                            groups.iter().map(|group| (*group).to_owned()).collect()
                        });
                        let record = AttachmentRecord {
                            zone: 0,
                            side: Side::Nic,
                            hook: Hook::Auto,
                            overrides: Overrides {
                                groups: groups_named,
                                audit,
                                ..Overrides::default()
                            },
                            by_pattern: false,
                            unconfirmed: false,
                            before: None,
                            rolled_back: false,
                            keep_ssh: kept,
                            isolated,
                        };
                        let found = desired(&state(), "eth0", &record);
                        let (wanted, audits) = match (isolated, groups) {
                            (Some(_), _) => (&[][..], false),
                            (None, Some(groups)) => (groups, audit == Some(true)),
                            (None, None) => {
                                assert!(matches!(found, Err(HostError::UnknownGroup { .. })));
                                continue;
                            }
                        };
                        let found = found.expect("its groups are known");
                        assert_eq!(found.spec.groups, wanted, "{record:?}");
                        assert_eq!(found.spec.audit, audits, "{record:?}");
                        assert_eq!(found.kept, kept);
                    }
                }
            }
        }
    }
}
