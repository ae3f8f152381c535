//! Network interfaces, as the kernel describes them over netlink.
//!
//! Not from `/sys/class/net`: that shows the network namespace in which `/sys` was mounted, which
//! need not be the one of this process.

pub mod routes;

use std::net::IpAddr;

use netlink_packet_core::{
    DecodeError, NetlinkDeserializable, NetlinkHeader, NlasIterator, Parseable as _,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVlan, LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo,
    LinkLayerType, LinkMessage, LinkXdp, XdpAttached,
};
use nix::errno::Errno;
use nix::libc;

use super::error::DataplaneError;
use super::maps::system_error;
use super::netlink::{ask, dump};
use super::sys;

/// The XDP program of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XdpProgram {
    /// Id of the program; 0 when the kernel names none. Of several that of the driver or the generic
    /// path, not the one that the hardware runs.
    pub id: u32,
    /// Whether it runs in the kernel's generic path and not in the driver.
    pub generic: bool,
}

/// What the packets of an interface begin with, where programs see them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// An Ethernet header.
    Ethernet,
    /// The IP header: tunnels, PPP, `tun`.
    None,
    /// Something else.
    Other,
}

impl Link {
    /// As the kernel has it (`dev_is_mac_header_xmit`, `include/linux/if_arp.h`, v6.18).
    const fn of(kind: LinkLayerType) -> Self {
        match kind {
            LinkLayerType::Ether => Self::Ethernet,
            LinkLayerType::None
            | LinkLayerType::Rawip
            | LinkLayerType::Ppp
            | LinkLayerType::Tunnel
            | LinkLayerType::Tunnel6
            | LinkLayerType::Sit
            | LinkLayerType::Ipgre
            | LinkLayerType::Ip6gre
            | LinkLayerType::Void => Self::None,
            _ => Self::Other,
        }
    }
}

/// The interface that another one sends its frames by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lower {
    /// Its interface index.
    pub index: u32,
    /// The VLAN id that frames bear there; none = as they are.
    pub vlan: Option<u16>,
}

/// The kinds of interfaces whose frames leave by another one as they are, but for a VLAN tag.
const UPPER_KINDS: [&str; 5] = ["vlan", "macvlan", "macvtap", "ipvlan", "ipvtap"];

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Interface index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Kind of virtual device (`veth`, `tun`, `bridge`, …); none for most hardware.
    pub kind: Option<String>,
    /// Hardware address; empty where there is none.
    pub hardware: Vec<u8>,
    /// Bus of the device behind it (`pci`, `virtio`, …); none for virtual devices.
    pub bus: Option<String>,
    /// What its packets begin with.
    pub link: Link,
    /// Whether it is a loopback.
    pub loopback: bool,
    /// Index of the bridge, bond or the like that the interface is a port of.
    pub controller: Option<u32>,
    /// The interface of this namespace that a VLAN, a macvlan or the like is made of.
    pub lower: Option<Lower>,
    /// The same for one that is made of an interface of another namespace: that namespace's number,
    /// and the interface's index there.
    pub lower_elsewhere: Option<(i32, u32)>,
    /// Index of the other end of a pair, in the namespace that that is in.
    pub peer: Option<u32>,
    /// Number of the network namespace that the other end of a pair is in (veth, netkit); none when
    /// that is this one, and for everything else.
    pub peer_namespace: Option<i32>,
    /// The XDP program attached, ours or another.
    pub xdp: Option<XdpProgram>,
}

