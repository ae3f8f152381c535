//! The programs with maps of their own, attached to nothing: they judge what they are handed
//! (`BPF_PROG_TEST_RUN`) at a time that they are told.
//!
//! Nothing is pinned, so that nothing can be left behind or met by anybody else.

use aya::maps::{MapData, RingBuf};
use sg_common::event::{Event, Record};
use sg_common::image::CURRENT;
use sg_common::reason::Verdict;
use sg_common::settings::{InterfaceSettings, ProgramConfig};

use super::error::DataplaneError;
use super::gate::{Entry, Gates};
use super::maps::Maps;
use super::program::Programs;
use super::{image, privilege};

/// Return values of the hooks (`include/uapi/linux`: `bpf.h`, `pkt_cls.h`).
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const TC_NEXT: u32 = u32::MAX;
const TC_DROP: u32 = 2;

/// The zone of the interface that does not exist.
const ZONE: u32 = 0;

impl Entry {
    /// The bytes that a frame must have at least for the kernel to run the program with it: at TC
    /// it makes a socket buffer, which holds the header that the Ethernet header promises
    /// (6.18, `net/bpf/test_run.c`).
    pub fn least_frame(self, frame: &[u8]) -> usize {
        match (self, frame.get(12..14)) {
            (Self::Xdp(_), _) => 14,
            (_, Some([0x08, 0x00])) => 14 + 20,
            (_, Some([0x86, 0xdd])) => 14 + 40,
            _ => 14 + 1,
        }
    }
}

/// The programs of one interface that does not exist.
pub struct Sandbox {
    gates: Gates,
    maps: Maps,
    events: RingBuf<MapData>,
}

impl Sandbox {
    /// Loads the programs, with room for so many flows.
    ///
    /// # Errors
    /// When the process lacks capabilities, or the kernel refuses.
    pub fn load(config: ProgramConfig, flows: u32) -> Result<Self, DataplaneError> {
        privilege::check()?;
        let (programs, maps, events) = Programs::load_apart(config, flows)?;
        Ok(Self {
            gates: Gates::new(programs, ZONE),
            maps,
            events,
        })
    }

    /// Runs a program on a frame, of [so many bytes](Entry::least_frame) at least, and
    /// not much more than 3 KiB at most: one page less what the kernel puts around it.
    ///
    /// # Errors
    /// When the kernel refuses the program or the frame.
    pub fn run(&mut self, entry: Entry, frame: &[u8]) -> Result<Verdict, DataplaneError> {
        let code = self.gates.run(entry, frame, 1, None)?.code;
        match (entry, code) {
            (Entry::Xdp(_), XDP_PASS) | (Entry::Tc(_), TC_NEXT) => Ok(Verdict::Pass),
            (Entry::Xdp(_), XDP_DROP) | (Entry::Tc(_), TC_DROP) => Ok(Verdict::Drop),
            _ => Err(DataplaneError::UnknownVerdict {
                program: entry.name(),
                code,
            }),
        }
    }

    /// The oldest event that was not taken yet.
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            // Records of another size cannot be: the programs write only events.
            if let Some(record) = Record::from_bytes(&self.events.next()?) {
                return Some(record.event);
            }
        }
    }

    /// Puts a policy image in force.
    ///
    /// # Errors
    /// When the words are no image for these programs, or too many.
    pub fn install(&mut self, words: &[u32]) -> Result<(), DataplaneError> {
        image::swap(&mut self.maps, CURRENT, words, |_| Ok(())).map(drop)
    }

    /// Changes the settings of the interface.
    ///
    /// # Errors
    /// When the kernel does not let them be written.
    pub fn set_settings(&mut self, settings: &InterfaceSettings) -> Result<(), DataplaneError> {
        self.maps.set_settings(ZONE, settings)
    }

    /// Sets the time, in jiffies; the programs must be loaded with a test clock.
    ///
    /// # Errors
    /// When the kernel does not let it be written.
    pub fn set_clock(&mut self, jiffies: u64) -> Result<(), DataplaneError> {
        self.maps.set_test_clock(jiffies)
    }
}
