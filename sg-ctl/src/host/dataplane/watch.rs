//! Tells when interfaces or their addresses change.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use tokio::io::unix::AsyncFd;

use super::sys;

/// Multicast groups, as bits (`RTMGRP_LINK`, `RTMGRP_IPV4_IFADDR`, `RTMGRP_IPV6_IFADDR`,
/// `include/uapi/linux/rtnetlink.h`).
const GROUPS: u32 = 0x1 | 0x10 | 0x100;

/// A subscription to changes of interfaces and addresses in a network namespace.
///
/// It says that something changed, not what: whoever is told looks at everything again. So nothing
/// is missed when the kernel has to leave messages out.
#[derive(Debug)]
pub struct LinkWatch {
    socket: Socket,
    ready: AsyncFd<OwnedFd>,
}

impl LinkWatch {
    /// Subscribes, in the network namespace of this thread.
    ///
    /// # Errors
    /// When the kernel gives no socket.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind(&SocketAddr::new(0, GROUPS))?;
        socket.set_non_blocking(true)?;
        let ready = sys::watch(socket.as_fd().try_clone_to_owned()?)?;
        Ok(Self { socket, ready })
    }

    /// Waits for a change that has come since the last call.
    ///
    /// # Errors
    /// When the runtime shuts down.
    pub async fn changed(&self) -> io::Result<()> {
        loop {
            self.ready.readable().await?.clear_ready();
            let mut is_any = false;
            loop {
                match self.socket.recv(&mut &mut [0u8; 64][..], 0) {
                    Ok(_) => is_any = true,
                    // Messages were left out: that, too, is a change.
                    Err(error) if error.raw_os_error() == Some(nix::libc::ENOBUFS) => is_any = true,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            if is_any {
                return Ok(());
            }
        }
    }
}
