//! Frames of any bytes, sent out of a namespace's `eth0`.

use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context as _, Result};
use nix::{
    ifaddrs::getifaddrs,
    sys::socket::{AddressFamily, LinkAddr, MsgFlags, SockFlag, SockType, bind, send, socket},
};

use crate::netns::Namespace;

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
