//! BIG TCP: segments beyond 64 KiB between the stack and a device, and through devices that know
//! them (IPv6 from Linux 5.19 on, IPv4 from 6.3 on).

use std::{fs, os::fd::AsRawFd};

use nix::{
    net::if_::if_nametoindex,
    sys::socket::{
        AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto,
        socket,
    },
};

use crate::{family::Family, netns::Namespace};

/// Bytes of the largest segments.
const SIZE: u32 = 200_000;

/// Numbers of `include/uapi/linux/`: `rtnetlink.h`, `netlink.h`, `if_link.h`.
const RTM_NEWLINK: u16 = 16;
const NLM_F_REQUEST_ACK: u16 = 1 | 4;
const IFLA_GSO_IPV4_MAX_SIZE: u16 = 63;
const IFLA_GRO_IPV4_MAX_SIZE: u16 = 64;

/// Whether the kernel knows it for a family.
pub fn is_known(family: Family) -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("/proc is mounted");
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|part| part.parse().ok());
    let version: (u32, u32) = (
        numbers.next().expect("a version"),
        numbers.next().expect("a version"),
    );
    version
        >= if family == Family::V4 {
            (6, 3)
        } else {
            (5, 19)
        }
}

/// Lets an interface send and receive segments of that size in both families.
pub fn allow(namespace: &Namespace, interface: &str) {
    namespace.ip(&format!(
        "link set dev {interface} gso_max_size {SIZE} gro_max_size {SIZE}\n"
    ));
    // Not every `ip` has words for these.
    let error = namespace.enter(|| {
        let index = if_nametoindex(interface).expect("there is such an interface");
        set(index, &[IFLA_GSO_IPV4_MAX_SIZE, IFLA_GRO_IPV4_MAX_SIZE])
    });
    assert!(error == 0 || !is_known(Family::V4), "errno {error}");
}

/// Sets attributes of an interface to [`SIZE`]; returns an error number, 0 for none.
fn set(index: u32, attributes: &[u16]) -> i32 {
    let length = (32 + 8 * attributes.len()) as u32;
    let mut request = Vec::new();
    request.extend(length.to_ne_bytes());
    request.extend(RTM_NEWLINK.to_ne_bytes());
    request.extend(NLM_F_REQUEST_ACK.to_ne_bytes());
    // Sequence number, port; family, type, index, flags, changed flags.
    request.extend([0; 12]);
    request.extend(index.to_ne_bytes());
    request.extend([0; 8]);
    for attribute in attributes {
        request.extend(8_u16.to_ne_bytes());
        request.extend(attribute.to_ne_bytes());
        request.extend(SIZE.to_ne_bytes());
    }
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )
    .expect("root may ask the kernel");
    let kernel = NetlinkAddr::new(0, 0);
    sendto(socket.as_raw_fd(), &request, &kernel, MsgFlags::empty()).expect("it takes requests");
    let mut answer = [0; 512];
    recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty()).expect("it answers");
    // struct nlmsgerr begins behind the header of 16 bytes.
    let [a, b, c, d] = [answer[16], answer[17], answer[18], answer[19]];
    -i32::from_ne_bytes([a, b, c, d])
}
