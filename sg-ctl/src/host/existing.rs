//! Connections that are older than their guard, and which of them an interface carries.

use std::collections::HashSet;
use std::error::Error as _;
use std::net::IpAddr;

use crate::dataplane::{
    Connection, Dataplane, DataplaneError, Interface, Seeded, in_namespace, sockets,
    tracked_connections,
};
use crate::model::Side;

/// Which connections may pass through an interface.
///
/// One that never does costs a slot of the flow table and admits nobody: it can only be spoken in by
/// its two ends. So what is left out is only what surely belongs elsewhere.
pub(super) struct Passing {
    /// Which side is protected.
    side: Side,
    /// Where the workload's sockets are, if that is known.
    workload: Option<i32>,
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
            workload: interface.peer_namespace.filter(|_| side == Side::Workload),
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
        // Sockets come first, for they know better: a flow that is known is left alone.
        let mut answers = Vec::new();
        if self.side == Side::Nic {
            answers.push(connected());
        }
        if let Some(number) = self.workload {
            match in_namespace(number, || [connected(), tracked_connections()]) {
                Ok(theirs) => answers.extend(theirs),
                Err(error) => answers.push(Err(error)),
            }
        }
        answers.push(tracked_connections());
        let mut failures = Vec::new();
        let mut connections = Vec::new();
        for answer in answers {
            match answer {
                Ok(listed) => connections.extend(listed),
                Err(error) => failures.push(failure(&error)),
            }
        }
        connections.retain(|connection| self.passes(connection));
        Ok((dataplane.seed(zone, &connections)?, failures))
    }
}

/// The connections of this thread's sockets' namespace.
fn connected() -> Result<Vec<Connection>, DataplaneError> {
    Ok(sockets()?.iter().map(|each| each.connection).collect())
}

/// What an unanswered question means.
fn failure(error: &DataplaneError) -> String {
    let cause = error.source().map(|cause| format!(": {cause}"));
    format!(
        "{error}{}; of older connections those go on that a rule admits",
        cause.unwrap_or_default()
    )
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
            workload: None,
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
