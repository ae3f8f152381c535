//! Connections that are older than their guard, and which of them an interface carries.

use std::collections::HashSet;
use std::net::IpAddr;

use crate::dataplane::{
    Connection, Dataplane, DataplaneError, Interface, Seeded, sockets, tracked_connections,
};
use crate::model::Side;

/// Which connections may pass through an interface.
///
/// One that never does costs a slot of the flow table and admits nobody: it can only be spoken in by
/// its two ends. So what is left out is only what surely belongs elsewhere.
pub(super) struct Passing {
    /// Which side is protected.
    side: Side,
    /// Every address of this host.
    own: HashSet<IpAddr>,
    /// Those of other interfaces.
    elsewhere: HashSet<IpAddr>,
}

impl Passing {
    /// What passes through `interface`.
    pub(super) fn through(interface: &Interface, side: Side) -> Result<Self, DataplaneError> {
        let interfaces = Interface::all()?;
        // The addresses of a port are those of its bridge, or of the bond that is a port of it.
        let mut same = vec![interface.index];
        while let Some(controller) = interfaces
            .iter()
            .find(|each| Some(&each.index) == same.last())
            .and_then(|each| each.controller)
            && !same.contains(&controller)
        {
            same.push(controller);
        }
        // Services that move between hosts have their address on a loopback.
        same.extend(
            interfaces
                .iter()
                .filter(|each| each.loopback)
                .map(|each| each.index),
        );
        let addresses = Interface::all_addresses()?;
        Ok(Self {
            side,
            own: addresses.iter().map(|(_, address)| *address).collect(),
            elsewhere: addresses
                .iter()
                .filter(|(index, _)| !same.contains(index))
                .map(|(_, address)| *address)
                .collect(),
        })
    }

    fn passes(&self, connection: &Connection) -> bool {
        let (local, remote) = (connection.local.ip(), connection.remote.ip());
        if local.is_loopback() || remote.is_loopback() {
            return false;
        }
        match self.side {
            Side::Nic => !self.elsewhere.contains(&local) && !self.own.contains(&remote),
            // The host is not its own workload, but may be what that speaks to.
            Side::Workload => !self.own.contains(&local),
        }
    }

    /// Puts the connections that there are now into the flow table of a zone. Returns what became
    /// of them, and what could not be asked.
    pub(super) fn seed(
        &self,
        dataplane: &mut Dataplane,
        zone: u32,
    ) -> Result<(Seeded, Vec<String>), DataplaneError> {
        let mut failures = Vec::new();
        let mut connections = Vec::new();
        // Those of a workload are elsewhere: in another namespace, or inside a virtual machine.
        if self.side == Side::Nic {
            match sockets() {
                Ok(sockets) => connections.extend(sockets.iter().map(|each| each.connection)),
                Err(error) => failures.push(error.to_string()),
            }
        }
        match tracked_connections() {
            // After the sockets, which know better: a flow that is known is left alone.
            Ok(tracked) => connections.extend(tracked),
            Err(error) => failures.push(error.to_string()),
        }
        connections.retain(|connection| self.passes(connection));
        Ok((dataplane.seed(zone, &connections)?, failures))
    }
}

#[cfg(test)]
mod tests {
    use sg_common::flow::{Direction, FlowState};
    use sg_common::proto::TCP;

    use super::*;

    #[test]
    fn what_belongs_to_other_interfaces_does_not_pass() {
        let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let passing = |side| Passing {
            side,
            own: addresses(&["192.0.2.1", "10.0.0.1"]),
            elsewhere: addresses(&["10.0.0.1"]),
        };
        let passes = |side, local: &str, remote: &str| {
            passing(side).passes(&Connection {
                protocol: TCP,
                local: format!("{local}:1000").parse().unwrap(),
                remote: format!("{remote}:443").parse().unwrap(),
                state: FlowState::TCP_ESTABLISHED,
                opened: Direction::Outbound,
            })
        };
        assert!(passes(Side::Nic, "192.0.2.1", "203.0.113.1"));
        assert!(passes(Side::Nic, "10.0.0.2", "203.0.113.1"), "forwarded");
        assert!(!passes(Side::Nic, "10.0.0.1", "203.0.113.1"), "elsewhere");
        assert!(
            !passes(Side::Nic, "203.0.113.1", "192.0.2.1"),
            "the wrong way round"
        );
        assert!(!passes(Side::Nic, "127.0.0.1", "127.0.0.1"));
        assert!(
            passes(Side::Workload, "10.0.0.2", "10.0.0.1"),
            "with its host"
        );
        assert!(!passes(Side::Workload, "10.0.0.1", "10.0.0.2"));
    }
}
