//! The programs at a TCX hook (Linux 6.6).
//!
//! aya finds an interface by its name, which may be another one's by then, and opens every program
//! by its id, for which the kernel wants `CAP_SYS_ADMIN`.

use std::io;
use std::os::fd::{AsFd, FromRawFd as _, OwnedFd};

use aya::programs::tc::TcAttachType;
use aya_obj::generated::{BPF_F_BEFORE, bpf_attach_type, bpf_cmd};
use nix::libc;

use super::{bpf, fd, zeroed_attr};

/// Most programs that a hook has (`BPF_MPROG_MAX`, kernel/bpf/mprog.c).
const MOST: usize = 64;

/// A program at a hook.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) struct TcxProgram {
    /// Id of the program.
    pub(in super::super) program: u32,
    /// Id of the link that holds it there, 0 without one.
    pub(in super::super) link: u32,
}

const fn hook(of: TcAttachType) -> u32 {
    let hook = match of {
        TcAttachType::Ingress => bpf_attach_type::BPF_TCX_INGRESS,
        _ => bpf_attach_type::BPF_TCX_EGRESS,
    };
    hook as u32
}

/// Attaches a program before all others of a hook (`BPF_LINK_CREATE`), at the interface that has
/// this index in the network namespace of this thread.
pub(in super::super) fn attach_tcx(
    program: &impl AsFd,
    ifindex: u32,
    at: TcAttachType,
) -> io::Result<OwnedFd> {
    let mut attr = zeroed_attr();
    attr.link_create.__bindgen_anon_1.prog_fd = fd(program);
    attr.link_create.__bindgen_anon_2.target_ifindex = ifindex;
    attr.link_create.attach_type = hook(at);
    attr.link_create.flags = BPF_F_BEFORE;
    // SAFETY: no pointers are in it, and the result is a new descriptor.
    unsafe {
        let fd = bpf(bpf_cmd::BPF_LINK_CREATE, &mut attr)?;
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}

/// The programs of a hook (`BPF_PROG_QUERY`) in the order in which they see packets; none when the
/// network namespace of this thread has no interface of this index.
pub(in super::super) fn tcx_programs(
    ifindex: u32,
    at: TcAttachType,
) -> io::Result<Vec<TcxProgram>> {
    let (mut programs, mut links) = ([0_u32; MOST], [0_u32; MOST]);
    let mut attr = zeroed_attr();
    attr.query.__bindgen_anon_1.target_ifindex = ifindex;
    attr.query.attach_type = hook(at);
    attr.query.prog_ids = programs.as_mut_ptr() as u64;
    attr.query.__bindgen_anon_2.count = MOST as u32;
    attr.query.link_ids = links.as_mut_ptr() as u64;
    // SAFETY: the kernel writes at most `count` words to each array, and sets `count`.
    let (result, count) = unsafe {
        let result = bpf(bpf_cmd::BPF_PROG_QUERY, &mut attr);
        (result, attr.query.__bindgen_anon_2.count as usize)
    };
    match result {
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENODEV | libc::ENOENT)) => {
            return Ok(Vec::new());
        }
        result => result?,
    };
    let pairs = programs.into_iter().zip(links).take(count);
    Ok(pairs
        .map(|(program, link)| TcxProgram { program, link })
        .collect())
}
