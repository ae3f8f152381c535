//! The kernel programs: the object built into this binary, loaded once for all interfaces.

use std::io::Write;
use std::path::{Path, PathBuf};

use aya::maps::{Map, MapData, RingBuf};
use aya::programs::{Program, ProgramError, ProgramFd, ProgramInfo, SchedClassifier, Xdp};
use aya::{Ebpf, EbpfError, EbpfLoader};
use nix::errno::Errno;
use sg_common::names::{
    GLOBAL_CONFIG, GLOBAL_FLOW_BUCKETS, GLOBAL_HASH_SEED, MAP_EVENTS, MAP_FLOW_SLOTS,
    MAP_FLOW_TAGS, PROGRAM_CLOCK, PROGRAM_SEED, SHARED_MAPS,
};
use sg_common::settings::{DEFAULT_FLOWS, ProgramConfig};
use sg_common::table::{BUCKET_SLOTS, buckets_for};

use super::clock;
use super::compat;
use super::error::DataplaneError;
use super::flows::{self, FlowTable};
use super::gate::{Entry, Gate, GateMaps};
use super::maps::{self, Maps, map_error};
use super::pins::PinDir;
use crate::host::crash::{CrashPoint, reach};

/// The compiled sg-ebpf: an ELF file with the programs and maps of [`sg_common::names`].
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("SG_EBPF_OBJ"));

/// Names the programs in this binary: its version, and a digest of [`OBJECT`].
pub const BUILD: &str = concat!(env!("CARGO_PKG_VERSION"), "-", env!("SG_EBPF_DIGEST"));

/// The programs, on the shared maps of one pin directory.
///
/// Each program passes the verifier when it is first asked for, so only those that are used cost
/// anything. Dropping this unloads those that stand in no array and are not pinned.
pub struct Programs {
    ebpf: Ebpf,
    maps: GateMaps,
}

impl Programs {
    /// Reads the object and opens the shared maps, creating and pinning those that do not exist.
    /// Nothing is attached.
    ///
    /// # Errors
    /// When the pins cannot be made, or hold maps of another shape.
    pub fn load(pins: &PinDir, config: ProgramConfig) -> Result<Self, DataplaneError> {
        Self::load_or_make(pins, config, DEFAULT_FLOWS)
    }

    /// The same, with room for so many flows in maps that do not exist.
    pub(super) fn load_or_make(
        pins: &PinDir,
        config: ProgramConfig,
        flows: u32,
    ) -> Result<Self, DataplaneError> {
        pins.create()?;
        compat::check(OBJECT, pins)?;
        // One for both: each reads the kernel's types, some 6 MB, when it is made.
        let mut loader = EbpfLoader::new();
        for name in SHARED_MAPS {
            loader.map_pin_path(name, pins.map(name));
        }
        if !has_maps(pins) {
            let buckets = buckets_for(flows);
            loader
                .map_max_entries(MAP_FLOW_TAGS, buckets)
                .map_max_entries(MAP_FLOW_SLOTS, buckets * BUCKET_SLOTS)
                .load(OBJECT)
                .map_err(object_error)?;
            reach(CrashPoint::MapsPinned);
        }
        let table = FlowTable::open(pins)?;
        loader.override_global(GLOBAL_CONFIG, &config, true);
        loader.override_global(GLOBAL_FLOW_BUCKETS, &table.buckets, true);
        loader.override_global(GLOBAL_HASH_SEED, &table.seed, true);
        let ebpf = loader.load(OBJECT).map_err(object_error)?;
        let maps = GateMaps::open(pins)?;
        Ok(Self { ebpf, maps })
    }

