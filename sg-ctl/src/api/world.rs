//! What surrounds groups, as the API shows it: one VPC, and the interfaces of its hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use sg_policy::model::{InterfaceSpec, derived_id};

use crate::host::{Guard, Host, HostError, guarded};
use crate::vpc::{Document, claims};

/// The VPC's range, which means nothing: addresses are the hosts'.
const CIDR: &str = "172.31.0.0/16";

/// Names that are configured, and ids that follow from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Twelve digits.
    pub account: String,
    /// Shown as the one region there is.
    pub region: String,
    /// This host: the availability zone, and part of what ids of interfaces are made of.
    pub host: String,
    /// Name of the VPC.
    pub vpc: String,
    /// Whether other hosts belong to it, too.
    pub is_shared: bool,
    /// Whether a new group lets IPv6 out, as in a VPC of AWS's with a range of it.
    pub ipv6: bool,
}

impl Place {
    /// Id of the VPC.
    pub fn vpc_id(&self) -> String {
        derived_id("vpc-", "vpc", &self.vpc)
    }

    /// Id of the subnet of a host.
    pub fn subnet_id(&self, host: &str) -> String {
        derived_id("subnet-", "subnet", host)
    }

    /// Id of an interface of a host.
    pub fn eni_id(&self, host: &str, interface: &str) -> String {
        derived_id("eni-", "interface", &format!("{host}/{interface}"))
    }

    /// What the rules call an interface of a host.
    pub fn entry(&self, host: &str, interface: &str) -> String {
        if self.is_shared {
            format!("{host}/{interface}")
        } else {
            interface.to_owned()
        }
    }

    /// The range that VPC and subnet show.
    pub const fn cidr(&self) -> &'static str {
        CIDR
    }

    /// The name of a resource that no other account has.
    pub fn arn(&self, kind: &str, id: &str) -> String {
        format!("arn:aws:ec2:{}:{}:{kind}/{id}", self.region, self.account)
    }
}

/// A guarded interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eni {
    /// `eni-…`, from host and name.
    pub id: String,
    /// The host that it is of.
    pub host: String,
    /// Name of the interface.
    pub name: String,
    /// Whether its packets are judged.
    pub in_use: bool,
    /// Hardware address, `00:00:00:00:00:00` where there is none.
    pub mac: String,
    /// Addresses as the kernel has them.
    pub addresses: Vec<IpAddr>,
    /// How it is guarded; its groups by name.
    pub spec: InterfaceSpec,
}

/// What surrounds groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct World {
    /// Names and ids.
    pub place: Place,
    /// The guarded interfaces.
    pub interfaces: Vec<Eni>,
}

impl World {
    /// Looks at a host, beside what others have claimed in its VPC, by the rules of a document.
    ///
    /// # Errors
    /// When its state or its interfaces cannot be read.
    pub fn of(
        host: &Host,
        place: Place,
        document: &Document,
        claimed: BTreeMap<claims::Place, BTreeSet<IpAddr>>,
    ) -> Result<Self, HostError> {
        let state = host.state()?;
        let model = document.model();
        let rules = model.on_host(&place.host);
        let guards: BTreeMap<_, _> = host.guards()?.into_iter().collect();
        let mut links = links();
        let own = state.attachments.iter().filter_map(|(name, record)| {
            let spec = guarded(&rules, name, &record.overrides).ok()?;
            let link = links.remove(name).unwrap_or_default();
            Some(Eni {
                id: place.eni_id(&place.host, name),
                host: place.host.clone(),
                name: name.clone(),
                in_use: guards.get(name).is_some_and(Guard::holds),
                mac: link.mac.unwrap_or_else(no_mac),
                addresses: link.addresses,
                spec,
            })
        });
        let mut interfaces: Vec<_> = own.collect();
        let assignments = model.assignments();
        for (claims::Place { host, interface }, addresses) in claimed {
            if host != place.host {
                let assigned = assignments.of(&host).interface(&interface).cloned();
                let spec = assigned.unwrap_or_default();
                interfaces.push(Eni {
                    id: place.eni_id(&host, &interface),
                    // It is claimed when it is guarded.
                    in_use: true,
                    mac: no_mac(),
                    addresses: addresses.into_iter().collect(),
                    spec,
                    host,
                    name: interface,
                });
            }
        }
        interfaces.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(Self { place, interfaces })
    }

    /// The interfaces of this host.
    pub fn own(&self) -> impl Iterator<Item = &Eni> {
        let is_own = |eni: &&Eni| eni.host == self.place.host;
        self.interfaces.iter().filter(is_own)
    }

    /// The hosts: this one, and those that have said something.
    pub fn hosts(&self) -> BTreeSet<&str> {
        let others = self.interfaces.iter().map(|eni| eni.host.as_str());
        others.chain([self.place.host.as_str()]).collect()
    }
}

/// What is shown where no hardware address is known.
fn no_mac() -> String {
    "00:00:00:00:00:00".to_owned()
}

/// What the kernel knows of an interface.
#[derive(Default)]
struct Link {
    mac: Option<String>,
    addresses: Vec<IpAddr>,
}

fn links() -> BTreeMap<String, Link> {
    let mut links = BTreeMap::<String, Link>::new();
    for each in getifaddrs().into_iter().flatten() {
        let link = links.entry(each.interface_name).or_default();
        let Some(address) = each.address else {
            continue;
        };
        if let Some(mac) = address
            .as_link_addr()
            .and_then(nix::sys::socket::LinkAddr::addr)
        {
            link.mac = Some(mac.map(|byte| format!("{byte:02x}")).join(":"));
        } else if let Some(v4) = address.as_sockaddr_in() {
            link.addresses.push(v4.ip().into());
        } else if let Some(v6) = address.as_sockaddr_in6() {
            link.addresses.push(v6.ip().into());
        }
    }
    links
}
