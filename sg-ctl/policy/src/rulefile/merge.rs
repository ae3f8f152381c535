//! All documents together: one model.

use std::collections::{BTreeMap, HashMap, HashSet};

use ipnet::IpNet;

use super::decode::{Entries, Field, Located};
use super::error::Problems;
use super::groups::Groups;
use super::lists::Lists;
use super::members::MemberSet;
use super::peer::AddressText;
use super::scalar::{Bool, Switch, SwitchOrAuto};
use super::syntax::{self, Document};
use super::{names, quota, warnings};
use crate::model::{Addresses, Infrastructure, InterfaceSpec, Limits, Model, Timeouts};

/// Named entries of one section, gathered from all documents; `None` for values that were refused.
pub(super) type Section<T> = Vec<(Located<String>, Option<T>)>;

/// The files that define things, by the names of these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// Files of security groups.
    pub groups: BTreeMap<String, String>,
    /// Files of prefix lists.
    pub prefix_lists: BTreeMap<String, String>,
    /// Files of interfaces, and of patterns of interfaces; of `HOST/INTERFACE`, too.
    pub interfaces: BTreeMap<String, String>,
}

/// The files of the entries of a section.
fn origins<T>(section: &Section<T>, problems: &Problems<'_>) -> BTreeMap<String, String> {
    let entries = section.iter();
    entries
        .map(|(name, _)| {
            let file = problems.file(&name.at).to_owned();
            (name.value.trim_end().to_owned(), file)
        })
        .collect()
}

/// Builds the model; what is wrong is reported, and the result then worthless.
pub(super) fn model(documents: Vec<Document>, problems: &mut Problems<'_>) -> (Model, Origins) {
    let mut groups = Vec::new();
    let mut lists = Vec::new();
    let mut members = Vec::new();
    let mut interfaces = Vec::new();
    let mut hosts = Vec::new();
    let mut limits: Option<Located<syntax::Limits>> = None;
    for document in documents {
        gather(&mut groups, document.security_groups);
        gather(&mut lists, document.prefix_lists);
        gather(&mut members, document.members);
        gather(&mut interfaces, document.interfaces);
        gather(&mut hosts, document.hosts);
        match (&limits, document.limits.into_given()) {
            (Some(earlier), Some(later)) => {
                let help = format!(
                    "state them once; they are also in {}",
                    problems.place(&earlier.at)
                );
                problems.error(&later.at, "limits are stated twice", help);
            }
            (None, later) => limits = later,
            (Some(_), None) => {}
        }
    }
    let limits = quota::limits(limits.as_ref(), problems);
    // AWS N6: names of groups differ in more than case, and spaces at their end do not count.
    let groups = distinct(
        "group",
        groups,
        |name| name.trim_end().to_lowercase(),
        problems,
    );
    let lists = distinct(
        "prefix list",
        lists,
        |name| name.trim_end().to_owned(),
        problems,
    );
    let interfaces = distinct("interface", interfaces, str::to_owned, problems);
    let hosts = distinct("interface", hosts, str::to_owned, problems);
    if let (Some((one, _)), Some((many, _))) = (interfaces.first(), hosts.first()) {
        let help = format!(
            "the rules of one host have `interfaces`, those of a VPC have `hosts`: keep one of them; \
             `interfaces` is in {}",
            problems.place(&one.at)
        );
        problems.error(&many.at, "`hosts` stands beside `interfaces`", help);
    }

    let origins = Origins {
        groups: origins(&groups, problems),
        prefix_lists: origins(&lists, problems),
        interfaces: origins(&interfaces, problems)
            .into_iter()
            .chain(origins(&hosts, problems))
            .collect(),
    };
    let lists = Lists::new(lists, &limits, problems);
    let groups = Groups::new(groups, &lists, problems);
    quota::check_rules(&groups, &lists, &limits, problems);
    let members = resolve_members(members, &groups, problems);
    let interfaces = interfaces
        .into_iter()
        .map(|(name, keys)| {
            let keys = keys.map_or_else(Default::default, |keys| keys.value);
            let spec = interface(keys, &groups, &limits, problems);
            (names::interface_name(name, problems), spec)
        })
        .collect();
    let hosts = hosts
        .into_iter()
        .filter_map(|(name, keys)| {
            let keys = keys.map_or_else(Default::default, |keys| keys.value);
            let spec = interface(keys, &groups, &limits, problems);
            Some((names::host_pattern(&name, problems)?, spec))
        })
        .collect();
    let Groups {
        by_name,
        places,
        peer_places,
        ..
    } = groups;
    let model = Model {
        groups: by_name.into(),
        prefix_lists: lists.0,
        members,
        interfaces,
        hosts,
        limits,
    };
    warnings::report(&model, &places, &peer_places, problems);
    (model, origins)
}

fn gather<T>(section: &mut Section<T>, entries: Field<Entries<T>>) {
    section.extend(
        entries
            .into_given()
            .into_iter()
            .flat_map(|entries| entries.0),
    );
}

/// The entries whose names differ, `identity` deciding what is the same; reports the others.
fn distinct<T>(
    what: &str,
    section: Section<T>,
    identity: impl Fn(&str) -> String,
    problems: &mut Problems<'_>,
) -> Section<T> {
    let mut first: HashMap<String, Located<String>> = HashMap::new();
    let mut kept = Vec::with_capacity(section.len());
    for (name, value) in section {
        if let Some(earlier) = first.get(&identity(&name.value)) {
            let message = format!("the {what} `{}` is defined twice", name.value);
            let help = format!(
                "`{}` is already defined in {}: remove or rename one of them",
                earlier.value,
                problems.place(&earlier.at),
            );
            problems.error(&name.at, message, help);
        } else {
            first.insert(identity(&name.value), name.clone());
            kept.push((name, value));
        }
    }
    kept
}