impl Interface {
    /// All interfaces of this thread's network namespace.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn all() -> Result<Vec<Self>, DataplaneError> {
        dump(RouteNetlinkMessage::GetLink(question(0)), Self::from_answer)
            .map_err(system_error("list the interfaces"))
    }

    /// The interface of an index in this thread's network namespace, `None` when there is none (any
    /// more).
    pub(super) fn at(index: u32) -> Result<Option<Self>, DataplaneError> {
        let question = RouteNetlinkMessage::GetLink(question(index));
        match ask(question, Self::from_answer) {
            Err(error) if error.raw_os_error() == Some(Errno::ENODEV as i32) => Ok(None),
            link => link.map_err(system_error("look at an interface")),
        }
    }

    /// The interface of a name.
    ///
    /// # Errors
    /// [`DataplaneError::NoInterface`], with the names that exist.
    pub fn find(name: &str) -> Result<Self, DataplaneError> {
        Self::named(name, &Self::all()?)
    }

    /// The interface of a name, among those that there are.
    ///
    /// # Errors
    /// [`DataplaneError::NoInterface`], with the names that exist.
    pub fn named(name: &str, all: &[Self]) -> Result<Self, DataplaneError> {
        if let Some(found) = all.iter().find(|interface| interface.name == name) {
            return Ok(found.clone());
        }
        Err(DataplaneError::NoInterface {
            name: name.to_owned(),
            existing: all.iter().map(|interface| interface.name.clone()).collect(),
        })
    }

    /// The name of a VLAN that is made of the interface and whose tags its driver takes off what it
    /// receives, before XDP sees it: there, packets of that VLAN look like untagged ones.
    pub fn stripped_vlan(&self, all: &[Self]) -> Option<String> {
        let is_vlan = |each: &&Self| {
            let lower = each.lower.filter(|lower| lower.index == self.index);
            lower.is_some_and(|lower| lower.vlan.is_some())
        };
        let vlan = all.iter().find(is_vlan)?;
        // A driver that does not tell has no such offload.
        let strips = sys::strips_vlans(&self.name).unwrap_or(false);
        strips.then(|| vlan.name.clone())
    }

    /// The addresses of the interface, of both families.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn addresses(&self) -> Result<Vec<IpAddr>, DataplaneError> {
        let mut addresses: Vec<_> = Self::all_addresses()?
            .into_iter()
            .filter(|(index, _)| *index == self.index)
            .map(|(_, address)| address)
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        Ok(addresses)
    }

    /// The addresses of all interfaces, each with the index of its interface.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn all_addresses() -> Result<Vec<(u32, IpAddr)>, DataplaneError> {
        let question = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let pick = |answer| match answer {
            RouteNetlinkMessage::NewAddress(address) => {
                Some((address.header.index, own_address(&address.attributes)?))
            }
            _ => None,
        };
        dump(question, pick).map_err(system_error("list the addresses"))
    }

    fn from_answer(Answer(message): Answer) -> Option<Self> {
        message.map(Self::from_message)
    }

    fn from_message(message: LinkMessage) -> Self {
        let mut interface = Self {
            index: message.header.index,
            name: String::new(),
            kind: None,
            hardware: Vec::new(),
            bus: None,
            link: Link::of(message.header.link_layer_type),
            loopback: message.header.flags.contains(LinkFlags::Loopback),
            controller: None,
            lower: None,
            lower_elsewhere: None,
            peer: None,
            peer_namespace: None,
            xdp: None,
        };
        let (mut link, mut vlan) = (None, None);
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => interface.name = name,
                LinkAttribute::Address(bytes) => interface.hardware = bytes,
                LinkAttribute::ParentDevBusName(bus) => interface.bus = Some(bus),
                LinkAttribute::LinkInfo(infos) => {
                    interface.kind = infos.iter().find_map(|info| match info {
                        LinkInfo::Kind(kind) => Some(InfoKind::to_string(kind)),
                        _ => None,
                    });
                    vlan = infos.iter().find_map(vlan_id);
                }
                LinkAttribute::Link(index) => link = Some(index),
                LinkAttribute::Controller(index) => interface.controller = Some(index),
                LinkAttribute::LinkNetNsId(number) => interface.peer_namespace = Some(number),
                LinkAttribute::Xdp(xdp) => interface.xdp = xdp_program(&xdp),
                _ => {}
            }
        }
        let elsewhere = interface.peer_namespace;
        match interface.kind.as_deref() {
            Some("veth" | "netkit") => interface.peer = link,
            kind => {
                // Others have their lower interface there.
                interface.peer_namespace = None;
                let is_upper = kind.is_some_and(|kind| UPPER_KINDS.contains(&kind));
                let lower = link.filter(|_| is_upper);
                interface.lower_elsewhere = elsewhere.zip(lower);
                interface.lower = lower
                    .filter(|_| elsewhere.is_none())
                    .map(|index| Lower { index, vlan });
            }
        }
        interface
    }
}

/// What the kernel says of an interface, as far as it is looked at: of some fifty attributes a few, and
/// each costs. `None` for an answer of another kind.
#[derive(Debug)]
struct Answer(Option<LinkMessage>);

impl Answer {
    /// The attributes that are looked at.
    const ATTRIBUTES: [u16; 8] = [
        libc::IFLA_ADDRESS,
        libc::IFLA_IFNAME,
        libc::IFLA_LINK,
        libc::IFLA_MASTER,
        libc::IFLA_LINKINFO,
        libc::IFLA_LINK_NETNSID,
        libc::IFLA_XDP,
        libc::IFLA_PARENT_DEV_BUS_NAME,
    ];
}

impl NetlinkDeserializable for Answer {
    type Error = DecodeError;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        if header.message_type != libc::RTM_NEWLINK {
            return Ok(Self(None));
        }
        let (fixed, attributes) = payload.split_at(payload.len().min(size_of::<libc::ifinfomsg>()));
        let mut looked_at = fixed.to_vec();
        for attribute in NlasIterator::new(attributes) {
            let attribute = attribute?;
            if Self::ATTRIBUTES.contains(&attribute.kind()) {
                // Attributes are padded to four bytes.
                let length = usize::from(attribute.length()).next_multiple_of(4);
                let bytes = attribute.into_inner();
                looked_at.extend(&bytes[..length.min(bytes.len())]);
            }
        }
        LinkMessage::parse(&looked_at).map(|message| Self(Some(message)))
    }
}

/// Asks about the interface of an index, or all for 0: not for statistics of
/// IPv6, which are half of the answer and most of the kernel's work.
fn question(index: u32) -> LinkMessage {
    let mut question = LinkMessage::default();
    question.header.index = index;
    let less = LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]);
    question.attributes.push(less);
    question
}

fn vlan_id(info: &LinkInfo) -> Option<u16> {
    let LinkInfo::Data(InfoData::Vlan(parts)) = info else {
        return None;
    };
    parts.iter().find_map(|part| match part {
        InfoVlan::Id(id) => Some(*id),
        _ => None,
    })
}

/// The local end of a point-to-point address, or the only end of any other.
fn own_address(attributes: &[AddressAttribute]) -> Option<IpAddr> {
    let local = attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    let address = attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Address(address) => Some(*address),
        _ => None,
    });
    local.or(address)
}

fn xdp_program(attributes: &[LinkXdp]) -> Option<XdpProgram> {
    let attached = attributes.iter().find_map(|attribute| match attribute {
        LinkXdp::Attached(attached) => Some(attached),
        _ => None,
    })?;
    let id = attributes.iter().find_map(|attribute| match attribute {
        LinkXdp::ProgId(id) | LinkXdp::DrvProgId(id) | LinkXdp::SkbProgId(id) => Some(*id),
        _ => None,
    });
    match attached {
        XdpAttached::None => None,
        attached => Some(XdpProgram {
            id: id.unwrap_or(0),
            generic: *attached == XdpAttached::SocketBuffer,
        }),
    }
}
