//! Flows that existed before their interface was guarded, put into the flow table.

use schemars::JsonSchema;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use sg_common::ends::{Ends, VlanIds};
use sg_common::flow::{Direction, FLOW_OPENED_OUTBOUND, FlowKey, FlowSeed, FlowState};
use sg_common::names::PROGRAM_SEED;
use sg_common::reason::Reason;
use sg_common::tcp::Numbers;

use super::Dataplane;
use super::error::DataplaneError;
use super::pins::{PinDir, pin_error};
use super::program::{self, Programs};
use super::sys;
use crate::host::crash::{CrashPoint, reach};

/// A connection as an interface sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Connection {
    /// The tags that its frames bear.
    pub vlan: VlanIds,
    /// IP protocol number.
    pub protocol: u8,
    /// The end on the protected side; port 0 for protocols without ports.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
    /// How far it is.
    pub state: FlowState,
    /// Who opened it.
    pub opened: Direction,
}

impl Connection {
    fn seed(&self, zone: u32) -> FlowSeed {
        let [local, remote] = [self.local, self.remote].map(|end| (end.ip().into(), end.port()));
        let ends = Ends::new(local, remote);
        FlowSeed {
            key: FlowKey::new(zone, self.vlan, self.protocol, ends),
            state: self.state.0.into(),
            flags: match self.opened {
                Direction::Inbound => 0,
                Direction::Outbound => FLOW_OPENED_OUTBOUND.into(),
            },
            numbers: Numbers::NONE,
        }
    }
}

/// What became of connections that were to be flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, JsonSchema)]
pub struct Seeded {
    /// They are flows now.
    pub opened: usize,
    /// They were already: their packets had been seen.
    pub known: usize,
    /// There is no room for them.
    pub refused: usize,
}

impl Dataplane {
    /// Opens flows for connections of a zone. Those that are known are left alone.
    ///
    /// A program does it, inside the kernel: this process could be killed while it writes a slot.
    ///
    /// # Errors
    /// When nothing is loaded, or the kernel refuses the program.
    pub fn seed(
        &mut self,
        zone: u32,
        connections: &[Connection],
    ) -> Result<Seeded, DataplaneError> {
        reach(CrashPoint::Seeding);
        let mut seeded = Seeded::default();
        let seeds = connections.iter().map(|connection| connection.seed(zone));
        for code in self.run_seeds(seeds)? {
            let count = match code {
                code if code == Reason::New as u32 => &mut seeded.opened,
                code if code == Reason::Established as u32 => &mut seeded.known,
                _ => &mut seeded.refused,
            };
            *count += 1;
        }
        Ok(seeded)
    }

    /// Runs the program that opens flows, and returns its answer to each.
    pub(super) fn run_seeds(
        &mut self,
        seeds: impl ExactSizeIterator<Item = FlowSeed>,
    ) -> Result<Vec<u32>, DataplaneError> {
        let mut codes = Vec::with_capacity(seeds.len());
        if seeds.len() == 0 {
            return Ok(codes);
        }
        let program = program(&self.pins)?;
        for seed in seeds {
            let run = sys::run(&program, &seed.bytes(), 1, None);
            let run = run.map_err(|source| DataplaneError::Run {
                program: PROGRAM_SEED,
                source,
            })?;
            codes.push(run.code);
        }
        Ok(codes)
    }
}

/// The program that opens flows: pinned, for it is verified once.
fn program(pins: &PinDir) -> Result<OwnedFd, DataplaneError> {
    let pin = pins.seed();
    if !pin.exists() {
        let mut programs = Programs::load(pins, program::config()?)?;
        programs
            .seed()?
            .pin(&pin)
            .map_err(|error| pin_error("pin", &pin, io::Error::other(error)))?;
    }
    sys::open_pin(&pin).map_err(|source| pin_error("open", &pin, source))
}