    /// Reads the object with new maps that are pinned nowhere and have room for so many flows.
    ///
    /// # Errors
    /// When the kernel does not make the maps.
    pub(super) fn load_apart(
        config: ProgramConfig,
        flows: u32,
    ) -> Result<(Self, Maps, RingBuf<MapData>), DataplaneError> {
        let buckets = buckets_for(flows);
        let seed = flows::random_seed()?;
        let mut loader = EbpfLoader::new();
        loader
            .map_max_entries(MAP_FLOW_TAGS, buckets)
            .map_max_entries(MAP_FLOW_SLOTS, buckets * BUCKET_SLOTS)
            .override_global(GLOBAL_CONFIG, &config, true)
            .override_global(GLOBAL_FLOW_BUCKETS, &buckets, true)
            .override_global(GLOBAL_HASH_SEED, &seed, true);
        let mut ebpf = loader.load(OBJECT).map_err(object_error)?;
        let gates =
            GateMaps::from(|name| maps::take(&mut ebpf, name).map_err(map_error("open", name)))?;
        let maps = Maps::take(&mut ebpf)?;
        let events = maps::take(&mut ebpf, MAP_EVENTS)
            .and_then(Map::from_map_data)
            .and_then(RingBuf::try_from)
            .map_err(map_error("open", MAP_EVENTS))?;
        Ok((Self { ebpf, maps: gates }, maps, events))
    }

    /// Loads a program that judges, and describes it.
    ///
    /// # Errors
    /// When the kernel refuses it, see [`DataplaneError::ProgramRejected`].
    pub fn judge(&mut self, entry: Entry) -> Result<ProgramInfo, DataplaneError> {
        let name = entry.name();
        let info = if entry.is_xdp() {
            self.loaded(name, Xdp::load)?.info()
        } else {
            self.loaded(name, SchedClassifier::load)?.info()
        };
        info.map_err(|error| refused(name, error))
    }

    /// The descriptor of a program that judges, loaded.
    fn judge_fd(&mut self, entry: Entry) -> Result<&ProgramFd, DataplaneError> {
        let name = entry.name();
        let fd = if entry.is_xdp() {
            self.loaded(name, Xdp::load)?.fd()
        } else {
            self.loaded(name, SchedClassifier::load)?.fd()
        };
        fd.map_err(|error| refused(name, error))
    }

    /// Loads a program and puts it at its place, for every gate that leads there.
    pub(super) fn put(&mut self, entry: Entry) -> Result<(), DataplaneError> {
        let program = self.judge_fd(entry)?.try_clone();
        let program = program.map_err(|error| refused(entry.name(), error.into()))?;
        self.maps.set_program(entry, &program)
    }

    /// A gate of a zone, to a program that is put at its place if none is there.
    ///
    /// # Errors
    /// When the kernel refuses one of them.
    pub fn gate(&mut self, entry: Entry, zone: u32) -> Result<Gate, DataplaneError> {
        if self.maps.program(entry)?.is_none() {
            self.put(entry)?;
        }
        self.maps.gate(entry, zone)
    }

    /// The program that returns jiffies, loaded.
    pub(super) fn clock(&mut self) -> Result<&mut Xdp, DataplaneError> {
        self.loaded(PROGRAM_CLOCK, Xdp::load)
    }

    /// The program that opens flows, loaded.
    pub(super) fn seed(&mut self) -> Result<&mut Xdp, DataplaneError> {
        self.loaded(PROGRAM_SEED, Xdp::load)
    }

    fn loaded<'a, P>(
        &'a mut self,
        name: &'static str,
        load: fn(&mut P) -> Result<(), ProgramError>,
    ) -> Result<&'a mut P, DataplaneError>
    where
        &'a mut P: TryFrom<&'a mut Program, Error = ProgramError>,
    {
        let program = self
            .ebpf
            .program_mut(name)
            .ok_or(DataplaneError::ProgramMissing { program: name })?;
        let program = <&mut P>::try_from(program).map_err(|error| refused(name, error))?;
        patiently(|| load(program)).map_err(|error| refused(name, error))?;
        Ok(program)
    }
}

/// How often a program is loaded that the verifier does not get to the end of.
const ATTEMPTS: usize = 5;

/// Loads a program unless it is loaded. The verifier gives up when a signal comes (`EAGAIN`, Linux 6.18,
/// `kernel/bpf/verifier.c`), however harmless: then it is asked again.
///
/// # Errors
/// When the kernel refuses the program, or signals come again and again.
pub fn patiently(mut load: impl FnMut() -> Result<(), ProgramError>) -> Result<(), ProgramError> {
    let mut attempts = 1;
    loop {
        match load() {
            Err(ProgramError::AlreadyLoaded) => return Ok(()),
            Err(ProgramError::LoadError { io_error, .. })
                if io_error.raw_os_error() == Some(Errno::EAGAIN as i32) && attempts < ATTEMPTS =>
            {
                attempts += 1;
            }
            result => return result,
        }
    }
}

