//! The pipeline: what happens to one frame, the same on every hook, in the kernel and on the host.
//!
//! ```text
//! parse → infrastructure → fragment → flow → related → classify → track → account → log
//! ```
//!
//! A packet of a live flow leaves after the flow look-up; everything behind it is the slow path, a
//! function of its own so that it costs the fast path neither stack nor registers.

use crate::addr::Addr;
use crate::event::{EVENT_AUDITED, Event};
use crate::flow::{
    Direction, FLOW_OPENED_OUTBOUND, FRAGMENT_SECONDS, FlowEntry, FlowKey, FlowState,
    FragmentEntry, FragmentKey,
};
use crate::icmp::{self, Query};
use crate::outcome::Outcome;
use crate::packet::Packet;
use crate::parse::{self, Fragment, Parsed, Payload};
use crate::policy::{NO_REPLY, Question};
use crate::proto::{ICMP, ICMPV6, TCP, UDP};
use crate::reason::{Reason, Verdict};
use crate::service;
use crate::settings::{
    INFRA_ARP, INFRA_DHCP4, INFRA_DHCP6, INFRA_EC2, INFRA_MLD, INFRA_ND, INFRA_NON_IP,
    LOG_UNTRACKED_SYN, MODE_AUDIT, PICKUP_ALWAYS, PICKUP_NEVER,
};
use crate::tcp::{self, Step};

/// Settings of the interface, see [`InterfaceSettings`](crate::settings::InterfaceSettings).
pub trait Settings {
    /// Idle timeout of a state, in jiffies.
    fn timeout(&self, state: FlowState) -> u64;
    /// Bits of the reasons that are logged.
    fn log_reasons(&self) -> u64;
    /// Jiffies until which segments without an entry open a flow.
    fn pickup_until(&self) -> u64;
    /// Jiffies after which the interface only audits, 0 = never.
    fn audit_after(&self) -> u64;
    /// `INFRA_…` bits.
    fn infra(&self) -> u32;
    /// Interface index.
    fn ifindex(&self) -> u32;
    /// `MODE_…`.
    fn mode(&self) -> u8;
    /// `RELATED_…`.
    fn related(&self) -> u8;
    /// `PICKUP_…`.
    fn tcp_pickup(&self) -> u8;
}

/// A live entry of the flow table, shared with other CPUs.
pub trait Flow {
    /// Jiffies of the latest packet.
    fn last_seen(&self) -> u64;
    /// State.
    fn state(&self) -> FlowState;
    /// `FLOW_…` bits.
    fn flags(&self) -> u8;
    /// Number of the rule that admitted the flow.
    fn rule(&self) -> u32;
    /// Counts a frame of the opener (`side` 0) or the answering side (1), seen at `now`.
    fn account(&self, side: usize, now: u64, packets: u32, bytes: u32);
    /// Stores a new state.
    fn advance(&self, step: Step);
}

/// The tables and the clock that a frame is judged with.
pub trait Datapath {
    /// An entry of the flow table.
    type Flow: Flow;
    /// Settings of the interface.
    type Settings: Settings;

    /// Zone of the interface.
    fn zone(&self) -> u32;
    /// Which way the frames of this hook go.
    fn direction(&self) -> Direction;
    /// Settings of the interface.
    fn settings(&self) -> &Self::Settings;
    /// Jiffies.
    fn now(&self) -> u64;
    /// Jiffies per second.
    fn hz(&self) -> u64;
    /// Asks the policy in force, see [`policy::answer`](crate::policy::answer).
    fn ask(&self, question: &Question) -> Outcome;
    /// The entry of a flow, live or expired.
    fn flow(&self, key: &FlowKey) -> Option<Self::Flow>;
    /// Creates the entry of a flow, or replaces one that is over.
    ///
    /// # Errors
    /// The drop reason when there is no slot for it.
    fn open_flow(&self, key: &FlowKey, entry: &FlowEntry) -> Result<(), Reason>;
    /// What the first fragment of a datagram left.
    fn fragment(&self, key: &FragmentKey) -> Option<FragmentEntry>;
    /// Leaves something for the later fragments of a datagram.
    fn remember_fragment(&self, key: &FragmentKey, entry: &FragmentEntry);
    /// Counts a verdict.
    fn count(&self, outcome: Outcome, audited: bool, packets: u32, bytes: u32);
    /// Reports a verdict; fills in the time.
    fn log(&self, event: &Event);
}

