//! A pair of interfaces whose packets have no header of a link: `tun` devices in two namespaces,
//! joined by a thread that carries packets across.
#![expect(unsafe_code, reason = "some ioctls")]

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    os::{fd::AsRawFd as _, unix::fs::OpenOptionsExt as _},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use nix::libc;

use crate::{netns::Namespace, relay::Relay};

/// Name of both interfaces.
pub const NAME: &str = "tun0";

/// Requests and flags of `include/uapi/linux/if_tun.h`.
const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
const TUNSETLINK: libc::c_ulong = 0x4004_54cd;
const TUNSETOFFLOAD: libc::c_ulong = 0x4004_54d0;
const IFF_TUN: libc::c_short = 1;
const IFF_NO_PI: libc::c_short = 0x1000;
const IFF_VNET_HDR: libc::c_short = 0x4000;
/// Checksums, and segments of TCP over IPv4 and IPv6, are left to whoever reads: `TUN_F_CSUM`,
/// `TUN_F_TSO4`, `TUN_F_TSO6`.
const OFFLOADS: libc::c_ulong = 1 | 2 | 4;
/// What an interface says that it is (`include/uapi/linux/if_arp.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkType {
    /// As `tun` is by itself.
    None = 0xfffe,
    /// As interfaces of `pppd`.
    Ppp = 512,
    /// As interfaces of modems (`rmnet`).
    RawIp = 519,
}

/// The pair. Dropped, it takes both interfaces with it.
pub struct Tunnel {
    longest: Arc<AtomicUsize>,
    _relay: Relay,
}

impl Tunnel {
    /// Makes `tun0` in two namespaces. With offloads, packets carry a virtio header, and the kernel hands
    /// over many segments as one, without checksums.
    pub fn between([one, other]: [&Namespace; 2], link_type: LinkType, has_offloads: bool) -> Self {
        let ends = [one, other].map(|end| end.enter(|| open(link_type, has_offloads)));
        let longest = Arc::new(AtomicUsize::new(0));
        let most = Arc::clone(&longest);
        let pass = move |to: &mut File, packet: &[u8]| {
            most.fetch_max(packet.len(), Ordering::Relaxed);
            // An end that is down takes no packet.
            drop(to.write(packet));
        };
        Self {
            longest,
            _relay: Relay::between(ends, pass),
        }
    }

    /// Bytes of the longest packet that has travelled.
    pub fn longest(&self) -> usize {
        self.longest.load(Ordering::Relaxed)
    }
}

fn open(link_type: LinkType, has_offloads: bool) -> File {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/net/tun")
        .expect("the kernel has tun");
    // SAFETY: a struct of integers and unions of them, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(NAME.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    let header = if has_offloads { IFF_VNET_HDR } else { 0 };
    request.ifr_ifru.ifru_flags = IFF_TUN | IFF_NO_PI | header;
    // SAFETY: the kernel reads and writes the request, which outlives the call.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF as _, &raw mut request) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    let offloads = if has_offloads { OFFLOADS } else { 0 };
    for (request, number) in [
        (TUNSETLINK, link_type as libc::c_ulong),
        (TUNSETOFFLOAD, offloads),
    ] {
        // SAFETY: the argument is a number.
        let result = unsafe { libc::ioctl(file.as_raw_fd(), request as _, number) };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    }
    file
}
