//! Programs that are written here, instruction by instruction, and runs of programs on the spot.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, FromRawFd as _, OwnedFd};
use std::time::Duration;

use aya_obj::generated::{
    BPF_ADD, BPF_ALU64, BPF_CALL, BPF_DW, BPF_EXIT, BPF_F_XDP_HAS_FRAGS, BPF_IMM, BPF_JEQ, BPF_JMP,
    BPF_K, BPF_LD, BPF_MEM, BPF_MOV, BPF_PSEUDO_MAP_FD, BPF_ST, BPF_W, BPF_X, bpf_attach_type,
    bpf_cmd, bpf_insn, bpf_prog_info, bpf_prog_type,
};
use nix::libc;

use super::{bpf, fd, zeroed_attr};

/// What the kernel must be told, for the helpers that a gate calls.
const LICENSE: &CStr = c"Dual MIT/GPL";
/// Helpers (`enum bpf_func_id`, `include/uapi/linux/bpf.h`).
const MAP_LOOKUP_ELEM: i32 = 1;
const TAIL_CALL: i32 = 12;
/// Registers.
const R0: u8 = 0;
const R1: u8 = 1;
const R2: u8 = 2;
const R3: u8 = 3;
const R6: u8 = 6;
const R10: u8 = 10;

/// A gate: notes the zone in `work`, and goes on to the program at `index` of `programs`.
pub(in super::super) struct GateCode<'a, W, P> {
    /// Whether it is at XDP; else it is at TC.
    pub(in super::super) is_xdp: bool,
    /// The zone.
    pub(in super::super) zone: u32,
    /// Where the zone is noted: a per-CPU array whose first word is the zone.
    pub(in super::super) work: &'a W,
    /// The array of programs.
    pub(in super::super) programs: &'a P,
    /// The place of the program in it.
    pub(in super::super) index: u32,
    /// What becomes of a packet when there is no program.
    pub(in super::super) otherwise: u32,
}

impl<W: AsFd, P: AsFd> GateCode<'_, W, P> {
    fn instructions(&self) -> [bpf_insn; 16] {
        let [work, work_high] = map(R1, self.work);
        let [programs, programs_high] = map(R2, self.programs);
        let imm = |value: u32| value.cast_signed();
        [
            instruction(BPF_ALU64 | BPF_MOV | BPF_X, (R6, R1), 0, 0),
            // The key, zero.
            instruction(BPF_ST | BPF_MEM | BPF_W, (R10, 0), -4, 0),
            instruction(BPF_ALU64 | BPF_MOV | BPF_X, (R2, R10), 0, 0),
            instruction(BPF_ALU64 | BPF_ADD | BPF_K, (R2, 0), 0, -4),
            work,
            work_high,
            instruction(BPF_JMP | BPF_CALL, (0, 0), 0, MAP_LOOKUP_ELEM),
            instruction(BPF_JMP | BPF_JEQ | BPF_K, (R0, 0), 6, 0),
            instruction(BPF_ST | BPF_MEM | BPF_W, (R0, 0), 0, imm(self.zone)),
            instruction(BPF_ALU64 | BPF_MOV | BPF_X, (R1, R6), 0, 0),
            programs,
            programs_high,
            instruction(BPF_ALU64 | BPF_MOV | BPF_K, (R3, 0), 0, imm(self.index)),
            instruction(BPF_JMP | BPF_CALL, (0, 0), 0, TAIL_CALL),
            // A tail call returns only when it fails.
            instruction(BPF_ALU64 | BPF_MOV | BPF_K, (R0, 0), 0, imm(self.otherwise)),
            instruction(BPF_JMP | BPF_EXIT, (0, 0), 0, 0),
        ]
    }

    /// Loads it under a name of at most 15 bytes.
    pub(in super::super) fn load(&self, name: &str) -> io::Result<OwnedFd> {
        let instructions = self.instructions();
        let mut attr = zeroed_attr();
        // SAFETY: the fields of this command; what they point to outlives the call, and the result
        // is a new descriptor.
        unsafe {
            let load = &mut attr.__bindgen_anon_3;
            if self.is_xdp {
                load.prog_type = bpf_prog_type::BPF_PROG_TYPE_XDP as u32;
                load.expected_attach_type = bpf_attach_type::BPF_XDP as u32;
                load.prog_flags = BPF_F_XDP_HAS_FRAGS;
            } else {
                load.prog_type = bpf_prog_type::BPF_PROG_TYPE_SCHED_CLS as u32;
            }
            load.insns = instructions.as_ptr() as u64;
            load.insn_cnt = instructions.len() as u32;
            load.license = LICENSE.as_ptr() as u64;
            for (to, from) in load.prog_name.iter_mut().zip(name.bytes().take(15)) {
                *to = libc::c_char::from_ne_bytes([from]);
            }
            let fd = bpf(bpf_cmd::BPF_PROG_LOAD, &mut attr)?;
            Ok(OwnedFd::from_raw_fd(fd as i32))
        }
    }
}