/// The two ends of a packet as the protected side sees them.
#[derive(Clone, Copy)]
struct Ends {
    local: Addr,
    remote: Addr,
    local_port: u16,
    remote_port: u16,
}

impl Ends {
    #[inline(always)]
    const fn of(parsed: &Parsed, direction: Direction) -> Self {
        match direction {
            Direction::Inbound => Self {
                local: parsed.dst,
                remote: parsed.src,
                local_port: parsed.dst_port,
                remote_port: parsed.src_port,
            },
            Direction::Outbound => Self {
                local: parsed.src,
                remote: parsed.dst,
                local_port: parsed.src_port,
                remote_port: parsed.dst_port,
            },
        }
    }
}

/// Judges a frame, accounts for it and reports it. Returns what to do with it.
#[inline(always)]
pub fn run<P: Packet, D: Datapath>(packet: &P, datapath: &D) -> Verdict {
    let infra = datapath.settings().infra();
    let mut parsed = Parsed::NOTHING;
    let outcome = match parse::frame(packet, &mut parsed) {
        Ok(Payload::Ip) => judge(packet, datapath, &parsed),
        Ok(Payload::Arp) => switched(infra & INFRA_ARP, Reason::InfraArp),
        Ok(Payload::NonIp) => switched(infra & INFRA_NON_IP, Reason::InfraNonIp),
        Err(reason) => Outcome::new(reason, 0),
    };
    if parsed.fragment == Fragment::First && outcome.is_pass() {
        first_fragment(datapath, &parsed, outcome.rule());
    }
    finish(packet, datapath, &parsed, outcome)
}

#[inline(always)]
const fn switched(on: u32, reason: Reason) -> Outcome {
    Outcome::new(if on == 0 { Reason::NoRule } else { reason }, 0)
}

/// The verdict on an IP packet.
#[inline(always)]
fn judge<P: Packet, D: Datapath>(packet: &P, datapath: &D, parsed: &Parsed) -> Outcome {
    let direction = datapath.direction();
    if let Some(reason) = infrastructure(datapath.settings().infra(), parsed, direction) {
        return Outcome::new(reason, 0);
    }
    if parsed.fragment == Fragment::Later {
        return later_fragment(datapath, parsed);
    }
    let key = flow_key(datapath.zone(), parsed, direction);
    if let Some(flow) = live_flow(datapath, &key) {
        let is_new = parsed.protocol == TCP
            && tcp::is_opening(parsed.tcp_flags)
            && tcp::is_over(flow.state());
        if !is_new {
            refresh(packet, datapath, parsed, &flow);
            return Outcome::new(Reason::Established, flow.rule());
        }
    }
    new_traffic(packet, datapath, parsed, &key)
}

