//! The system calls that aya has no functions for; the only unsafe code of sg-ctl.
#![expect(
    unsafe_code,
    reason = "bpf(2) commands, mmap of map memory and readiness of descriptors, each wrapped in a \
              safe function"
)]

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use aya_obj::generated::{bpf_attr, bpf_cmd, bpf_link_info, bpf_link_type};
use nix::errno::Errno;
use nix::libc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

pub(super) use ethtool::strips_vlans;
pub(super) use map::{ArrayShape, Cursor, Outer, Table, freeze, set_slot, slot_id};
pub(super) use memory::{MappedSlots, MappedTags, MappedWords};
pub use program::Run;
pub(super) use program::{GateCode, attach_xdp, program_id, run};
pub(super) use tcx::{TcxProgram, attach_tcx, tcx_programs};

mod ethtool;
mod map;
mod memory;
mod program;
mod tcx;

/// Calls bpf(2).
///
/// # Safety
/// `attr` must be what `command` takes: every pointer in it good for what the kernel does with it.
unsafe fn bpf(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<libc::c_long> {
    // SAFETY: the kernel reads and writes at most the given size; the rest is the caller's promise.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as libc::c_long,
            std::ptr::from_mut(attr),
            size_of::<bpf_attr>(),
        )
    };
    Ok(Errno::result(result)?)
}

/// An attribute whose unused bytes are zero, as the kernel demands.
fn zeroed_attr() -> bpf_attr {
    // SAFETY: a union of structs of integers, for which zero is a value.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// The number of a file descriptor, as bpf(2) takes it.
fn fd(of: &impl AsFd) -> u32 {
    of.as_fd().as_raw_fd().cast_unsigned()
}

/// Has tokio tell when a descriptor becomes readable.
///
/// # Panics
/// Outside a tokio runtime.
pub(super) fn watch(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd is open until it is dropped and never becomes another descriptor.
    let watched = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) };
    watched.map_err(|error| error.into_parts().1)
}

/// Opens a pinned object (`BPF_OBJ_GET`). aya's handles of pinned links keep the descriptor to
/// themselves.
pub(super) fn open_pin(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = zeroed_attr();
    attr.__bindgen_anon_4.pathname = path.as_ptr() as u64;
    // SAFETY: the path lives until the call returns, and the result is a new descriptor.
    unsafe {
        let fd = bpf(bpf_cmd::BPF_OBJ_GET, &mut attr)?;
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}

/// Pins an object (`BPF_OBJ_PIN`), which may be pinned elsewhere, too.
pub(super) fn pin(object: &impl AsFd, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = zeroed_attr();
    attr.__bindgen_anon_4.pathname = path.as_ptr() as u64;
    attr.__bindgen_anon_4.bpf_fd = fd(object);
    // SAFETY: the path lives until the call returns.
    unsafe { bpf(bpf_cmd::BPF_OBJ_PIN, &mut attr).map(drop) }
}

/// Takes a link's program off its hook (`BPF_LINK_DETACH`, Linux 5.9). Returns when no packet meets
/// it any more; the kernel releases a link without pins and descriptors only some time later.
pub(super) fn detach_link(link: &OwnedFd) -> io::Result<()> {
    let mut attr = zeroed_attr();
    attr.link_detach.link_fd = fd(link);
    // SAFETY: the only field of this command.
    unsafe { bpf(bpf_cmd::BPF_LINK_DETACH, &mut attr).map(drop) }
}

/// Puts another program in the place of a link's (`BPF_LINK_UPDATE`, Linux 5.7; XDP 5.9, TCX 6.6):
/// a packet meets the old one or the new one.
pub(super) fn update_link(link: &OwnedFd, program: &impl AsFd) -> io::Result<()> {
    let mut attr = zeroed_attr();
    attr.link_update.link_fd = fd(link);
    attr.link_update.__bindgen_anon_1.new_prog_fd = fd(program);
    // SAFETY: all fields of this command but flags and the program to expect, which are none.
    unsafe { bpf(bpf_cmd::BPF_LINK_UPDATE, &mut attr).map(drop) }
}

/// Where a link attaches its program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LinkTarget {
    /// XDP on an interface.
    Xdp {
        /// Interface index, 0 when the interface is gone or the link detached.
        ifindex: u32,
    },
    /// TCX on an interface.
    Tcx {
        /// Interface index, 0 when the interface is gone or the link detached.
        ifindex: u32,
    },
    /// Something that is not ours.
    Other,
}

/// A link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct LinkInfo {
    /// Where it attaches its program.
    pub(super) target: LinkTarget,
    /// Its id.
    pub(super) id: u32,
    /// Id of its program.
    pub(super) program: u32,
}

/// Asks the kernel about a link (`BPF_OBJ_GET_INFO_BY_FD`, Linux 5.9; TCX 6.6). The interface is one
/// of the network namespace that it is in now, which need not be that of this thread.
pub(super) fn link_info(link: &OwnedFd) -> io::Result<LinkInfo> {
    // SAFETY: a struct of integers and unions of them, for which zero is a value.
    let mut info: bpf_link_info = unsafe { MaybeUninit::zeroed().assume_init() };
    let mut attr = zeroed_attr();
    // SAFETY: the fields of this command; the kernel writes at most `info_len` bytes to `info`.
    unsafe {
        attr.info.bpf_fd = fd(link);
        attr.info.info = std::ptr::from_mut(&mut info) as u64;
        attr.info.info_len = size_of::<bpf_link_info>() as u32;
        bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
    }
    let target = if info.type_ == bpf_link_type::BPF_LINK_TYPE_XDP as u32 {
        // SAFETY: the type says which member of the union the kernel has filled.
        let xdp = unsafe { info.__bindgen_anon_1.xdp };
        LinkTarget::Xdp {
            ifindex: xdp.ifindex,
        }
    } else if info.type_ == bpf_link_type::BPF_LINK_TYPE_TCX as u32 {
        // SAFETY: as above.
        let tcx = unsafe { info.__bindgen_anon_1.tcx };
        LinkTarget::Tcx {
            ifindex: tcx.ifindex,
        }
    } else {
        LinkTarget::Other
    };
    Ok(LinkInfo {
        target,
        id: info.id,
        program: info.prog_id,
    })
}