/// Members by the names of their groups.
fn resolve_members(
    written: Section<MemberSet>,
    groups: &Groups,
    problems: &mut Problems<'_>,
) -> BTreeMap<String, Addresses> {
    let resolved = written
        .into_iter()
        .filter_map(|(name, addresses)| {
            let group = groups.resolve(&name.value, &name.at, problems)?;
            Some((
                Located {
                    value: group,
                    at: name.at,
                },
                addresses,
            ))
        })
        .collect();
    distinct("member list of", resolved, str::to_owned, problems)
        .into_iter()
        .filter_map(|(group, set)| Some((group.value, set?.0.into())))
        .collect()
}

/// How one interface is guarded.
fn interface(
    keys: syntax::Interface,
    groups: &Groups,
    limits: &Limits,
    problems: &mut Problems<'_>,
) -> InterfaceSpec {
    let defaults = InterfaceSpec::default();
    InterfaceSpec {
        groups: match keys.groups {
            Field::Given(names) => carried(names, groups, limits, problems),
            Field::Absent | Field::Refused => defaults.groups,
        },
        addresses: addresses(keys.addresses, problems),
        side: keys.side.into_given().unwrap_or_default(),
        hook: keys.hook.into_given().unwrap_or_default(),
        audit: keys.audit.given().is_some_and(|Bool(audit)| *audit),
        log: keys.log.into_given().unwrap_or_default(),
        log_limit: keys
            .log_limit
            .given()
            .map_or(defaults.log_limit, |limit| limit.0),
        related: keys.related.into_given().unwrap_or_default(),
        tcp_pickup: keys.tcp_pickup.into_given().unwrap_or_default(),
        infrastructure: infrastructure(&keys.infra.into_given().unwrap_or_default()),
        timeouts: timeouts(&keys.timeouts.into_given().unwrap_or_default()),
        flow_share: quota::flow_share(keys.flow_share.given(), limits, problems),
    }
}

/// Where the addresses of an interface lie.
fn addresses(written: Field<Vec<Located<AddressText>>>, problems: &mut Problems<'_>) -> Vec<IpNet> {
    let mut nets = Vec::new();
    for Located { value, at } in written.into_given().into_iter().flatten() {
        let AddressText(net) = value;
        if nets.contains(&net) {
            problems.error(&at, format!("{net} is listed twice"), "keep one of them");
        } else {
            nets.push(net);
        }
    }
    nets
}

/// The groups that an interface carries.
fn carried(
    written: Located<Vec<Located<super::scalar::Text>>>,
    groups: &Groups,
    limits: &Limits,
    problems: &mut Problems<'_>,
) -> Vec<String> {
    let Located { value: written, at } = written;
    if written.is_empty() {
        let help =
            "name a group; one without rules, `NAME: {inbound: [], outbound: []}`, allows nothing";
        problems.error(&at, "an interface carries at least one group", help);
    }
    let limit = limits.groups_per_interface as usize;
    if let Some(exceeding) = written.get(limit) {
        let message = format!(
            "{} groups are more than the limit of {limit}",
            written.len()
        );
        let help = "merge groups, or raise `limits: {groups_per_interface: …}`";
        problems.error(&exceeding.at, message, help);
    }
    let mut names = Vec::with_capacity(written.len());
    let mut seen = HashSet::new();
    for Located { value, at } in written {
        let Some(name) = groups.resolve(&value.0, &at, problems) else {
            continue;
        };
        if !seen.insert(name.clone()) {
            problems.error(
                &at,
                format!("the group `{name}` is named twice"),
                "name it once",
            );
            continue;
        }
        names.push(name);
    }
    names
}

fn infrastructure(keys: &syntax::Infrastructure) -> Infrastructure {
    let defaults = Infrastructure::default();
    let or = |key: &Field<Switch>, default| key.given().map_or(default, |Switch(on)| *on);
    Infrastructure {
        arp: or(&keys.arp, defaults.arp),
        non_ip: or(&keys.non_ip, defaults.non_ip),
        nd: or(&keys.nd, defaults.nd),
        mld: or(&keys.mld, defaults.mld),
        igmp: or(&keys.igmp, defaults.igmp),
        dhcp4: or(&keys.dhcp4, defaults.dhcp4),
        dhcp6: or(&keys.dhcp6, defaults.dhcp6),
        ec2: keys
            .ec2
            .given()
            .map_or(defaults.ec2, |SwitchOrAuto(on)| *on),
    }
}

fn timeouts(keys: &syntax::Timeouts) -> Timeouts {
    let defaults = Timeouts::default();
    Timeouts {
        tcp_established: keys.tcp_established.seconds_or(defaults.tcp_established),
        tcp_half_open: keys.tcp_half_open.seconds_or(defaults.tcp_half_open),
        tcp_half_closed: keys.tcp_half_closed.seconds_or(defaults.tcp_half_closed),
        tcp_closing: keys.tcp_closing.seconds_or(defaults.tcp_closing),
        udp: keys.udp.seconds_or(defaults.udp),
        udp_stream: keys.udp_stream.seconds_or(defaults.udp_stream),
        icmp: keys.icmp.seconds_or(defaults.icmp),
        other: keys.other.seconds_or(defaults.other),
    }
}
