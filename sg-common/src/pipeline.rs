//! The pipeline: what happens to one frame, the same on every hook, in the kernel and on the host.
//!
//! ```text
//! parse → infrastructure → fragment → flow → related → classify → track → account → log
//! ```
//!
//! A packet of a live flow leaves after the flow look-up; everything behind it is the slow path, a
//! function of its own so that it costs the fast path neither stack nor registers.

mod fragments;
mod scratch;

use crate::datapath::{Datapath, Flow, Settings};
use crate::ends::Ends;
use crate::event::{EVENT_AUDITED, EVENT_BARE, Event};
use crate::flow::{Direction, FLOW_OPENED_OUTBOUND, FlowKey, FlowState, Opening};
use crate::icmp::{self, Query};
use crate::infra::infrastructure;
use crate::outcome::Outcome;
use crate::packet::Packet;
use crate::parse::{self, Fragment, Parsed, Payload};
use crate::proto::{ICMP, ICMPV6, TCP, UDP};
use crate::reason::{Reason, Verdict};
use crate::settings::{
    INFRA_ARP, INFRA_NON_IP, LOG_UNTRACKED_SYN, MODE_AUDIT, PICKUP_ALWAYS, PICKUP_NEVER,
};
use crate::size::{Size, frame_len};
use crate::subject::{flow_key, question, question_of_reset};
use crate::tcp::{self, Numbers, Step};
use crate::verifier::opaque;

use self::fragments::{first_fragment, later_fragment};
pub use self::scratch::Scratch;

/// Judges a frame, accounts for it and reports it. Returns what to do with it.
#[inline(always)]
pub fn run<P: Packet, D: Datapath>(packet: &P, datapath: &D, scratch: &mut Scratch) -> Verdict {
    let infra = datapath.settings().infra();
    let outcome = match parse::frame(packet, &mut scratch.parsed) {
        Ok(Payload::Ip) => match judge(packet, datapath, scratch) {
            Some(outcome) => outcome,
            None => return Verdict::Pass,
        },
        Ok(Payload::Arp) => switched(infra & INFRA_ARP, Reason::InfraArp),
        Ok(Payload::NonIp) => switched(infra & INFRA_NON_IP, Reason::InfraNonIp),
        Err(reason) => Outcome::new(reason, 0),
    };
    if outcome.rule() != 0 {
        let size = Size::of(packet, &scratch.parsed);
        datapath.count_rule(outcome, size.packets, size.bytes);
    }
    finish(packet, datapath, scratch, outcome)
}

#[inline(always)]
const fn switched(on: u32, reason: Reason) -> Outcome {
    Outcome::new(if on == 0 { Reason::NoRule } else { reason }, 0)
}

/// The verdict on an IP packet, `None` when it belongs to a live flow, and all is done.
#[inline(always)]
fn judge<P: Packet, D: Datapath>(
    packet: &P,
    datapath: &D,
    scratch: &mut Scratch,
) -> Option<Outcome> {
    let direction = datapath.direction();
    let parsed = &scratch.parsed;
    if let Some(reason) = infrastructure(datapath.settings().infra(), parsed, direction) {
        return Some(Outcome::new(reason, 0));
    }
    if parsed.fragment == Fragment::Later {
        return Some(later_fragment(datapath, scratch));
    }
    scratch.key = flow_key(datapath.zone(), parsed, direction);
    let now = datapath.now();
    let mut keeps = false;
    if let Some(flow) = live_flow(datapath, &scratch.key, now) {
        // Most packets of most flows change nothing.
        if tcp::is_settled(flow.state(), parsed.tcp_flags) {
            if flow.state() == FlowState::TCP_ESTABLISHED {
                let side = usize::from(is_reply(datapath, &flow));
                flow.follow(side, &parsed.segment());
            }
            established(packet, datapath, scratch, &flow, now);
            return None;
        }
        if asks_anew(parsed, flow.state()) {
            keeps = !tcp::is_over(flow.state());
        } else {
            advance(datapath, parsed, &flow);
            established(packet, datapath, scratch, &flow, now);
            return None;
        }
    }
    Some(new_traffic(packet, datapath, scratch, keeps))
}

/// Whether a packet of a flow asks for another connection on the same ports: the rules decide, and
/// nothing about the flow changes unless it is over.
#[inline(always)]
fn asks_anew(parsed: &Parsed, state: FlowState) -> bool {
    parsed.protocol == TCP && tcp::is_opening(parsed.tcp_flags) && !tcp::is_opening_state(state)
}

#[inline(always)]
fn live_flow<D: Datapath>(datapath: &D, key: &FlowKey, now: u64) -> Option<D::Flow> {
    let flow = datapath.flow(key)?;
    // Below 0 when another CPU has stamped the entry with a later tick than ours.
    let idle = now.wrapping_sub(flow.last_seen()).cast_signed();
    (idle <= datapath.settings().timeout(flow.state()).cast_signed()).then_some(flow)
}

