//! Frames of any bytes, sent out of a namespace's `eth0`.
#![expect(unsafe_code, reason = "a socket option that nix does not know")]

use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    ifaddrs::getifaddrs,
    libc,
    sys::socket::{AddressFamily, LinkAddr, MsgFlags, SockFlag, SockType, bind, send, socket},
};

use crate::{netns::Namespace, packet::Frame};

/// A socket that sends frames out of `eth0`.
///
/// # Errors
/// When there is no such interface.
pub fn raw_socket() -> Result<OwnedFd> {
    let wire = socket(
        AddressFamily::Packet,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    let mut links = getifaddrs()?.filter(|address| address.interface_name == "eth0");
    let link: LinkAddr = links
        .find_map(|address| address.address?.as_link_addr().copied())
        .context("eth0 has a link address")?;
    bind(wire.as_raw_fd(), &link)?;
    Ok(wire)
}

/// Sends a frame.
pub fn send_frame(namespace: &Namespace, frame: &[u8]) {
    let wire = namespace.enter(raw_socket).expect("eth0 is there");
    send(wire.as_raw_fd(), frame, MsgFlags::empty()).expect("it is sent");
}

/// Sends a UDP datagram that is to be cut into segments of `data` bytes each, as a virtual machine
/// does: the kernel does not count them. Returns whether the kernel knows of such frames.
pub fn send_segmented(namespace: &Namespace, frame: &Frame, data: u16) -> bool {
    let wire = namespace.enter(raw_socket).expect("eth0 is there");
    let on: libc::c_int = 1;
    // SAFETY: an option of an integer, on a socket that is open.
    let set = unsafe {
        libc::setsockopt(
            wire.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_VNET_HDR,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    assert_eq!(set, 0, "packet sockets have the option");
    let bytes = frame.bytes();
    let headers = (bytes.len() - frame.data.len()) as u16;
    // struct virtio_net_hdr: checksum needed; UDP_L4; lengths and places, native byte order.
    let mut message = vec![1, 5];
    for number in [headers, data, headers - 8, 6] {
        message.extend(number.to_ne_bytes());
    }
    message.extend(bytes);
    match send(wire.as_raw_fd(), &message, MsgFlags::empty()) {
        Ok(_) => true,
        Err(Errno::EINVAL) => false,
        Err(errno) => panic!("it is not sent: {errno}"),
    }
}
