//! An independent judge of packets: `docs/semantics.md`, evaluated as plainly as possible.
//!
//! It loops over rules, compares addresses with nets one by one and keeps flows in a map. It shares
//! nothing with the compiler and the programs but names, so where both say the same, either both
//! are right or two people made one mistake twice.

mod decode;
mod flows;
mod frames;
mod infra;
pub mod packet;
mod related;
mod rules;
mod segments;

use std::{collections::HashMap, net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};
use sg_common::{
    flow::Direction,
    reason::{Reason, Verdict},
};
use sg_policy::model::{GroupId, InterfaceSpec, Model, RuleId, TcpPickup};

pub use decode::decode;
pub use flows::{Detail, Flow, FlowId, State};
use frames::{Place, Seen};
use packet::{Content, Ip, Packet, TCP, Upper};
pub use rules::{Admitted, Wanted, ask};

/// Seconds after attach for which an interface picks connections up, if it is so set.
const PICKUP: Duration = Duration::from_mins(2);
/// How long later fragments find their first one.
const DATAGRAM: Duration = Duration::from_mins(1);

/// What one guarded interface of a host is judged by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Groups, prefix lists and members elsewhere.
    pub model: Model,
    /// The interface, with the groups that it carries.
    pub interface: InterfaceSpec,
    /// Addresses of its protected side.
    pub addresses: Vec<IpAddr>,
    /// Other guarded interfaces: the groups that they carry, and their addresses.
    pub others: Vec<(Vec<String>, Vec<IpAddr>)>,
    /// Whether the interface has a policy: it has none between attach and the first `apply`.
    pub has_policy: bool,
}

/// A rule, by the ids of its group and its own.
pub type RuleName = (GroupId, RuleId);

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Whether it goes on.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// The deciding rule.
    pub rule: Option<RuleName>,
}

/// A reason and the rule behind it.
type Decision = (Reason, Option<RuleName>);

/// What names a fragmented datagram: VLAN ids, direction, source, destination, identification, and
/// for IPv4 the protocol.
type DatagramId = ([u16; 2], Direction, IpAddr, IpAddr, u32, Option<u8>);

/// What keeps new flows from being opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Room {
    /// Nothing.
    #[default]
    Free,
    /// Live flows of others hold the whole table, and take every slot of this interface's flows
    /// that a new flow may take.
    Taken,
}

/// The judge of one interface, with everything that it remembers.
#[derive(Debug)]
pub struct Oracle {
    host: Host,
    /// Time since the interface was attached.
    now: Duration,
    flows: HashMap<FlowId, Flow>,
    room: Room,
    /// When the latest first fragment passed, and by which rule.
    datagrams: HashMap<DatagramId, (Duration, Option<RuleName>)>,
}

/// One packet on its way, with what can be read of it.
#[derive(Clone, Copy)]
struct OnTheWay<'a> {
    direction: Direction,
    vlan: [u16; 2],
    ip: &'a Ip,
    seen: Seen,
}

impl OnTheWay<'_> {
    fn local(&self) -> IpAddr {
        match self.direction {
            Direction::Inbound => self.ip.destination,
            Direction::Outbound => self.ip.source,
        }
    }

    fn remote(&self) -> IpAddr {
        match self.direction {
            Direction::Inbound => self.ip.source,
            Direction::Outbound => self.ip.destination,
        }
    }

    /// Whether it is a segment that opens a connection.
    fn opens_connection(&self) -> bool {
        matches!(self.ip.upper, Upper::Tcp { flags, .. } if flows::opens_connection(flags))
    }
}

impl Oracle {
    /// The judge of an interface that is attached at this moment.
    pub fn new(host: &Host) -> Self {
        Self {
            host: host.clone(),
            now: Duration::ZERO,
            flows: HashMap::new(),
            room: Room::Free,
            datagrams: HashMap::new(),
        }
    }

    /// Takes other rules, groups, members or settings from now on. Longer timeouts do not bring back
    /// what is forgotten.
    pub fn set_host(&mut self, host: &Host) {
        let (now, timeouts) = (self.now, &self.host.interface.timeouts);
        self.flows
            .retain(|_, flow| now <= flow.seen + flow.timeout(timeouts));
        self.host = host.clone();
    }

    /// Learns that there is no room for new flows from now on, or that there is again.
    pub fn set_room(&mut self, room: Room) {
        self.room = room;
    }

    /// Lets time pass.
    pub fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    /// The flows that are alive.
    pub fn flows(&self) -> impl Iterator<Item = (&FlowId, &Flow)> {
        self.flows.iter().filter(|(_, flow)| self.is_alive(flow))
    }

    /// Judges a frame of so many bytes.
    pub fn judge(&mut self, direction: Direction, packet: &Packet, bytes: u64) -> Judgement {
        if self.room == Room::Taken {
            let (now, timeouts) = (self.now, &self.host.interface.timeouts);
            self.flows.retain(|_, flow| {
                now <= flow.seen + flow.timeout(timeouts) && !flow.may_be_replaced()
            });
        }
        let (reason, rule) = self.decide(direction, packet, bytes);
        let verdict = if self.host.interface.audit {
            Verdict::Pass
        } else {
            reason.verdict()
        };
        Judgement {
            verdict,
            reason,
            rule,
        }
    }