fn instruction(code: u32, (to, from): (u8, u8), off: i16, imm: i32) -> bpf_insn {
    bpf_insn {
        code: code as u8,
        _bitfield_align_1: [],
        _bitfield_1: bpf_insn::new_bitfield_1(to, from),
        off,
        imm,
    }
}

/// Loads the address of a map, in two instructions.
fn map(to: u8, map: &impl AsFd) -> [bpf_insn; 2] {
    let load = BPF_LD | BPF_DW | BPF_IMM;
    let descriptor = fd(map).cast_signed();
    [
        instruction(load, (to, BPF_PSEUDO_MAP_FD as u8), 0, descriptor),
        instruction(0, (0, 0), 0, 0),
    ]
}

/// The id of a program.
pub(in super::super) fn program_id(program: &impl AsFd) -> io::Result<u32> {
    // SAFETY: a struct of integers, for which zero is a value.
    let mut info: bpf_prog_info = unsafe { std::mem::MaybeUninit::zeroed().assume_init() };
    let mut attr = zeroed_attr();
    // SAFETY: the fields of this command; the kernel writes at most `info_len` bytes to `info`.
    unsafe {
        attr.info.bpf_fd = fd(program);
        attr.info.info = std::ptr::from_mut(&mut info) as u64;
        attr.info.info_len = size_of::<bpf_prog_info>() as u32;
        bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
    }
    Ok(info.id)
}

/// Attaches an XDP program to an interface by a link (`BPF_LINK_CREATE`, Linux 5.9).
pub(in super::super) fn attach_xdp(
    program: &impl AsFd,
    ifindex: u32,
    flags: u32,
) -> io::Result<OwnedFd> {
    let mut attr = zeroed_attr();
    attr.link_create.__bindgen_anon_1.prog_fd = fd(program);
    attr.link_create.__bindgen_anon_2.target_ifindex = ifindex;
    attr.link_create.attach_type = bpf_attach_type::BPF_XDP as u32;
    attr.link_create.flags = flags;
    // SAFETY: no pointers are in it, and the result is a new descriptor.
    unsafe {
        let fd = bpf(bpf_cmd::BPF_LINK_CREATE, &mut attr)?;
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}

/// What came of running a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// What it returned, the last time.
    pub code: u32,
    /// Time that one run took, on average.
    pub each: Duration,
}

/// Runs a program `times` over on a frame (`BPF_PROG_TEST_RUN`), and leaves the frame as the last run
/// left it in `out`, as far as there is room.
pub(in super::super) fn run(
    program: &impl AsFd,
    frame: &[u8],
    times: u32,
    out: Option<&mut [u8]>,
) -> io::Result<Run> {
    let mut attr = zeroed_attr();
    // SAFETY: the fields of this command; both buffers outlive the call and are as long as it says.
    let result = unsafe {
        attr.test.prog_fd = fd(program);
        attr.test.repeat = times;
        attr.test.data_in = frame.as_ptr() as u64;
        attr.test.data_size_in = frame.len() as u32;
        if let Some(out) = out {
            attr.test.data_out = out.as_mut_ptr() as u64;
            attr.test.data_size_out = out.len() as u32;
        }
        bpf(bpf_cmd::BPF_PROG_TEST_RUN, &mut attr)
    };
    match result {
        // The frame has grown beyond the room that there is for it.
        Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => {}
        result => drop(result?),
    }
    // SAFETY: the member of the union that this command uses; the kernel has written both.
    let (code, nanoseconds) = unsafe { (attr.test.retval, attr.test.duration) };
    Ok(Run {
        code,
        each: Duration::from_nanos(nanoseconds.into()),
    })
}
