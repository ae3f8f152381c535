//! Random traffic: packets that rules speak of, packets that answer, repeat and follow others.

use fastrand::Rng;
use sg_common::flow::Direction;
use sg_policy::model::Rule;

use super::{
    Step,
    packets::{
        answer, continue_flow, decorated, deviate, framed, number, peer, plain, segment, tags,
        upper,
    },
    universe::{address, local, one_of, percent},
};
use crate::{
    oracle::{
        Host, Room,
        packet::{Content, Ip, Packet, Upper},
    },
    packet::flags::{ACK, FIN, RST, SYN},
};

/// How many packets are remembered to be answered, repeated and quoted.
const MEMORY: usize = 48;

/// A source of steps.
pub(super) struct Traffic {
    pub(super) rng: Rng,
    pub(super) steps: Vec<Step>,
    /// Packets among the steps.
    pub(super) packets: usize,
    past: Vec<(Direction, Packet)>,
}

impl Traffic {
    pub(super) fn new(rng: Rng) -> Self {
        Self {
            rng,
            steps: Vec::new(),
            packets: 0,
            past: Vec::new(),
        }
    }

    /// Adds some steps.
    pub(super) fn go_on(&mut self, host: &Host) {
        match self.rng.u32(..100) {
            0..30 => self.follow(),
            30..50 => self.open(host),
            50..60 => self.converse(host),
            60..66 => self.wait_for_the_end(host),
            66..76 => self.fragments(host),
            76..86 => self.error(host),
            86..91 => self.infrastructure(host),
            91..96 => self.malformed(host),
            96 => self.without_room(host),
            _ => {
                let ticks = one_of(&mut self.rng, &[1, 5, 50, 500, 3000, 9000]);
                self.steps.push(Step::Wait(ticks));
            }
        }
    }

    /// Some traffic while no flow can be opened.
    fn without_room(&mut self, host: &Host) {
        self.steps.push(Step::Room(Room::Taken));
        for _ in 0..5 {
            match self.rng.u32(..100) {
                0..40 => self.follow(),
                40..70 => self.open(host),
                70..85 => self.converse(host),
                85..92 => self.fragments(host),
                92..97 => self.error(host),
                _ => self.wait_for_the_end(host),
            }
        }
        self.steps.push(Step::Room(Room::Free));
    }

    /// Sends a packet, as it is.
    pub(super) fn send(&mut self, direction: Direction, packet: Packet) {
        self.packets += 1;
        let flips = if percent(&mut self.rng, 4) {
            // Within Ethernet header, tags, IP header and the beginning of what it carries.
            (0..=self.rng.usize(..2))
                .map(|_| self.rng.u32(96..640))
                .collect()
        } else {
            Vec::new()
        };
        self.steps.push(Step::Packet {
            inbound: direction == Direction::Inbound,
            tc: self.rng.bool(),
            packet: packet.clone(),
            flips,
        });
        if self.past.len() == MEMORY {
            self.past.swap_remove(self.rng.usize(..MEMORY));
        }
        self.past.push((direction, packet));
    }

    /// A packet that was sent before, with its direction.
    pub(super) fn earlier(&mut self) -> Option<(Direction, Packet)> {
        // Recent ones more often.
        let back = self.rng.usize(..=MEMORY).min(self.rng.usize(..=MEMORY));
        let index = self.past.len().checked_sub(1 + back)?;
        Some(self.past[index].clone())
    }

    /// The packet that a rule of the interface, or nobody, had in mind, with its direction.
    pub(super) fn fresh(&mut self, host: &Host) -> (Direction, Packet) {
        let rng = &mut self.rng;
        let direction = one_of(rng, &Direction::ALL);
        let rules: Vec<&Rule> = host
            .interface
            .groups
            .iter()
            .filter_map(|name| host.model.groups.get(name))
            .flat_map(|group| match direction {
                Direction::Inbound => &group.inbound,
                Direction::Outbound => &group.outbound,
            })
            .collect();
        let rule = (!rules.is_empty() && percent(rng, 85)).then(|| one_of(rng, &rules));
        let known = rule
            .filter(|_| percent(rng, 90))
            .and_then(|rule| peer(rng, host, &rule.peer));
        let v4 = known.map_or_else(|| percent(rng, 60), |address| address.is_ipv4());
        let remote = known.unwrap_or_else(|| address(rng, v4));
        let near = local(rng, v4);
        let service = rule.filter(|_| percent(rng, 90)).map(|rule| rule.service);
        let upper = upper(rng, service, v4);
        let (source, destination) = match direction {
            Direction::Inbound => (remote, near),
            Direction::Outbound => (near, remote),
        };
        let ip = decorated(rng, plain(source, destination, upper));
        (direction, framed(rng, ip))
    }

