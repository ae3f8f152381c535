//! Small networks: hosts in namespaces of their own, joined by one that routes.
//!
//! Host number *i* (from 1) has `198.51.100.(16 i + 2)/28` and `2001:db8:i::2/64` on its `eth0`,
//! and a default route to the router, whose end of the link is named after the host. `eth0` is
//! where a host guards itself; the router's end is where a hypervisor would guard it.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    process::Command,
};

use crate::{eventually, family::Family, netns::Namespace};

/// A host of a [`Network`].
#[derive(Debug)]
pub struct Host {
    /// Its namespace.
    pub namespace: Namespace,
    /// Name, and the name of the router's end of its link.
    pub name: &'static str,
    /// IPv4 address on `eth0`.
    pub v4: Ipv4Addr,
    /// IPv6 address on `eth0`.
    pub v6: Ipv6Addr,
}

impl Host {
    /// The address of a family.
    pub fn address(&self, family: Family) -> IpAddr {
        match family {
            Family::V4 => IpAddr::V4(self.v4),
            Family::V6 => IpAddr::V6(self.v6),
        }
    }

    /// Adds a second IPv4 address to `eth0` and returns it.
    pub fn add_address(&self) -> Ipv4Addr {
        let address = Ipv4Addr::from(u32::from(self.v4) + 1);
        self.namespace
            .ip(&format!("addr add {address}/28 dev eth0\n"));
        address
    }
}

/// Hosts around a router.
#[derive(Debug)]
pub struct Network {
    /// Forwards between all hosts.
    pub router: Namespace,
    hosts: Vec<Host>,
}

impl Network {
    /// Builds a network of hosts with these names, which are also interface names on the router.
    pub fn new(names: &[&'static str]) -> Self {
        let router = Namespace::new("router");
        router.set("net/ipv4/ip_forward", "1");
        router.set("net/ipv6/conf/all/forwarding", "1");
        let hosts = (1..)
            .zip(names)
            .map(|(number, name)| join(&router, number, name))
            .collect();
        Self { router, hosts }
    }

    /// The hosts, in the order of their names.
    pub fn hosts<const N: usize>(&self) -> [&Host; N] {
        let hosts: Vec<&Host> = self.hosts.iter().collect();
        hosts.try_into().expect("as many hosts as names")
    }
}

fn join(router: &Namespace, number: u8, name: &'static str) -> Host {
    let namespace = Namespace::new(name);
    let subnet = number * 16;
    let v4 = Ipv4Addr::new(198, 51, 100, subnet + 2);
    let v6 = Ipv6Addr::new(0x2001, 0xdb8, u16::from(number), 0, 0, 0, 0, 2);
    let gateway_v4 = Ipv4Addr::new(198, 51, 100, subnet + 1);
    let gateway_v6 = Ipv6Addr::new(0x2001, 0xdb8, u16::from(number), 0, 0, 0, 0, 1);
    // Where both ends have one index, the kernel thinks of no other end, and takes up to a second to notice
    // that the link carries packets.
    let index = 100 + u16::from(number);
    router.ip(&format!(
        "link add {name} index {index} type veth peer name eth0 netns {}
         addr add {gateway_v4}/28 dev {name}
         addr add {gateway_v6}/64 dev {name} nodad
         link set {name} up
        ",
        namespace.name()
    ));
    namespace.ip(&format!(
        "link set eth0 up
         addr add {v4}/28 dev eth0
         addr add {v6}/64 dev eth0 nodad
         route add default via {gateway_v4}
         route add default via {gateway_v6}
        "
    ));
    // The end that was up first drops what comes until the kernel has noticed, which it does behind our back.
    for (namespace, link) in [(router, name), (&namespace, "eth0")] {
        eventually("a link that carries packets", || {
            is_up(namespace, link).then_some(())
        });
    }
    Host {
        namespace,
        name,
        v4,
        v6,
    }
}

/// Whether the kernel says that an interface carries packets (RFC 2863: `up`).
fn is_up(namespace: &Namespace, name: &str) -> bool {
    let mut command = Command::new("ip");
    command.args(["-brief", "link", "show", "dev", name]);
    let output = namespace.output(&mut command);
    String::from_utf8_lossy(&output.stdout).contains(" UP ")
}