/// What the programs of interfaces are loaded with.
pub(super) fn config() -> Result<ProgramConfig, DataplaneError> {
    Ok(ProgramConfig {
        test_clock: 0,
        hz: clock::hz()? as u32,
    })
}

/// Puts a program at its place unless one is there: once for all interfaces. `programs` are read if they
/// have not been.
pub(super) fn ensure(
    programs: &mut Option<Programs>,
    pins: &PinDir,
    maps: &GateMaps,
    entry: Entry,
) -> Result<(), DataplaneError> {
    if maps.program(entry)?.is_none() {
        let programs = match programs {
            Some(programs) => programs,
            none => none.insert(Programs::load(pins, config()?)?),
        };
        pins.set_build(entry, Some(BUILD))?;
        programs.put(entry)?;
        reach(CrashPoint::ProgramPut);
    }
    Ok(())
}

/// Whether all shared maps are pinned.
pub(super) fn has_maps(pins: &PinDir) -> bool {
    let mut all = SHARED_MAPS.iter();
    match pins.pinned_maps() {
        Ok(pinned) => all.all(|name| pinned.iter().any(|pinned| pinned == name)),
        // For want of descriptors, say: that they are gone would take guards off their interfaces.
        Err(_) => all.all(|name| pins.map(name).exists()),
    }
}

fn object_error(error: EbpfError) -> DataplaneError {
    DataplaneError::Object(Box::new(error))
}

/// Keeps the verifier's log in a file: it may be megabytes, and only its end is for the terminal.
fn refused(program: &'static str, error: ProgramError) -> DataplaneError {
    let (source, log) = match error {
        ProgramError::LoadError {
            io_error,
            verifier_log,
        } => (io_error, verifier_log.to_string()),
        other => {
            return DataplaneError::Program {
                action: "load",
                program,
                source: Box::new(other),
            };
        }
    };
    let verdict = log
        .lines()
        .rev()
        // The verifier ends with statistics.
        .find(|line| !line.trim().is_empty() && !line.starts_with("processed "))
        .unwrap_or("no verifier log")
        .to_owned();
    let log = save_log(&std::env::temp_dir(), program, &log);
    DataplaneError::ProgramRejected {
        program,
        verdict,
        log,
        source,
    }
}

/// Writes a log to a new file, `None` when that fails: the error at hand matters more.
fn save_log(directory: &Path, program: &str, log: &str) -> Option<PathBuf> {
    let path = directory.join(format!("{program}-verifier-{}.log", std::process::id()));
    // create_new does not follow links that someone else may have put there.
    let mut file = std::fs::File::create_new(&path).ok()?;
    file.write_all(log.as_bytes()).ok()?;
    Some(path)
}

#[cfg(test)]
mod tests {
    use std::io;

    use aya_obj::VerifierLog;

    use super::*;

    /// What comes of a load that fails so often, and how often it was tried.
    fn load(errno: Errno, failures: usize) -> (Result<(), ProgramError>, usize) {
        let mut tried = 0;
        let result = patiently(|| {
            tried += 1;
            if tried > failures {
                return Ok(());
            }
            Err(ProgramError::LoadError {
                io_error: io::Error::from(errno),
                verifier_log: VerifierLog::new(String::new()),
            })
        });
        (result, tried)
    }

    #[test]
    fn a_program_is_loaded_again_where_a_signal_came_between() {
        assert!(matches!(load(Errno::EAGAIN, 4), (Ok(()), 5)));
        assert!(matches!(load(Errno::EAGAIN, 5), (Err(_), 5)));
        assert!(matches!(load(Errno::EACCES, 1), (Err(_), 1)));
        assert!(patiently(|| Err(ProgramError::AlreadyLoaded)).is_ok());
    }
}
