//! What surrounds groups, as the API shows it: one VPC, this host's interfaces in it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use sg_policy::model::{InterfaceSpec, derived_id};

use crate::host::{Host, HostError, guarded};

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
    /// Whether a new group lets IPv6 out, as in a VPC of AWS's with a range of it.
    pub ipv6: bool,
}

impl Place {
    /// Id of the VPC.
    pub fn vpc_id(&self) -> String {
        derived_id("vpc-", "vpc", &self.vpc)
    }

    /// Id of the subnet of this host.
    pub fn subnet_id(&self) -> String {
        derived_id("subnet-", "subnet", &self.host)
    }

    /// Id of an interface of this host.
    pub fn eni_id(&self, interface: &str) -> String {
        derived_id("eni-", "interface", &format!("{}/{interface}", self.host))
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
    /// Looks at a host.
    ///
    /// # Errors
    /// When its state or its interfaces cannot be read.
    pub fn of(host: &Host, place: Place) -> Result<Self, HostError> {
        let state = host.state()?;
        let guards: BTreeMap<_, _> = host.guards()?.into_iter().collect();
        let mut links = links();
        let mut interfaces: Vec<_> = state
            .attachments
            .iter()
            .filter_map(|(name, record)| {
                let spec = guarded(&state.model, name, &record.overrides).ok()?;
                let link = links.remove(name).unwrap_or_default();
                Some(Eni {
                    id: place.eni_id(name),
                    name: name.clone(),
                    in_use: guards.get(name).is_some_and(crate::host::Guard::holds),
                    mac: link.mac.unwrap_or_else(|| "00:00:00:00:00:00".to_owned()),
                    addresses: link.addresses,
                    spec,
                })
            })
            .collect();
        interfaces.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(Self { place, interfaces })
    }
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
