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
use crate::image::{self, Cell, Words};
use crate::packet::Packet;
use crate::parse::{self, Fragment, Frame, Parsed};
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
    /// The policy image.
    type Image: Words;
    /// An entry of the flow table.
    type Flow: Flow;
    /// Settings of the interface.
    type Settings: Settings;

    /// Zone of the interface.
    fn zone(&self) -> u32;
    /// Settings of the interface.
    fn settings(&self) -> &Self::Settings;
    /// Jiffies.
    fn now(&self) -> u64;
    /// Jiffies per second.
    fn hz(&self) -> u64;
    /// The image in force, `None` when there is none.
    fn image(&self) -> Option<Self::Image>;
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
    fn count(&self, direction: Direction, reason: Reason, audited: bool, packets: u32, bytes: u32);
    /// Reports a verdict; fills in the time.
    fn log(&self, event: &Event);
}

/// A reason and the number of the rule behind it, in one register.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome(u64);

impl Outcome {
    /// An outcome that rule number `rule` decided; 0 = no rule.
    #[inline(always)]
    pub const fn new(reason: Reason, rule: u32) -> Self {
        Self(reason as u64 | (rule as u64) << 8)
    }

    /// The reason's code.
    #[inline(always)]
    const fn code(self) -> u8 {
        self.0 as u8
    }

    /// The deciding rule's number.
    #[inline(always)]
    pub const fn rule(self) -> u32 {
        (self.0 >> 8) as u32
    }

    /// The reason.
    #[inline(always)]
    pub const fn reason(self) -> Reason {
        match Reason::from_code(self.code()) {
            Some(reason) => reason,
            // Outcomes are made from reasons only.
            None => Reason::NoPolicy,
        }
    }

