//! The parser and the pipeline: frames of any bytes, as the oracle judges them.
//!
//! An input is the number of a random host (two bytes; all numbers are little-endian), then records:
//!
//! ```text
//! kind & 3: 0 an inbound frame, 1 an outbound one: length (two bytes), the frame
//!           2 time passes: ticks (two bytes); kind >> 2 says what room there is for new flows from
//!             then on: 1 that of the table is taken, 2 it is locked
//!           3 the host changes: number of a random change (two bytes)
//! kind & 4: of a frame: its hook has a VLAN tag beside it: id (two bytes, before the length)
//! ```

use std::path::Path;

use fastrand::Rng;
use pcap_parser::{Linktype, PcapCapture};
use sg_common::flow::Direction;

use super::files;
use crate::{
    oracle::{Room, decode},
    random::{Course, InMemory, Step, change, host, spoilt, traffic},
};

const OUTBOUND: u8 = 1;
const TIME: u8 = 2;
const CHANGE: u8 = 3;
const BESIDE: u8 = 4;

/// Hosts with random traffic among the seeds.
const HOSTS: u16 = 150;

/// Packets of a capture that one input has.
const PER_INPUT: usize = 16;
/// Inputs that one capture gives, at most.
const INPUTS: usize = 8;

/// What is left of an input.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn u8(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes([self.u8()?, self.u8()?]))
    }

    /// So many bytes, or all that are left.
    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        bytes
    }
}

/// Has oracle and pipeline judge the frames of an input.
pub(super) fn run(input: &[u8]) {
    let mut input = Input(input);
    let Some(number) = input.u16() else {
        return;
    };
    let mut host = host(number.into());
    let mut subject = InMemory::default();
    let mut course = Course::start(&host, &mut subject);
    let mut step = 0;
    while let Some(kind) = input.u8() {
        let argument = input.u16().unwrap_or(0);
        match kind & 3 {
            TIME => {
                course.wait(argument.into());
                course.set_room(match kind >> 2 {
                    1 => Room::Taken,
                    _ => Room::Free,
                });
            }
            CHANGE => {
                change(argument.into(), &host).apply(&mut host);
                let changed = course.set_host(&host);
                changed.unwrap_or_else(|mismatch| panic!("{mismatch:?}"));
            }
            side => {
                let is_tagged = kind & BESIDE != 0;
                let vlan = if is_tagged { argument & 0x0fff } else { 0 };
                let length = if is_tagged {
                    input.u16().unwrap_or(0)
                } else {
                    argument
                };
                let frame = input.bytes(length.into());
                course.subject.vlan_beside = vlan;
                let direction = if side == OUTBOUND {
                    Direction::Outbound
                } else {
                    Direction::Inbound
                };
                // A tag beside the frame is its outermost.
                let packet = decode(&tagged(frame, vlan));
                course.judge(step, direction, true, packet, frame);
            }
        }
        step += 1;
    }
    let judged = course.finish();
    judged.unwrap_or_else(|mismatch| panic!("{mismatch:?}"));
}

/// The frame with its tag inside, if it has one and is long enough for any.
fn tagged(frame: &[u8], vlan: u16) -> Vec<u8> {
    let mut whole = frame.to_vec();
    if vlan != 0 && frame.len() >= 14 {
        let [high, low] = vlan.to_be_bytes();
        whole.splice(12..12, [0x81, 0x00, high, low]);
    }
    whole
}

/// Random traffic at random hosts.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let files = files(&data.join("captures"), &["pcap"]);
    let captures = files.iter().flat_map(|file| captured(file));
    (0..HOSTS).map(at_random).chain(captures).collect()
}

/// Random traffic at the host of a number, which changes in between.
fn at_random(number: u16) -> Vec<u8> {
    let mut rng = Rng::with_seed(number.into());
    let mut host = host(number.into());
    let mut input = number.to_le_bytes().to_vec();
    let mut time = TIME;
    for chapter in 0..3 {
        if chapter > 0 {
            let number = rng.u16(..);
            change(number.into(), &host).apply(&mut host);
            push(&mut input, CHANGE, number);
        }
        for step in traffic(rng.fork(), &host, 8) {
            match step {
                Step::Wait(mut ticks) => {
                    while ticks > 0 {
                        let some = ticks.min(u16::MAX.into());
                        push(&mut input, time, some as u16);
                        ticks -= some;
                    }
                }
                Step::Packet {
                    inbound,
                    packet,
                    flips,
                    ..
                } => {
                    let (frame, _) = spoilt(&packet, &flips);
                    push_frame(&mut input, inbound, &frame);
                }
                Step::Room(room) => {
                    time = TIME | (room as u8) << 2;
                    push(&mut input, time, 0);
                }
                Step::Change(_) => {}
            }
        }
    }
    input
}

fn push(input: &mut Vec<u8>, kind: u8, argument: u16) {
    input.push(kind);
    input.extend(argument.to_le_bytes());
}

fn push_frame(input: &mut Vec<u8>, inbound: bool, frame: &[u8]) {
    let kind = if inbound { 0 } else { OUTBOUND };
    push(input, kind, frame.len() as u16);
    input.extend(frame);
}

/// The packets of a capture, each `PER_INPUT` of them at another host. Whoever speaks first is the
/// other side.
fn captured(file: &[u8]) -> Vec<Vec<u8>> {
    let Ok(capture) = PcapCapture::from_file(file) else {
        return Vec::new();
    };
    if capture.header.network != Linktype::ETHERNET {
        return Vec::new();
    }
    let frames: Vec<_> = capture.blocks.iter().map(|block| block.data).collect();
    let remote = frames.first().and_then(|frame| frame.get(6..12));
    let pieces = frames.chunks(PER_INPUT).take(INPUTS).zip(0_u16..);
    pieces
        .map(|(frames, host)| {
            let mut input = host.to_le_bytes().to_vec();
            for frame in frames {
                let inbound = frame.get(6..12) == remote;
                push_frame(&mut input, inbound, frame);
                push(&mut input, TIME, 1);
            }
            input
        })
        .collect()
}
