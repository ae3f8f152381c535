//! What the kernel's verifier says about programs that it accepts.
//!
//! aya keeps no log of a load that succeeds, so this loads the programs once more by bpf(2).
#![expect(unsafe_code, reason = "two commands of bpf(2)")]

use std::{
    ffi::CStr,
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd as _, OwnedFd},
};

use anyhow::{Context as _, Result};
use aya::{EbpfLoader, maps::Map};
use aya_obj::{
    Function, Object, ProgramSection,
    generated::{
        BPF_F_XDP_HAS_FRAGS,
        bpf_attach_type::BPF_XDP,
        bpf_attr, bpf_cmd,
        bpf_prog_type::{BPF_PROG_TYPE_SCHED_CLS, BPF_PROG_TYPE_XDP},
    },
};
use nix::libc;
use sg_common::{names::GLOBAL_CONFIG, settings::ProgramConfig};
use sg_ctl::dataplane::OBJECT;

/// `log_level`: statistics only (`include/linux/bpf_verifier.h`, Linux 6.18).
const BPF_LOG_STATS: u32 = 4;

/// Loads programs and returns the log of each, in their order: a few lines such as
/// `stack depth 392+0`.
pub(super) fn statistics(programs: &[&str], config: &ProgramConfig) -> Result<Vec<String>> {
    let mut loader = EbpfLoader::new();
    loader.override_global(GLOBAL_CONFIG, config, true);
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

    let log = |name: &&str| {
        let program = object.programs.get(*name);
        let program = program.with_context(|| format!("no program {name}"))?;
        let function = &object.functions[&program.function_key()];
        let is_xdp = matches!(program.section, ProgramSection::Xdp { .. });
        load(function, is_xdp, &program.license, btf.as_fd())
            .with_context(|| format!("cannot load {name}"))
    };
    programs.iter().map(log).collect()
}

fn map_fd(map: &Map) -> Result<BorrowedFd<'_>> {
    match map {
        Map::Array(map)
        | Map::ArrayOfMaps(map)
        | Map::HashMap(map)
        | Map::LruHashMap(map)
        | Map::PerCpuArray(map)
        | Map::PerCpuHashMap(map)
        | Map::RingBuf(map) => Ok(map.fd().as_fd()),
        _ => anyhow::bail!("a map of another type"),
    }
}

/// Calls bpf(2) for a command that returns a file descriptor.
///
/// # Safety
/// `attr` must be what the command takes: every pointer good for what the kernel does with it.
unsafe fn bpf(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<OwnedFd> {
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
    // SAFETY: a new descriptor, which nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(result as libc::c_int) })
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
        bpf(bpf_cmd::BPF_BTF_LOAD, &mut attr)
    }
}

/// Loads a program, returns the verifier's log and lets the program go.
fn load(
    function: &Function,
    is_xdp: bool,
    license: &CStr,
    btf: BorrowedFd<'_>,
) -> io::Result<String> {
    let functions = function.func_info.func_info_bytes();
    let lines = function.line_info.line_info_bytes();
    let mut log = vec![0_u8; 64 << 10];
    let mut attr = zeroed_attr();
    // SAFETY: the fields of this command; everything that they point to outlives the call.
    unsafe {
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
        bpf(bpf_cmd::BPF_PROG_LOAD, &mut attr)?;
    }
    let end = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
    Ok(String::from_utf8_lossy(&log[..end]).into_owned())
}
