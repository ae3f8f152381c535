//! Links of others that are made of this host's interfaces: macvlan, ipvlan, their taps, VLANs. The
//! connections of containers and guests pass there, and no socket of this host shows them.

use std::fs::File;
use std::net::IpAddr;

use super::existing::{Known, Surroundings};
use super::topology::Topology;
use crate::host::dataplane::{AttachPlan, HookKind, Interface, in_others, number_of, routes};
use sg_policy::model::Side;

/// Links that are named one by one.
const NAMED: usize = 8;

/// A link that somebody else has, of an interface here.
#[derive(Clone, Debug, Default)]
struct Upper {
    /// Index of that interface.
    lower: u32,
    name: String,
    kind: String,
    hardware: Vec<u8>,
    /// What leads to its network namespace; none for a guest's tap here.
    namespace: Option<String>,
    addresses: Vec<IpAddr>,
    /// How many live connections pass it; none where only a guest knows.
    connections: Option<usize>,
}

/// All of them, and the hardware addresses that tell of more.
#[derive(Debug, Default)]
pub(super) struct Uppers {
    all: Vec<Upper>,
    /// Received by the interface of an index, and used by nobody in sight.
    strangers: Vec<(Vec<u8>, u32)>,
}

impl Uppers {
    /// Looks into every network namespace that may be entered. `present` are the interfaces here.
    pub(super) fn read(present: &[Interface]) -> Self {
        let elsewhere = in_others(of_this_namespace).into_iter();
        let named = elsewhere.flat_map(|(namespace, found)| {
            found.into_iter().map(move |upper| Upper {
                namespace: Some(namespace.clone()),
                ..upper
            })
        });
        let taps = present.iter().filter_map(tap);
        let all: Vec<_> = taps.chain(named).collect();
        // A driver that does not tell what it receives tells of no stranger.
        let mut strangers = routes::received().unwrap_or_default();
        strangers.retain(|(hardware, index)| {
            let is_here = present.iter().any(|each| each.hardware == *hardware);
            let is_port = |each: &Interface| each.index == *index && each.controller.is_some();
            let is_known = all.iter().any(|each| each.hardware == *hardware);
            !is_here && !is_known && !present.iter().any(is_port)
        });
        Self { all, strangers }
    }

    /// What is to be said of those whose frames pass an interface.
    pub(super) fn notes(&self, interface: &Interface, host: &Topology) -> Vec<String> {
        let passing = |upper: &&Upper| host.carries(upper.lower);
        let mut notes: Vec<_> = self
            .all
            .iter()
            .filter(passing)
            .take(NAMED)
            .map(|upper| upper.note(&interface.name))
            .collect();
        let more = self.all.iter().filter(passing).count() - notes.len();
        if more > 0 {
            notes.push(format!(
                "warning: {} carries {more} more such links: `ip -all netns exec ip -d link` lists them",
                interface.name
            ));
        }
        let strangers = self
            .strangers
            .iter()
            .filter(|(_, index)| host.carries(*index));
        notes.extend(strangers.map(|(hardware, _)| {
            format!(
                "warning: {} receives frames for {} as well, of a link that could not be seen, perhaps a \
                 macvlan of a container: its connections go on only where a rule admits them",
                interface.name,
                colons(hardware)
            )
        }));
        notes
    }
}

impl Upper {
    fn note(&self, carrier: &str) -> String {
        let Self { name, kind, .. } = self;
        let place = match &self.namespace {
            Some(namespace) => format!("of the network namespace {namespace}"),
            None => "of a guest".to_owned(),
        };
        let addresses: Vec<_> = self.addresses.iter().map(IpAddr::to_string).collect();
        let whose = match &addresses[..] {
            [] => String::new(),
            some => format!(", with {}", some.join(", ")),
        };
        let what = format!("{carrier} carries {name} ({kind}) {place}{whose}");
        match self.connections {
            Some(0) => format!("{what}: {carrier}'s rules hold for it, too"),
            Some(count) => format!(
                "warning: {what}: {carrier}'s rules hold for it, too, and its live connections ({count}), \
                 which no socket of this host shows, go on only where a rule admits them"
            ),
            None => format!(
                "warning: {what}: {carrier}'s rules hold for it, too, and its live connections, which \
                 only the guest knows, go on only where a rule admits them"
            ),
        }
    }
}

/// Tells of tags that XDP does not see.
pub(super) fn stripped_note(plan: &AttachPlan, ingress: HookKind) -> Option<String> {
    let vlan = plan.stripped.as_ref()?;
    let name = &plan.interface.name;
    let is_xdp = matches!(ingress, HookKind::XdpNative | HookKind::XdpGeneric);
    is_xdp.then(|| {
        format!(
            "{name}'s driver takes VLAN tags off what it receives, before XDP sees it: packets of {vlan} \
             are judged as untagged ones, and answers to them do not pass as such; use --hook auto or \
             tc, or switch it off: ethtool -K {name} rxvlan off"
        )
    })
}

/// The link of a guest that a program here serves.
fn tap(interface: &Interface) -> Option<Upper> {
    let kind = interface.kind.as_deref()?;
    matches!(kind, "macvtap" | "ipvtap").then_some(())?;
    Some(Upper {
        lower: interface.lower?.index,
        name: interface.name.clone(),
        kind: kind.to_owned(),
        hardware: interface.hardware.clone(),
        ..Upper::default()
    })
}

/// The links of the network namespace that this thread has entered which are made of an interface of
/// `this` one.
fn of_this_namespace(this: &File) -> Vec<Upper> {
    let present = Interface::all().unwrap_or_default();
    let mut found: Vec<_> = present
        .into_iter()
        .filter(|each| each.lower_elsewhere.is_some())
        .collect();
    if found.is_empty() {
        return Vec::new();
    }
    // Listing links has given the namespace a number here, if it had none.
    let number = number_of(this).ok().flatten();
    found.retain(|each| each.lower_elsewhere.map(|(namespace, _)| namespace) == number);
    found.iter().filter_map(upper).collect()
}

fn upper(interface: &Interface) -> Option<Upper> {
    let kind = interface.kind.clone()?;
    let is_tap = matches!(kind.as_str(), "macvtap" | "ipvtap");
    Some(Upper {
        lower: interface.lower_elsewhere?.1,
        name: interface.name.clone(),
        hardware: interface.hardware.clone(),
        namespace: None,
        addresses: addresses(interface),
        connections: if is_tap { None } else { connections(interface) },
        kind,
    })
}

/// The addresses by which an interface is known beyond its link.
fn addresses(interface: &Interface) -> Vec<IpAddr> {
    let mut all = interface.addresses().unwrap_or_default();
    all.retain(|each| !matches!(each, IpAddr::V6(v6) if v6.is_unicast_link_local()));
    all
}

/// How many connections of this thread's network namespace pass an interface of it.
fn connections(interface: &Interface) -> Option<usize> {
    let topology = Surroundings::read().ok()?.seen_from(interface.index);
    let known = Known::read();
    let passing = known
        .connections
        .iter()
        .flat_map(|each| topology.seen(Side::Nic, each, |_| false));
    let mut ends: Vec<_> = passing
        .map(|each| (each.protocol, each.local, each.remote))
        .collect();
    ends.sort_unstable();
    ends.dedup();
    Some(ends.len())
}

fn colons(hardware: &[u8]) -> String {
    let bytes: Vec<_> = hardware.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(":")
}