/// Whether a packet comes from the side that did not open the flow.
#[inline(always)]
fn is_reply<D: Datapath>(datapath: &D, flow: &D::Flow) -> bool {
    (flow.flags() & FLOW_OPENED_OUTBOUND != 0) != (datapath.direction() == Direction::Outbound)
}

/// Moves a flow to the state that a packet leads to.
#[inline(never)]
fn advance<D: Datapath>(datapath: &D, parsed: &Parsed, flow: &D::Flow) {
    let before = Step {
        state: flow.state(),
        flags: flow.flags(),
        numbers: flow.numbers(),
    };
    let reply = is_reply(datapath, flow);
    let step = match parsed.protocol {
        TCP => tcp::tcp_step(before, &parsed.segment(), reply),
        UDP => Step {
            state: tcp::udp_step(before.state, reply),
            ..before
        },
        _ => Step {
            state: tcp::other_step(before.state, reply),
            ..before
        },
    };
    if step != before {
        flow.advance(step);
    }
}

/// Accounts for a packet of a live flow: [`finish`] as it comes out for these, with nothing in it
/// that they do not need.
#[inline(always)]
fn established<P: Packet, D: Datapath>(
    packet: &P,
    datapath: &D,
    scratch: &mut Scratch,
    flow: &D::Flow,
    now: u64,
) {
    let size = Size::of(packet, &scratch.parsed);
    let sender = usize::from(is_reply(datapath, flow));
    flow.account(sender, now, size.packets, size.bytes);
    if scratch.parsed.fragment == Fragment::First {
        first_fragment(datapath, scratch, flow.rule());
    }
    datapath.count(Reason::Established as u8, false, size.packets, size.bytes);
    if datapath.settings().log_reasons() >> Reason::Established as u8 & 1 != 0 {
        let outcome = Outcome::new(Reason::Established, flow.rule());
        report(packet, datapath, &scratch.parsed, outcome, 0);
    }
}

/// A packet of no live flow: related to one, or admitted by a rule, or dropped. `keeps` tells that
/// there is a live flow of its key, which stays as it is.
#[inline(always)]
fn new_traffic<P: Packet, D: Datapath>(
    packet: &P,
    datapath: &D,
    scratch: &mut Scratch,
    keeps: bool,
) -> Outcome {
    let parsed = &scratch.parsed;
    let related = datapath.settings().related();
    if icmp::is_related(related, parsed.protocol, parsed.icmp_type, parsed.icmp_code)
        && quoted_packet(packet, datapath, scratch)
    {
        if let Some(flow) = live_flow(datapath, &scratch.key, datapath.now()) {
            return Outcome::new(Reason::Related, flow.rule());
        }
        // An untracked flow counts as live as long as its rule is there: path-MTU discovery must
        // work for it too.
        let outcome = datapath.ask(&scratch.question);
        if matches!(outcome.reason(), Reason::Untracked | Reason::UntrackedReply) {
            return Outcome::new(Reason::Related, outcome.rule());
        }
    }
    let direction = datapath.direction();
    scratch.question = question(datapath.zone(), &scratch.parsed, direction);
    let at_once = datapath.ask_at_once(&scratch.question.forgotten(packet.noise()));
    let outcome = at_once.unwrap_or_else(|| datapath.ask(&scratch.question));
    if outcome.reason() == Reason::NoRule
        && scratch.parsed.protocol == TCP
        && tcp::is_reset(scratch.parsed.tcp_flags)
    {
        return refusal(datapath, scratch);
    }
    if outcome.reason() != Reason::New {
        return outcome;
    }
    if keeps {
        return Outcome::new(Reason::MidStream, outcome.rule());
    }
    // An ICMP error has left the key of what it quotes.
    scratch.key = flow_key(datapath.zone(), &scratch.parsed, direction);
    track(packet, datapath, scratch, outcome.rule())
}

/// Reads the packet that an ICMP error quotes, and leaves the flow that it belongs to and what to
/// ask about it. Returns false when it is not one that this error could be about.
#[inline(never)]
fn quoted_packet<P: Packet, D: Datapath>(packet: &P, datapath: &D, scratch: &mut Scratch) -> bool {
    if parse::quoted(packet, &scratch.parsed, &mut scratch.quoted).is_err() {
        return false;
    }
    let quoted = &scratch.quoted;
    // The error goes to the sender of what it quotes, so the quoted packet went the other way.
    if quoted.src != scratch.parsed.dst || quoted.fragment == Fragment::Later {
        return false;
    }
    let direction = datapath.direction().reverse();
    scratch.key = flow_key(datapath.zone(), quoted, direction);
    scratch.question = question(datapath.zone(), quoted, direction);
    true
}

/// A reset that no rule admits passes where the segment that it may answer would: who has lost a
/// connection must be able to say so.
#[inline(never)]
fn refusal<D: Datapath>(datapath: &D, scratch: &mut Scratch) -> Outcome {
    scratch.question = question_of_reset(datapath.zone(), &scratch.parsed, datapath.direction());
    let answered = datapath.ask(&scratch.question);
    if answered.is_pass() {
        Outcome::new(Reason::MidStream, answered.rule())
    } else {
        answered
    }
}