    fn open(&mut self, host: &Host) {
        let (direction, packet) = self.fresh(host);
        self.send(direction, packet);
    }

    /// Answers, repeats or continues an earlier packet.
    fn follow(&mut self) {
        let Some((direction, packet)) = self.earlier() else {
            return;
        };
        let answers = percent(&mut self.rng, 65);
        let (direction, mut packet) = if answers {
            (direction.reverse(), answer(packet))
        } else {
            (direction, packet)
        };
        if let Content::Ip(ip) = &mut packet.content {
            continue_flow(&mut self.rng, &mut ip.upper, answers);
            number(&mut self.rng, &mut ip.upper);
            if percent(&mut self.rng, 6) {
                deviate(&mut self.rng, ip);
            }
        }
        if percent(&mut self.rng, 2) {
            packet.tags = tags(&mut self.rng);
        }
        self.send(direction, packet);
    }

    /// A whole conversation, with segments of TCP in any order.
    fn converse(&mut self, host: &Host) {
        let (direction, mut packet) = self.fresh(host);
        let script = one_of(&mut self.rng, &SCRIPTS);
        let replies = answer(packet.clone());
        let mut replies = (direction.reverse(), replies);
        let random = percent(&mut self.rng, 40);
        for (answers, flags, data) in script.iter().copied() {
            let (direction, packet) = if answers {
                (replies.0, &mut replies.1)
            } else {
                (direction, &mut packet)
            };
            if let Content::Ip(Ip {
                upper:
                    Upper::Tcp {
                        flags: its_flags,
                        data: its_data,
                        ..
                    },
                ..
            }) = &mut packet.content
            {
                *its_flags = if random {
                    segment(&mut self.rng)
                } else {
                    flags
                };
                *its_data = data;
            }
            let mut packet = packet.clone();
            if let Content::Ip(ip) = &mut packet.content {
                number(&mut self.rng, &mut ip.upper);
            }
            self.send(direction, packet);
            if percent(&mut self.rng, 5) {
                let ticks = 1 + self.rng.u64(..1000);
                self.steps.push(Step::Wait(ticks));
            }
        }
    }

    /// A conversation, one of the interface's timeouts, exactly or one tick more, and another packet.
    fn wait_for_the_end(&mut self, host: &Host) {
        self.converse(host);
        let t = &host.interface.timeouts;
        let seconds = [
            t.tcp_established,
            t.tcp_half_open,
            t.tcp_closing,
            t.udp,
            t.udp_stream,
            t.icmp,
            t.other,
            t.tcp_half_closed,
        ];
        let seconds = u64::from(one_of(&mut self.rng, &seconds));
        let ticks = seconds * 1000 / super::TICK_MS + u64::from(self.rng.bool());
        self.steps.push(Step::Wait(ticks));
        let Some((direction, packet)) = self.past.last().cloned() else {
            return;
        };
        if self.rng.bool() {
            self.send(direction, packet);
        } else {
            self.send(direction.reverse(), answer(packet));
        }
    }
}

const SYN_ACK: u8 = SYN | ACK;
const FIN_ACK: u8 = FIN | ACK;

/// One segment of a script: whether the other side sends it, its flags, its data.
type Segment = (bool, u8, u16);

/// How connections go. Of other protocols only the sides count.
const SCRIPTS: [&[Segment]; 7] = [
    &[
        (false, SYN, 0),
        (true, SYN_ACK, 0),
        (false, ACK, 0),
        (false, ACK, 9),
        (true, ACK, 9),
        (false, FIN_ACK, 0),
        (true, ACK, 5),
        (true, FIN_ACK, 0),
        (false, ACK, 0),
    ],
    &[
        (false, SYN, 0),
        (false, SYN, 0),
        (true, RST | ACK, 0),
        (false, SYN, 0),
    ],
    // Simultaneous open.
    &[
        (false, SYN, 0),
        (true, SYN, 0),
        (false, SYN_ACK, 0),
        (true, ACK, 0),
        (false, ACK, 0),
    ],
    // A forged RST.
    &[
        (false, SYN, 0),
        (true, SYN_ACK, 0),
        (false, ACK, 9),
        (true, RST, 0),
        (false, ACK, 9),
        (true, ACK, 9),
        (true, ACK, 0),
    ],
    // The middle of a connection.
    &[
        (false, ACK, 9),
        (false, FIN_ACK, 0),
        (true, ACK, 9),
        (false, ACK, 9),
    ],
    &[(false, ACK, 0), (true, RST, 0), (false, FIN, 0)],
    // A new connection on the ports of one that is half-closed.
    &[
        (false, SYN, 0),
        (true, SYN_ACK, 0),
        (false, FIN_ACK, 0),
        (false, SYN, 0),
        (true, SYN, 0),
    ],
];