    fn decide(&mut self, direction: Direction, packet: &Packet, bytes: u64) -> Decision {
        let seen = match frames::read(packet) {
            Ok(seen) => seen,
            Err(reason) => return (reason, None),
        };
        let on = self.host.interface.infrastructure;
        let switched = |is_on, reason| (if is_on { reason } else { Reason::NoRule }, None);
        let ip = match &packet.content {
            Content::Arp => return switched(on.arp, Reason::InfraArp),
            Content::Other(_) => return switched(on.non_ip, Reason::InfraNonIp),
            Content::Ip(ip) => ip,
        };
        let tag = |depth: usize| packet.tags.get(depth).copied().unwrap_or(0);
        let packet = OnTheWay {
            direction,
            vlan: [tag(0), tag(1)],
            ip,
            seen,
        };
        let (reason, rule) = self.decide_ip(&packet, bytes);
        if seen.place == Place::First && reason.verdict() == Verdict::Pass {
            let datagram = datagram_id(&packet);
            self.datagrams.insert(datagram, (self.now, rule.clone()));
        }
        (reason, rule)
    }

    fn decide_ip(&mut self, packet: &OnTheWay<'_>, bytes: u64) -> Decision {
        if let Some(reason) = infra::kind(packet, self.host.interface.infrastructure) {
            return (reason, None);
        }
        if packet.seen.place == Place::Later {
            return self.decide_later_fragment(packet);
        }
        let id = flows::id(packet);
        let live = id.as_ref().and_then(|id| self.flows.get(id));
        let live = live.filter(|flow| self.is_alive(flow));
        let asks_anew = |flow: &Flow| packet.opens_connection() && !flow.is_in_handshake();
        let keeps = live.is_some_and(|flow| asks_anew(flow) && !flow.is_over());
        if let Some(id) = &id
            && let Some(flow) = live
            && !asks_anew(flow)
        {
            let rule = flow.rule.clone();
            let now = self.now;
            let flow = self.flows.get_mut(id).expect("it was just there");
            flow.take(packet, now, bytes);
            return (Reason::Established, Some(rule));
        }
        if let Some(rule) = self.related(packet) {
            return (Reason::Related, Some(rule));
        }
        if !self.host.has_policy {
            return (Reason::NoPolicy, None);
        }
        let Some(admitted) = rules::admitted(&self.host, packet) else {
            return match rules::refused(&self.host, packet) {
                Some(rule) => (Reason::MidStream, Some(rule)),
                None => (Reason::NoRule, None),
            };
        };
        match admitted {
            Admitted::Untracked(rule) => (Reason::Untracked, Some(rule)),
            Admitted::UntrackedReply(rule) => (Reason::UntrackedReply, Some(rule)),
            Admitted::Tracked(rule) if keeps => (Reason::MidStream, Some(rule)),
            Admitted::Tracked(rule) => (self.track(packet, id, &rule, bytes), Some(rule)),
        }
    }

    fn decide_later_fragment(&self, packet: &OnTheWay<'_>) -> Decision {
        if let Some((since, rule)) = self.datagrams.get(&datagram_id(packet))
            && self.now <= *since + DATAGRAM
        {
            return (Reason::Fragment, rule.clone());
        }
        if !self.host.has_policy {
            return (Reason::NoPolicy, None);
        }
        // The numbers of extension headers.
        let begins_with_header = matches!(packet.seen.protocol, 0 | 43 | 44 | 51 | 60 | 135);
        let wanted = if packet.ip.source.is_ipv6() && begins_with_header {
            Wanted::Everything
        } else {
            Wanted::WholeProtocol(packet.seen.protocol)
        };
        let mut rules = rules::matching(&self.host, packet.direction, packet.remote(), wanted);
        match rules.next() {
            Some(rule) => (Reason::Fragment, Some(rule.name())),
            None => (Reason::FragmentUnknown, None),
        }
    }

    /// Opens a flow for a packet that a rule admits, if packets of its kind do so.
    fn track(
        &mut self,
        packet: &OnTheWay<'_>,
        id: Option<FlowId>,
        rule: &RuleName,
        bytes: u64,
    ) -> Reason {
        let picks_up = match self.host.interface.tcp_pickup {
            TcpPickup::Attach => self.now <= PICKUP,
            TcpPickup::Always => true,
            TcpPickup::Never => false,
        };
        let state = flows::first_state(packet, picks_up);
        match (id, state) {
            // A flow that begins anew keeps its place.
            (Some(id), Some(_)) if self.room == Room::Taken && !self.flows.contains_key(&id) => {
                Reason::FlowTableFull
            }
            (Some(id), Some(state)) => {
                let flow = Flow::open(packet, state, rule.clone(), self.now, bytes);
                self.flows.insert(id, flow);
                Reason::New
            }
            _ if packet.seen.protocol == TCP => Reason::MidStream,
            _ => Reason::Stateless,
        }
    }

    fn is_alive(&self, flow: &Flow) -> bool {
        self.now <= flow.seen + flow.timeout(&self.host.interface.timeouts)
    }
}

fn datagram_id(packet: &OnTheWay<'_>) -> DatagramId {
    let ip = packet.ip;
    let protocol = ip.source.is_ipv4().then_some(packet.seen.protocol);
    (
        packet.vlan,
        packet.direction,
        ip.source,
        ip.destination,
        packet.seen.id,
        protocol,
    )
}
