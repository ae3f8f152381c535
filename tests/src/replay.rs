//! Captures judged twice: by `sg-ctl replay`'s library, and by the oracle.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use sg_common::reason::Verdict;
use sg_ctl::{
    host,
    host::state::Overrides,
    replay::{Capture, CaptureError, Guard, HZ, Replay, START},
};
use sg_policy::model::{InterfaceSpec, Model};

use crate::{
    oracle::{Host, Oracle, decode},
    prog,
};

/// What both said about captures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Captures.
    pub captures: u64,
    /// Packets on which they agree.
    pub judged: u64,
    /// Those of them that pass.
    pub passed: u64,
    /// Packets that are not judged.
    pub skipped: u64,
}

/// Judges captures, one after the other, by the rules of `eth0` in a rule file.
///
/// # Panics
/// When the programs and the oracle differ on a packet.
pub fn judge(
    captures: &[PathBuf],
    rules: &str,
    overrides: &Overrides,
    local: &[IpNet],
) -> Agreement {
    let model = prog::read(rules);
    let spec = host::guarded(&model, "eth0", overrides).expect("the interface is right");
    judge_as(captures, &model, &spec, local)
}

/// Judges captures as those of an interface.
///
/// # Panics
/// When the programs and the oracle differ on a packet.
pub fn judge_as(
    captures: &[PathBuf],
    model: &Model,
    spec: &InterfaceSpec,
    local: &[IpNet],
) -> Agreement {
    let guard = Guard { model, spec, local };
    let mut oracle = Oracle::new(&Host {
        model: model.clone(),
        interface: InterfaceSpec {
            audit: false,
            ..spec.clone()
        },
        addresses: guard.addresses(),
        others: Vec::new(),
        has_policy: true,
    });
    let mut replay = Replay::new(guard).expect("the kernel takes the programs");
    let mut agreement = Agreement::default();
    let mut now = START;
    for path in captures {
        agreement.captures += 1;
        let mut capture = Capture::open(path).expect("it is a capture");
        while let Some(packet) = next(&mut capture) {
            let judged = replay.judge(&packet).expect("the kernel judges it");
            let Ok(judgement) = judged else {
                agreement.skipped += 1;
                continue;
            };
            oracle.wait(Duration::from_millis((judgement.jiffies - now) * 1000 / HZ));
            now = judgement.jiffies;
            let length = u64::from(judgement.event.length);
            let theirs = oracle.judge(judgement.direction, &decode(replay.frame()), length);
            let rule = replay.numbers().rule(judgement.event.rule);
            let rule = rule.map(|rule| (rule.group_id.clone(), rule.rule_id.clone()));
            assert_eq!(
                (judgement.verdict, judgement.reason, rule),
                (theirs.verdict, theirs.reason, theirs.rule),
                "{} packet {}: {:?}\n{:02x?}\n{spec:#?}",
                path.display(),
                packet.number,
                decode(replay.frame()),
                replay.frame()
            );
            agreement.judged += 1;
            agreement.passed += u64::from(judgement.verdict == Verdict::Pass);
        }
    }
    agreement
}

/// The next packet; a capture that is cut off ends there.
fn next(capture: &mut Capture) -> Option<sg_ctl::replay::Packet<'_>> {
    match capture.next_packet() {
        Ok(packet) => packet,
        Err(CaptureError::CutOff { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

/// The captures in a directory, in the order of their first packets.
pub fn captures_in(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", directory.display()));
    let mut captures: Vec<_> = entries
        .map(|entry| entry.expect("a readable directory").path())
        .filter(|path| {
            let kind = path.extension().and_then(|kind| kind.to_str());
            matches!(kind, Some("pcap" | "pcapng" | "cap" | "trace"))
        })
        .map(|path| {
            let capture = Capture::open(&path);
            let time = capture
                .ok()
                .and_then(|mut capture| next(&mut capture)?.time);
            (time, path)
        })
        .collect();
    captures.sort();
    captures.into_iter().map(|(_, path)| path).collect()
}

/// A capture file in the making (pcap, nanoseconds, Ethernet).
#[derive(Debug)]
pub struct CaptureFile(Vec<u8>);

impl Default for CaptureFile {
    fn default() -> Self {
        let mut bytes = 0xa1b2_3c4d_u32.to_le_bytes().to_vec();
        bytes.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend(0x0004_0000_u32.to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
        Self(bytes)
    }
}

impl CaptureFile {
    /// Adds a frame of which `captured` bytes were captured.
    pub fn push(&mut self, time: Duration, frame: &[u8], captured: usize) {
        let captured = captured.min(frame.len());
        for word in [
            time.as_secs() as u32,
            time.subsec_nanos(),
            captured as u32,
            frame.len() as u32,
        ] {
            self.0.extend(word.to_le_bytes());
        }
        self.0.extend(&frame[..captured]);
    }

    /// The file's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Writes the file.
    pub fn write(&self, path: &Path) {
        fs::write(path, &self.0).expect("the directory is ours");
    }
}

/// Says something about a test whether it fails or not.
pub fn say(text: &str) {
    // Not println: libtest would keep it from view unless the test fails.
    let _ = writeln!(io::stdout(), "{text}");
}
