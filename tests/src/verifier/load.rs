//! What the kernel's verifier says about programs that it accepts, and makes of them.
//!
//! aya keeps no log of a load that succeeds, so this loads the programs once more by bpf(2).
#![expect(unsafe_code, reason = "three commands of bpf(2)")]

use std::{
    ffi::CStr,
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd as _, OwnedFd},
};

use anyhow::{Context as _, Result, ensure};
use aya::{EbpfLoader, maps::Map};
use aya_obj::{
    Function, Object, ProgramSection,
    generated::{
        BPF_F_XDP_HAS_FRAGS,
        bpf_attach_type::BPF_XDP,
        bpf_attr, bpf_cmd, bpf_prog_info,
        bpf_prog_type::{BPF_PROG_TYPE_SCHED_CLS, BPF_PROG_TYPE_XDP},
    },
};
use nix::libc;
use sg_common::{names::GLOBAL_CONFIG, settings::ProgramConfig};
use sg_ctl::host::dataplane::OBJECT;

/// `log_level`: statistics only (`include/linux/bpf_verifier.h`, Linux 6.18).
const BPF_LOG_STATS: u32 = 4;

/// A program as the verifier leaves it.
pub(super) struct Verified {
    /// The statistics of the log: a few lines such as `stack depth 392+0`.
    pub(super) log: String,
    /// The translated instructions, as numbers: the code is the lowest byte.
    pub(super) translated: Vec<u64>,
}

/// Loads programs and returns what became of each, in their order.
pub(super) fn verified(programs: &[&str], config: ProgramConfig) -> Result<Vec<Verified>> {
    let mut loader = EbpfLoader::new();
    loader.override_global(GLOBAL_CONFIG, &config, true);
    let maps = loader.load(OBJECT)?;

    // What follows is aya's own way from the object to instructions.
    let mut object = Object::parse(OBJECT)?;
    let features = aya::features();
    let btf = object
        .fixup_and_sanitize_btf(features.btf().context("the kernel has no BTF")?)?
        .context("the object has no BTF")?;
    let btf = load_btf(&btf.to_bytes()).context("cannot load BTF")?;
    let definitions = object.maps.clone();
    let mut descriptors = Vec::new();
    for (name, definition) in &definitions {
        let map = maps.map(name).with_context(|| format!("no map {name}"))?;
        descriptors.push((name.as_str(), map_fd(map)?.as_raw_fd(), definition));
    }
    let sections = object
        .functions
        .keys()
        .map(|(section, _)| *section)
        .collect();
    object.relocate_maps(descriptors.into_iter(), &sections)?;
    object.relocate_calls(&sections)?;
    object.sanitize_functions(features);

    let verified = |name: &&str| {
        let program = object.programs.get(*name);
        let program = program.with_context(|| format!("no program {name}"))?;
        let function = &object.functions[&program.function_key()];
        let is_xdp = matches!(program.section, ProgramSection::Xdp { .. });
        let (program, log) = load(function, is_xdp, &program.license, btf.as_fd())
            .with_context(|| format!("cannot load {name}"))?;
        let translated = translated(program.as_fd());
        Ok(Verified {
            log,
            translated: translated.with_context(|| format!("cannot read {name} back"))?,
        })
    };
    programs.iter().map(verified).collect()
}

fn map_fd(map: &Map) -> Result<BorrowedFd<'_>> {
    match map {
        Map::Array(map)
        | Map::ArrayOfMaps(map)
        | Map::HashMap(map)
        | Map::LruHashMap(map)
        | Map::PerCpuArray(map)
        | Map::PerCpuHashMap(map)
        | Map::ProgramArray(map)
        | Map::RingBuf(map) => Ok(map.fd().as_fd()),
        _ => anyhow::bail!("a map of another type"),
    }
}

/// Calls bpf(2).
///
/// # Safety
/// `attr` must be what the command takes: every pointer good for what the kernel does with it.
unsafe fn bpf(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<libc::c_int> {
    // SAFETY: the kernel reads and writes at most the given size; the rest is the caller's promise.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as libc::c_long,
            std::ptr::from_mut(attr),
            size_of::<bpf_attr>(),
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result as libc::c_int)
}