    #[inline(always)]
    const fn is_pass(self) -> bool {
        // Tested against `Reason::verdict` below.
        self.code() < 32
    }
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
pub fn run<P: Packet, D: Datapath>(packet: &P, datapath: &D, direction: Direction) -> Verdict {
    let settings = datapath.settings();
    match parse::frame(packet) {
        Ok(Frame::Ip(parsed)) => {
            let outcome = judge(packet, datapath, &parsed, direction);
            if parsed.fragment == Fragment::First && outcome.is_pass() {
                let entry = FragmentEntry {
                    expires: datapath.now() + FRAGMENT_SECONDS * datapath.hz(),
                    rule: outcome.rule(),
                    _pad: 0,
                };
                datapath.remember_fragment(&fragment_key(datapath, &parsed, direction), &entry);
            }
            finish(packet, datapath, Some(&parsed), outcome, direction)
        }
        Ok(Frame::Arp) => {
            let outcome = switched(settings.infra() & INFRA_ARP, Reason::InfraArp);
            finish(packet, datapath, None, outcome, direction)
        }
        Ok(Frame::NonIp) => {
            let outcome = switched(settings.infra() & INFRA_NON_IP, Reason::InfraNonIp);
            finish(packet, datapath, None, outcome, direction)
        }
        Err(reason) => finish(packet, datapath, None, Outcome::new(reason, 0), direction),
    }
}

#[inline(always)]
const fn switched(on: u32, reason: Reason) -> Outcome {
    Outcome::new(if on == 0 { Reason::NoRule } else { reason }, 0)
}

/// The verdict on an IP packet.
#[inline(always)]
fn judge<P: Packet, D: Datapath>(
    packet: &P,
    datapath: &D,
    parsed: &Parsed,
    direction: Direction,
) -> Outcome {
    if let Some(reason) = infrastructure(datapath.settings().infra(), parsed, direction) {
        return Outcome::new(reason, 0);
    }
    if parsed.fragment == Fragment::Later {
        return later_fragment(datapath, parsed, direction);
    }
    let key = flow_key(datapath.zone(), parsed, direction);
    if let Some(flow) = live_flow(datapath, &key) {
        let is_new = parsed.protocol == TCP
            && tcp::is_opening(parsed.tcp_flags)
            && tcp::is_over(flow.state());
        if !is_new {
            refresh(packet, datapath, parsed, &flow, direction);
            return Outcome::new(Reason::Established, flow.rule());
        }
    }
    new_traffic(packet, datapath, parsed, &key, direction)
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

/// The link-local services of EC2: resolver, metadata (instance, ECS task, EKS pod), time, licence
/// activation.
#[inline(always)]
fn is_ec2_service(remote: &Addr, protocol: u8, port: u16) -> bool {
    let (high, low) = remote.halves();
    let ipv4 = high == 0 && low >> 16 == 0xffff_a9fe; // 169.254.0.0/16
    let ipv6 = high == 0xfd00_0ec2_0000_0000 && low >> 16 == 0; // fd00:ec2::/112
    if !ipv4 && !ipv6 {
        return false;
    }
    matches!(
        (ipv4, low as u16, protocol, port),
        // 169.254.169.253, .254, .123, .250, .251; 169.254.170.2, .23
        (true, 0xa9fd, UDP | TCP, 53)
            | (true, 0xa9fe, TCP, 80)
            | (true, 0xa97b, UDP, 123)
            | (true, 0xa9fa | 0xa9fb, TCP, 1688)
            | (true, 0xaa02 | 0xaa17, TCP, 80)
            | (false, 0x0253, UDP | TCP, 53)
            | (false, 0x0254 | 0x0023, TCP, 80)
            | (false, 0x0123, UDP, 123)
            | (false, 0x0250 | 0x0240, TCP, 1688)
    )
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
            Query::Reply(kind) => {
                (parsed.icmp_id, u16::from(kind) | opener_bit(direction.reverse()))
            }
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
        _pad: 0,
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
    if (idle as i64) < 0 || idle <= datapath.settings().timeout(flow.state()) {
        Some(flow)
    } else {
        None
    }
}

#[inline(always)]
fn refresh<P: Packet, D: Datapath>(
    packet: &P,
    datapath: &D,
    parsed: &Parsed,
    flow: &D::Flow,
    direction: Direction,
) {
    let state = flow.state();
    let flags = flow.flags();
    let reply = (flags & FLOW_OPENED_OUTBOUND != 0) != matches!(direction, Direction::Outbound);
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
        frame_len(packet, Some(parsed)),
    );
}

#[inline(always)]
fn fragment_key<D: Datapath>(datapath: &D, parsed: &Parsed, direction: Direction) -> FragmentKey {
    FragmentKey {
        src: parsed.src,
        dst: parsed.dst,
        id: parsed.fragment_id,
        zone: datapath.zone() as u16,
        vlan: parsed.vlan,
        protocol: parsed.protocol,
        direction: direction as u8,
        _pad: [0; 4],
    }
}

/// A fragment without ports: it follows its first one, or needs a rule without ports.
#[inline(never)]
fn later_fragment<D: Datapath>(datapath: &D, parsed: &Parsed, direction: Direction) -> Outcome {
    if let Some(first) = datapath.fragment(&fragment_key(datapath, parsed, direction))
        && datapath.now() <= first.expires
    {
        return Outcome::new(Reason::Fragment, first.rule);
    }
    let Some(image) = readable_image(datapath) else {
        return Outcome::new(Reason::NoPolicy, 0);
    };
    let class = image::class(&image, &Ends::of(parsed, direction).remote);
    let Some(row) = image::row(&image, datapath.zone(), direction, class) else {
        return Outcome::new(Reason::NoPolicy, 0);
    };
    let cell = image::cell(&image, row, service::key_without_ports(parsed.protocol));
    if cell.is_admitted() {
        Outcome::new(Reason::Fragment, cell.rule())
    } else {
        Outcome::new(Reason::FragmentUnknown, 0)
    }
}

#[inline(always)]
fn readable_image<D: Datapath>(datapath: &D) -> Option<D::Image> {
    datapath.image().filter(|image| image::is_readable(image))
}

/// A packet of no live flow: related to one, or admitted by a rule, or dropped.
#[inline(never)]
fn new_traffic<P: Packet, D: Datapath>(
    packet: &P,
    datapath: &D,
    parsed: &Parsed,
    key: &FlowKey,
    direction: Direction,
) -> Outcome {
    let Some(image) = readable_image(datapath) else {
        return Outcome::new(Reason::NoPolicy, 0);
    };
    let related = datapath.settings().related();
    if icmp::is_related(related, parsed.protocol, parsed.icmp_type, parsed.icmp_code)
        && let Some(rule) = related_rule(packet, datapath, &image, parsed, direction)
    {
        return Outcome::new(Reason::Related, rule);
    }
    let outcome = admission(&image, datapath.zone(), parsed, direction);
    if outcome.code() != Reason::New as u8 {
        return outcome;
    }
    track(packet, datapath, parsed, key, outcome.rule(), direction)
}

/// Asks the rules about a packet: `New` when it is admitted and needs tracking.
#[inline(always)]
fn admission<W: Words>(image: &W, zone: u32, parsed: &Parsed, direction: Direction) -> Outcome {
    let class = image::class(image, &Ends::of(parsed, direction).remote);
    let Some(row) = image::row(image, zone, direction, class) else {
        return Outcome::new(Reason::NoPolicy, 0);
    };
    let service = match parsed.protocol {
        ICMP | ICMPV6 => service::icmp_key(parsed.protocol, parsed.icmp_type, parsed.icmp_code),
        protocol => service::key(protocol, parsed.dst_port),
    };
    let cell = image::cell(image, row, service);
    if !cell.is_admitted() {
        return Outcome::new(Reason::NoRule, 0);
    }
    if cell.is_untracked() {
        return Outcome::new(Reason::Untracked, cell.rule());
    }
    let reply = untracked_reply(image, zone, class, parsed, direction);
    if reply.is_admitted() {
        return Outcome::new(Reason::UntrackedReply, reply.rule());
    }
    Outcome::new(Reason::New, cell.rule())
}

/// Reads a packet as the answer within a flow of the other direction: the cell of that flow when
/// it needs no tracking. Without this the SYN-ACK of an untracked flow would open a tracked one.
#[inline(always)]
fn untracked_reply<W: Words>(
    image: &W,
    zone: u32,
    class: u32,
    parsed: &Parsed,
    direction: Direction,
) -> Cell {
    let can_answer = match parsed.protocol {
        TCP => !tcp::is_opening(parsed.tcp_flags),
        UDP => true,
        _ => false,
    };
    if !can_answer {
        return Cell::NONE;
    }
    let Some(row) = image::row(image, zone, direction.reverse(), class) else {
        return Cell::NONE;
    };
    let cell = image::cell(image, row, service::key(parsed.protocol, parsed.src_port));
    if cell.is_untracked() { cell } else { Cell::NONE }
}

/// The rule behind the flow that an ICMP error quotes, `None` when there is no such live flow.
///
/// An untracked flow counts as live as long as its rule is there: path-MTU discovery must work for
/// it too.
#[inline(always)]
fn related_rule<P: Packet, D: Datapath>(
    packet: &P,
    datapath: &D,
    image: &D::Image,
    error: &Parsed,
    direction: Direction,
) -> Option<u32> {
    let quoted = parse::quoted(packet, error)?;
    // The error goes to the sender of what it quotes, so the quoted packet went the other way.
    if quoted.src != error.dst || quoted.fragment == Fragment::Later {
        return None;
    }
    let quoted_direction = direction.reverse();
    let key = flow_key(datapath.zone(), &quoted, quoted_direction);
    if let Some(flow) = live_flow(datapath, &key) {
        return Some(flow.rule());
    }
    let outcome = admission(image, datapath.zone(), &quoted, quoted_direction);
    let untracked = outcome.code() == Reason::Untracked as u8
        || outcome.code() == Reason::UntrackedReply as u8;
    if untracked { Some(outcome.rule()) } else { None }
}

/// Opens a flow for an admitted packet, if packets of its kind open flows.
#[inline(always)]
fn track<P: Packet, D: Datapath>(
    packet: &P,
    datapath: &D,
    parsed: &Parsed,
    key: &FlowKey,
    rule: u32,
    direction: Direction,
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
        bytes: [u64::from(frame_len(packet, Some(parsed))), 0],
        rule,
        state: state.0,
        flags: match direction {
            Direction::Inbound => 0,
            Direction::Outbound => FLOW_OPENED_OUTBOUND,
        },
        _pad: [0; 2],
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
fn frame_len<P: Packet>(packet: &P, parsed: Option<&Parsed>) -> u32 {
    let readable = packet.readable_len();
    match parsed {
        Some(parsed) if parsed.end > readable => parsed.end,
        _ => readable,
    }
}

/// Counts and reports an outcome, and says what it comes to in the interface's mode.
#[inline(always)]
fn finish<P: Packet, D: Datapath>(
    packet: &P,
    datapath: &D,
    parsed: Option<&Parsed>,
    outcome: Outcome,
    direction: Direction,
) -> Verdict {
    let settings = datapath.settings();
    let audited = !outcome.is_pass() && only_audits(datapath);
    let reason = outcome.reason();
    let length = frame_len(packet, parsed);
    datapath.count(direction, reason, audited, packet.segments(), length);
    let wanted = settings.log_reasons();
    let untracked_syn = wanted & LOG_UNTRACKED_SYN != 0
        && reason == Reason::Untracked
        && parsed.is_some_and(|p| p.protocol == TCP && tcp::is_opening(p.tcp_flags));
    if wanted >> outcome.code() & 1 != 0 || untracked_syn {
        let flags = if audited { EVENT_AUDITED } else { 0 };
        report(datapath, length, parsed, outcome, direction, flags);
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

#[inline(always)]
fn report<D: Datapath>(
    datapath: &D,
    length: u32,
    parsed: Option<&Parsed>,
    outcome: Outcome,
    direction: Direction,
    flags: u8,
) {
    let mut event = Event {
        time_ns: 0,
        local: Addr::default(),
        remote: Addr::default(),
        rule: outcome.rule(),
        length,
        ifindex: datapath.settings().ifindex(),
        zone: datapath.zone() as u16,
        local_port: 0,
        remote_port: 0,
        vlan: [0; 2],
        protocol: 0,
        direction: direction as u8,
        reason: outcome.code(),
        flags,
        tcp_flags: 0,
        icmp_type: 0,
        icmp_code: 0,
        _pad: [0; 3],
    };
    if let Some(parsed) = parsed {
        let ends = Ends::of(parsed, direction);
        event.local = ends.local;
        event.remote = ends.remote;
        event.local_port = ends.local_port;
        event.remote_port = ends.remote_port;
        event.vlan = parsed.vlan;
        event.protocol = parsed.protocol;
        event.tcp_flags = parsed.tcp_flags;
        event.icmp_type = parsed.icmp_type;
        event.icmp_code = parsed.icmp_code;
    }
    datapath.log(&event);
}