/// Traffic that security groups never filter (AWS: ARP, DHCP, the link-local services; ND and MLD
/// as their IPv6 counterparts), as far as it is switched on.
#[inline(always)]
fn infrastructure(infra: u32, parsed: &Parsed, direction: Direction) -> Option<Reason> {
    match parsed.protocol {
        ICMPV6 if !parsed.dst.is_ipv4() => {
            if infra & INFRA_ND != 0
                && parsed.hop_limit == 255
                && icmp::is_neighbour_discovery(ICMPV6, parsed.icmp_type)
            {
                return Some(Reason::InfraNd);
            }
            if infra & INFRA_MLD != 0
                && parsed.hop_limit == 1
                && icmp::is_listener_discovery(ICMPV6, parsed.icmp_type)
            {
                return Some(Reason::InfraMld);
            }
            None
        }
        UDP | TCP => {
            let ends = Ends::of(parsed, direction);
            let ipv4 = ends.remote.is_ipv4();
            match (parsed.protocol, ends.local_port, ends.remote_port) {
                (UDP, 68, 67) if ipv4 && infra & INFRA_DHCP4 != 0 => Some(Reason::InfraDhcp4),
                (UDP, 546, 547)
                    if infra & INFRA_DHCP6 != 0
                        && ends.local.is_ipv6_link_local()
                        && (ends.remote.is_ipv6_link_local()
                            || ends.remote.is_ipv6_multicast()) =>
                {
                    Some(Reason::InfraDhcp6)
                }
                _ if infra & INFRA_EC2 != 0
                    && is_ec2_service(&ends.remote, parsed.protocol, ends.remote_port) =>
                {
                    Some(Reason::InfraEc2)
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// The link-local services of EC2, in 169.254.0.0/16 and `fd00:ec2::/112`.
#[inline(always)]
fn is_ec2_service(remote: &Addr, protocol: u8, port: u16) -> bool {
    let (high, low) = remote.halves();
    let ipv4 = high == 0 && low >> 16 == 0xffff_a9fe; // 169.254.0.0/16
    let ipv6 = high == 0xfd00_0ec2_0000_0000 && low >> 16 == 0; // fd00:ec2::/112
    if !ipv4 && !ipv6 {
        return false;
    }
    let host = low as u16;
    match (protocol, port) {
        // Resolver.
        (UDP | TCP, 53) => host == if ipv4 { 0xa9fd } else { 0x0253 },
        // Instance metadata; ECS task metadata and EKS pod identity.
        (TCP, 80) if ipv4 => matches!(host, 0xa9fe | 0xaa02 | 0xaa17),
        (TCP, 80) => matches!(host, 0x0254 | 0x0023),
        // Time.
        (UDP, 123) => host == if ipv4 { 0xa97b } else { 0x0123 },
        // Windows licence activation.
        (TCP, 1688) if ipv4 => matches!(host, 0xa9fa | 0xa9fb),
        (TCP, 1688) => matches!(host, 0x0250 | 0x0240),
        _ => false,
    }
}

/// The flow that a packet would belong to.
#[inline(always)]
pub fn flow_key(zone: u32, parsed: &Parsed, direction: Direction) -> FlowKey {
    let ends = Ends::of(parsed, direction);
    let (local_port, remote_port) = match parsed.protocol {
        TCP | UDP => (ends.local_port, ends.remote_port),
        ICMP | ICMPV6 => match icmp::query(parsed.protocol, parsed.icmp_type) {
            // The opener is part of the key: both sides may use one identifier, and a request
            // must never pass as an answer.
            Query::Request(kind) => (parsed.icmp_id, u16::from(kind) | opener_bit(direction)),
            Query::Reply(kind) => (
                parsed.icmp_id,
                u16::from(kind) | opener_bit(direction.reverse()),
            ),
            // No flow has this key.
            Query::None => (0, u16::MAX),
        },
        _ => (0, 0),
    };
    FlowKey {
        local: ends.local,
        remote: ends.remote,
        local_port,
        remote_port,
        zone: zone as u16,
        vlan: parsed.vlan,
        protocol: parsed.protocol,
        pad: 0,
    }
}

#[inline(always)]
const fn opener_bit(opened: Direction) -> u16 {
    (opened as u16) << 8
}

#[inline(always)]
fn live_flow<D: Datapath>(datapath: &D, key: &FlowKey) -> Option<D::Flow> {
    let flow = datapath.flow(key)?;
    let idle = datapath.now().wrapping_sub(flow.last_seen());
    // Another CPU may have stamped the entry with a later tick than ours.
    if idle.cast_signed() < 0 || idle <= datapath.settings().timeout(flow.state()) {
        Some(flow)
    } else {
        None
    }
}

#[inline(always)]
fn refresh<P: Packet, D: Datapath>(packet: &P, datapath: &D, parsed: &Parsed, flow: &D::Flow) {
    let state = flow.state();
    let flags = flow.flags();
    let reply =
        (flags & FLOW_OPENED_OUTBOUND != 0) != (datapath.direction() == Direction::Outbound);
    let step = match parsed.protocol {
        TCP => tcp::tcp_step(state, flags, parsed.tcp_flags, reply, parsed.has_data),
        UDP => Step {
            state: tcp::udp_step(state, reply),
            flags,
        },
        _ => Step { state, flags },
    };
    if step.state != state || step.flags != flags {
        flow.advance(step);
    }
    flow.account(
        usize::from(reply),
        datapath.now(),
        packet.segments(),
        frame_len(packet, parsed),
    );
}

#[inline(always)]
fn fragment_key<D: Datapath>(datapath: &D, parsed: &Parsed) -> FragmentKey {
    FragmentKey {
        src: parsed.src,
        dst: parsed.dst,
        id: parsed.fragment_id,
        zone: datapath.zone() as u16,
        vlan: parsed.vlan,
        protocol: if parsed.src.is_ipv4() {
            parsed.protocol
        } else {
            0
        },
        direction: datapath.direction() as u8,
        pad: [0; 4],
    }
}

/// A first fragment that passes: leaves word for the later ones.
#[inline(never)]
fn first_fragment<D: Datapath>(datapath: &D, parsed: &Parsed, rule: u32) {
    let entry = FragmentEntry {
        expires: datapath.now() + FRAGMENT_SECONDS * datapath.hz(),
        rule,
        pad: 0,
    };
    datapath.remember_fragment(&fragment_key(datapath, parsed), &entry);
}

/// A fragment without ports: it follows its first one, or needs a rule without ports.
#[inline(never)]
fn later_fragment<D: Datapath>(datapath: &D, parsed: &Parsed) -> Outcome {
    let direction = datapath.direction();
    if let Some(first) = datapath.fragment(&fragment_key(datapath, parsed))
        && datapath.now() <= first.expires
    {
        return Outcome::new(Reason::Fragment, first.rule);
    }
    let outcome = datapath.ask(&Question {
        remote: Ends::of(parsed, direction).remote,
        zone: datapath.zone(),
        direction: direction as u32,
        service: service::key_without_ports(parsed.protocol),
        reply_service: NO_REPLY,
    });
    match outcome.reason() {
        Reason::NoRule => Outcome::new(Reason::FragmentUnknown, 0),
        _ if outcome.is_pass() => Outcome::new(Reason::Fragment, outcome.rule()),
        _ => outcome,
    }
}

/// A packet of no live flow: related to one, or admitted by a rule, or dropped.
#[inline(always)]
fn new_traffic<P: Packet, D: Datapath>(
    packet: &P,
    datapath: &D,
    parsed: &Parsed,
    key: &FlowKey,
) -> Outcome {
    let direction = datapath.direction();
    let setting = datapath.settings().related();
    if icmp::is_related(setting, parsed.protocol, parsed.icmp_type, parsed.icmp_code) {
        let mut about = question(datapath.zone(), parsed, direction);
        let mut outcome = related_flow(packet, datapath, parsed, &mut about);
        if outcome.reason() == Reason::NoRule && about.service != NO_REPLY {
            outcome = datapath.ask(&about);
        }
        if matches!(
            outcome.reason(),
            Reason::Related | Reason::Untracked | Reason::UntrackedReply
        ) {
            return Outcome::new(Reason::Related, outcome.rule());
        }
    }
    let outcome = datapath.ask(&question(datapath.zone(), parsed, direction));
    if outcome.reason() != Reason::New {
        return outcome;
    }
    track(packet, datapath, parsed, key, outcome.rule())
}

/// What to ask the policy about a packet.
#[inline(always)]
fn question(zone: u32, parsed: &Parsed, direction: Direction) -> Question {
    let (service, reply_service) = match parsed.protocol {
        ICMP | ICMPV6 => (
            service::icmp_key(parsed.protocol, parsed.icmp_type, parsed.icmp_code),
            NO_REPLY,
        ),
        TCP if tcp::is_opening(parsed.tcp_flags) => (service::key(TCP, parsed.dst_port), NO_REPLY),
        TCP | UDP => (
            service::key(parsed.protocol, parsed.dst_port),
            service::key(parsed.protocol, parsed.src_port),
        ),
        protocol => (service::key(protocol, 0), NO_REPLY),
    };
    Question {
        remote: Ends::of(parsed, direction).remote,
        zone,
        direction: direction as u32,
        service,
        reply_service,
    }
}

/// The live flow that an ICMP error quotes: `Related`, or `NoRule` when there is none.
///
/// An untracked flow counts as live as long as its rule is there, for path-MTU discovery must work
/// for it too: so without a live flow `about` becomes the question whether the quoted packet is
/// admitted untracked, or one about no service at all.
#[inline(never)]
fn related_flow<P: Packet, D: Datapath>(
    packet: &P,
    datapath: &D,
    error: &Parsed,
    about: &mut Question,
) -> Outcome {
    about.service = NO_REPLY;
    let none = Outcome::new(Reason::NoRule, 0);
    let mut quoted = Parsed::NOTHING;
    if parse::quoted(packet, error, &mut quoted).is_err() {
        return none;
    }
    // The error goes to the sender of what it quotes, so the quoted packet went the other way.
    if quoted.src != error.dst || quoted.fragment == Fragment::Later {
        return none;
    }
    let direction = datapath.direction().reverse();
    let key = flow_key(datapath.zone(), &quoted, direction);
    if let Some(flow) = live_flow(datapath, &key) {
        return Outcome::new(Reason::Related, flow.rule());
    }
    *about = question(datapath.zone(), &quoted, direction);
    none
}

/// Opens a flow for an admitted packet, if packets of its kind open flows.
#[inline(never)]
fn track<P: Packet, D: Datapath>(
    packet: &P,
    datapath: &D,
    parsed: &Parsed,
    key: &FlowKey,
    rule: u32,
) -> Outcome {
    let now = datapath.now();
    let state = match parsed.protocol {
        TCP => match tcp::opening_state(parsed.tcp_flags) {
            Some(FlowState::TCP_PICKED_UP) if !picks_up(datapath.settings(), now) => None,
            state => state,
        },
        UDP => Some(FlowState::UDP_UNANSWERED),
        ICMP | ICMPV6 => match icmp::query(parsed.protocol, parsed.icmp_type) {
            Query::Request(_) => Some(FlowState::ICMP_QUERY),
            Query::Reply(_) | Query::None => None,
        },
        _ => Some(FlowState::OTHER),
    };
    let Some(state) = state else {
        let reason = if parsed.protocol == TCP {
            Reason::MidStream
        } else {
            Reason::Stateless
        };
        return Outcome::new(reason, rule);
    };
    let entry = FlowEntry {
        created: now,
        last_seen: now,
        packets: [u64::from(packet.segments()), 0],
        bytes: [u64::from(frame_len(packet, parsed)), 0],
        rule,
        state: state.0,
        flags: match datapath.direction() {
            Direction::Inbound => 0,
            Direction::Outbound => FLOW_OPENED_OUTBOUND,
        },
        pad: [0; 2],
    };
    match datapath.open_flow(key, &entry) {
        Ok(()) => Outcome::new(Reason::New, rule),
        Err(reason) => Outcome::new(reason, rule),
    }
}

#[inline(always)]
fn picks_up<S: Settings>(settings: &S, now: u64) -> bool {
    match settings.tcp_pickup() {
        PICKUP_ALWAYS => true,
        PICKUP_NEVER => false,
        _ => now <= settings.pickup_until(),
    }
}

/// Length of a frame, without a helper call: what can be read in place, or what the IP header, whose
/// claim has been checked, says.
#[inline(always)]
fn frame_len<P: Packet>(packet: &P, parsed: &Parsed) -> u32 {
    parsed.end.max(packet.readable_len())
}

/// Counts and reports an outcome, and says what it comes to in the interface's mode.
#[inline(always)]
fn finish<P: Packet, D: Datapath>(
    packet: &P,
    datapath: &D,
    parsed: &Parsed,
    outcome: Outcome,
) -> Verdict {
    let audited = !outcome.is_pass() && only_audits(datapath);
    let length = frame_len(packet, parsed);
    datapath.count(outcome, audited, packet.segments(), length);
    let wanted = datapath.settings().log_reasons();
    let untracked_syn = wanted & LOG_UNTRACKED_SYN != 0
        && outcome.reason() == Reason::Untracked
        && parsed.protocol == TCP
        && tcp::is_opening(parsed.tcp_flags);
    if wanted >> outcome.code() & 1 != 0 || untracked_syn {
        report(
            datapath,
            parsed,
            length,
            outcome,
            if audited { EVENT_AUDITED } else { 0 },
        );
    }
    if outcome.is_pass() || audited {
        Verdict::Pass
    } else {
        Verdict::Drop
    }
}

#[inline(always)]
fn only_audits<D: Datapath>(datapath: &D) -> bool {
    let settings = datapath.settings();
    let deadline = settings.audit_after();
    settings.mode() == MODE_AUDIT || (deadline != 0 && datapath.now() > deadline)
}

/// Puts an outcome into the log.
#[inline(never)]
fn report<D: Datapath>(datapath: &D, parsed: &Parsed, length: u32, outcome: Outcome, flags: u8) {
    let ends = Ends::of(parsed, datapath.direction());
    datapath.log(&Event {
        time_ns: 0,
        local: ends.local,
        remote: ends.remote,
        rule: outcome.rule(),
        length,
        ifindex: datapath.settings().ifindex(),
        zone: datapath.zone() as u16,
        local_port: ends.local_port,
        remote_port: ends.remote_port,
        vlan: parsed.vlan,
        protocol: parsed.protocol,
        direction: datapath.direction() as u8,
        reason: outcome.code(),
        flags,
        tcp_flags: parsed.tcp_flags,
        icmp_type: parsed.icmp_type,
        icmp_code: parsed.icmp_code,
        pad: [0; 3],
    });
}

#[cfg(test)]
mod tests;