/// Calls bpf(2) for a command that returns a file descriptor.
///
/// # Safety
/// As of [`bpf`].
unsafe fn bpf_fd(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<OwnedFd> {
    // SAFETY: the caller's promise; a new descriptor, which nobody else has.
    unsafe { Ok(OwnedFd::from_raw_fd(bpf(command, attr)?)) }
}

fn zeroed_attr() -> bpf_attr {
    // SAFETY: a union of structs of integers, for which zero is a value.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

fn load_btf(btf: &[u8]) -> io::Result<OwnedFd> {
    let mut attr = zeroed_attr();
    // SAFETY: all fields of this command; the bytes live until the call returns.
    unsafe {
        attr.__bindgen_anon_7.btf = btf.as_ptr() as u64;
        attr.__bindgen_anon_7.btf_size = btf.len() as u32;
        bpf_fd(bpf_cmd::BPF_BTF_LOAD, &mut attr)
    }
}

/// Loads a program, returns it and the verifier's log.
fn load(
    function: &Function,
    is_xdp: bool,
    license: &CStr,
    btf: BorrowedFd<'_>,
) -> io::Result<(OwnedFd, String)> {
    let functions = function.func_info.func_info_bytes();
    let lines = function.line_info.line_info_bytes();
    let mut log = vec![0_u8; 64 << 10];
    let mut attr = zeroed_attr();
    // SAFETY: the fields of this command; everything that they point to outlives the call.
    let program = unsafe {
        let load = &mut attr.__bindgen_anon_3;
        if is_xdp {
            load.prog_type = BPF_PROG_TYPE_XDP as u32;
            load.expected_attach_type = BPF_XDP as u32;
            load.prog_flags = BPF_F_XDP_HAS_FRAGS;
        } else {
            load.prog_type = BPF_PROG_TYPE_SCHED_CLS as u32;
        }
        load.insns = function.instructions.as_ptr() as u64;
        load.insn_cnt = function.instructions.len() as u32;
        load.license = license.as_ptr() as u64;
        load.prog_btf_fd = btf.as_raw_fd().cast_unsigned();
        load.func_info = functions.as_ptr() as u64;
        load.func_info_cnt = function.func_info.len() as u32;
        load.func_info_rec_size = function.func_info_rec_size as u32;
        load.line_info = lines.as_ptr() as u64;
        load.line_info_cnt = function.line_info.len() as u32;
        load.line_info_rec_size = function.line_info_rec_size as u32;
        load.log_level = BPF_LOG_STATS;
        load.log_buf = log.as_mut_ptr() as u64;
        load.log_size = log.len() as u32;
        bpf_fd(bpf_cmd::BPF_PROG_LOAD, &mut attr)?
    };
    let end = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
    Ok((program, String::from_utf8_lossy(&log[..end]).into_owned()))
}

/// Reads the translated instructions of a program.
fn translated(program: BorrowedFd<'_>) -> Result<Vec<u64>> {
    let length = info(program, &mut [])?.xlated_prog_len as usize;
    let mut instructions = vec![0; length / size_of::<u64>()];
    let pointer = info(program, &mut instructions)?.xlated_prog_insns;
    ensure!(
        pointer != 0,
        "the kernel keeps its instructions to itself (net.core.bpf_jit_harden)"
    );
    Ok(instructions)
}

/// Asks the kernel about a program, and for its instructions as far as there is room.
fn info(program: BorrowedFd<'_>, instructions: &mut [u64]) -> io::Result<bpf_prog_info> {
    // SAFETY: a struct of integers, for which zero is a value.
    let mut info: bpf_prog_info = unsafe { MaybeUninit::zeroed().assume_init() };
    info.xlated_prog_len = size_of_val(instructions) as u32;
    if !instructions.is_empty() {
        info.xlated_prog_insns = instructions.as_mut_ptr() as u64;
    }
    let mut attr = zeroed_attr();
    // SAFETY: the fields of this command; both buffers outlive the call and are as long as it says.
    unsafe {
        attr.info.bpf_fd = program.as_raw_fd().cast_unsigned();
        attr.info.info_len = size_of::<bpf_prog_info>() as u32;
        attr.info.info = (&raw mut info) as u64;
        bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
    }
    Ok(info)
}