/// Opens a flow for an admitted packet, if packets of its kind open flows.
#[inline(always)]
fn track<P: Packet, D: Datapath>(
    packet: &P,
    datapath: &D,
    scratch: &Scratch,
    rule: u32,
) -> Outcome {
    let parsed = &scratch.parsed;
    let starts = |state| {
        Some(Step {
            state,
            flags: 0,
            numbers: Numbers::NONE,
        })
    };
    let first = match parsed.protocol {
        TCP => match tcp::open(&parsed.segment()) {
            Some(step) if step.state == FlowState::TCP_PICKED_UP && !picks_up(datapath) => None,
            step => step,
        },
        UDP => starts(FlowState::UDP_UNANSWERED),
        ICMP | ICMPV6 => match icmp::query(parsed.protocol, parsed.icmp_type) {
            Query::Request(_) => starts(FlowState::ICMP_QUERY),
            Query::Reply(_) | Query::None => None,
        },
        _ => starts(FlowState::OTHER),
    };
    let Some(first) = first else {
        let reason = if parsed.protocol == TCP {
            Reason::MidStream
        } else {
            Reason::Stateless
        };
        return Outcome::new(reason, rule);
    };
    let size = Size::of(packet, parsed);
    let opening = Opening {
        rule,
        state: first.state,
        flags: first.flags
            | match datapath.direction() {
                Direction::Inbound => 0,
                Direction::Outbound => FLOW_OPENED_OUTBOUND,
            },
        packets: size.packets,
        bytes: size.bytes,
        numbers: first.numbers,
    };
    match datapath.open_flow(&scratch.key, opening) {
        Ok(()) => Outcome::new(Reason::New, rule),
        Err(reason) => Outcome::new(reason, rule),
    }
}

#[inline(always)]
fn picks_up<D: Datapath>(datapath: &D) -> bool {
    match datapath.settings().tcp_pickup() {
        PICKUP_ALWAYS => true,
        PICKUP_NEVER => false,
        _ => datapath.now() <= datapath.settings().pickup_until(),
    }
}

/// Counts and reports an outcome, and says what it comes to in the interface's mode.
#[inline(always)]
fn finish<P: Packet, D: Datapath>(
    packet: &P,
    datapath: &D,
    scratch: &mut Scratch,
    outcome: Outcome,
) -> Verdict {
    if scratch.parsed.fragment == Fragment::First && outcome.is_pass() {
        first_fragment(datapath, scratch, outcome.rule());
    }
    let parsed = &scratch.parsed;
    let audited = !outcome.is_pass() && datapath.settings().mode() == MODE_AUDIT;
    let size = Size::of(packet, parsed);
    // Hidden: LLVM knows which codes exist and would leave out the mask of an index, without which
    // the verifier sees no bounds.
    let code = opaque(u64::from(outcome.code())) as u8;
    datapath.count(code, audited, size.packets, size.bytes);
    let wanted = datapath.settings().log_reasons();
    let untracked_syn = wanted & LOG_UNTRACKED_SYN != 0
        && outcome.reason() == Reason::Untracked
        && parsed.protocol == TCP
        && tcp::is_opening(parsed.tcp_flags);
    if wanted >> outcome.code() & 1 != 0 || untracked_syn {
        let flags = if audited { EVENT_AUDITED } else { 0 };
        report(packet, datapath, parsed, outcome, flags);
    }
    if outcome.is_pass() || audited {
        Verdict::Pass
    } else {
        Verdict::Drop
    }
}

/// Puts an outcome into the log.
#[inline(never)]
fn report<P: Packet, D: Datapath>(
    packet: &P,
    datapath: &D,
    parsed: &Parsed,
    outcome: Outcome,
    flags: u8,
) {
    if !datapath.may_log(outcome) {
        return;
    }
    let ends = Ends::of(parsed, datapath.direction());
    let identifier = match icmp::query(parsed.protocol, parsed.icmp_type) {
        Query::Request(_) | Query::Reply(_) => parsed.icmp_id,
        Query::None => 0,
    };
    let flags = flags
        | if packet.bare().is_some() {
            EVENT_BARE
        } else {
            0
        };
    let event = Event {
        time_ns: 0,
        local: ends.local,
        remote: ends.remote,
        rule: outcome.rule(),
        length: frame_len(packet, parsed),
        ifindex: datapath.settings().ifindex(),
        zone: datapath.zone() as u16,
        // One of them is 0.
        local_port: ends.local_port() | identifier,
        remote_port: ends.remote_port(),
        vlan: parsed.vlan.ids(),
        protocol: parsed.protocol,
        direction: datapath.direction() as u8,
        reason: outcome.code(),
        flags,
        tcp_flags: parsed.tcp_flags,
        icmp_type: parsed.icmp_type,
        icmp_code: parsed.icmp_code,
        pad: [0; 3],
    };
    datapath.log(&event, packet);
}

#[cfg(test)]
mod tests;
