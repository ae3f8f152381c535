//! How full the flow table is, and with what.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Serialize;
use sg_common::flow::FlowState;
use sg_common::reason::Reason;

use super::guard::Guard;
use super::{Host, HostError, LiveFlow, Status};

/// Percent of the room from which on a table is told to be nearly full.
const NEARLY_FULL: u64 = 80;
/// Remote ends that are named.
const NAMED: usize = 10;

/// What flows have in common, and how many they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Share {
    /// State, interface, remote end or rule.
    pub of: String,
    /// Flows.
    pub flows: u64,
    /// Their packets, both directions together.
    pub packets: u64,
    /// Their bytes, both directions together.
    pub bytes: u64,
}

/// Adds flows up by what `key` says of them, most flows first.
pub fn shares<K: Hash + Eq + Ord>(
    flows: &[LiveFlow],
    key: impl Fn(&LiveFlow) -> K,
    name: impl Fn(&K) -> String,
) -> Vec<Share> {
    let mut sums: HashMap<K, [u64; 3]> = HashMap::new();
    for flow in flows {
        let [count, packets, bytes] = sums.entry(key(flow)).or_default();
        *count += 1;
        *packets += flow.entry.packets.iter().sum::<u64>();
        *bytes += flow.entry.bytes.iter().sum::<u64>();
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_unstable_by(|(a, [count, ..]), (b, [other, ..])| {
        Reverse(count).cmp(&Reverse(other)).then_with(|| a.cmp(b))
    });
    let share = |(key, [flows, packets, bytes]): (K, [u64; 3])| Share {
        of: name(&key),
        flows,
        packets,
        bytes,
    };
    sums.into_iter().map(share).collect()
}

impl Host {
    /// Reads what is in force.
    ///
    /// # Errors
    /// When state or kernel cannot be read.
    pub fn status(&self) -> Result<Status, HostError> {
        Ok(self.status_and_flows()?.0)
    }

    /// Reads what is in force, and the flows that are alive.
    pub(super) fn status_and_flows(&self) -> Result<(Status, Vec<LiveFlow>), HostError> {
        let mut status = self.settled_status()?;
        let mut interfaces = status.interfaces.iter();
        let has_lost_maps = interfaces.any(|interface| interface.guard == Guard::Unreachable);
        let flows = if has_lost_maps {
            Vec::new()
        } else {
            self.flows()?
        };
        status.occupancy = Occupancy::of(&status, &flows);
        Ok((status, flows))
    }
}

/// How full the flow table is, counted in flows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Occupancy {
    /// Flows that are alive.
    pub live: u64,
    /// Flows that the table is made for; with luck more fit.
    pub room: u64,
    /// Packets that would have opened a flow and found no place, since their interface was attached.
    pub refused: u64,
    /// The interfaces whose packets were refused, most first.
    pub refused_at: Vec<String>,
    /// The flows by state.
    pub by_state: Vec<Share>,
    /// The flows by interface.
    pub by_interface: Vec<Share>,
    /// The remote ends with the most flows.
    pub by_remote: Vec<Share>,
}

impl Occupancy {
    /// Counts the flows of a host; `None` while there is no table.
    pub fn of(status: &Status, flows: &[LiveFlow]) -> Option<Self> {
        let room = u64::from(status.flow_table?.flows);
        let full = [Reason::FlowTableFull, Reason::FlowContended].map(Reason::name);
        let mut refused: Vec<_> = status
            .interfaces
            .iter()
            .map(|interface| {
                let reasons = interface.reasons.iter();
                let full = reasons.filter(|count| full.contains(&count.reason));
                let packets: u64 = full.map(|count| count.traffic.packets).sum();
                (packets, interface.name.clone())
            })
            .filter(|(packets, _)| *packets > 0)
            .collect();
        refused.sort_unstable_by(|a, b| b.cmp(a));
        let mut by_remote = shares(
            flows,
            |flow| IpAddr::from(flow.key.remote),
            IpAddr::to_string,
        );
        by_remote.truncate(NAMED);
        let state = |state: &u8| FlowState(*state).name().to_owned();
        Some(Self {
            live: flows.len() as u64,
            room,
            refused: refused.iter().map(|(packets, _)| packets).sum(),
            refused_at: refused.into_iter().map(|(_, name)| name).collect(),
            by_state: shares(flows, |flow| flow.entry.state, state),
            by_interface: shares(flows, |flow| flow.interface.clone(), ToString::to_string),
            by_remote,
        })
    }

    /// How much of the room is taken.
    pub fn percent(&self) -> u64 {
        (self.live * 100 / self.room.max(1)).min(100)
    }

    /// The same as `Display`, in fewer words.
    pub fn brief(&self) -> String {
        let Self { live, room, .. } = self;
        if live > room {
            format!("{live} (made for {room})")
        } else {
            format!("{live} of {room} ({} %)", self.percent())
        }
    }

    /// What should be known of a table that is nearly full, and with what.
    pub fn nearly_full(&self) -> Option<String> {
        if self.percent() <= NEARLY_FULL {
            return None;
        }
        let most = |shares: &[Share]| {
            shares
                .first()
                .map(|share| format!("{} ({})", share.of, share.flows))
                .unwrap_or_default()
        };
        Some(format!(
            "the flow table is nearly full: {self}. Most are {}, at {}, with {}; `sg-ctl flows --by \
             remote` tells more, `limits: {{flow_table_size: …}}` makes it larger",
            most(&self.by_state),
            most(&self.by_interface),
            most(&self.by_remote),
        ))
    }

    /// What should be known of the packets that were `refused`.
    pub fn refusals(&self, refused: u64) -> Option<String> {
        (refused > 0).then(|| {
            format!(
                "{refused} packets opened no flow, at {}: the flow table had no place for them",
                self.refused_at.join(", ")
            )
        })
    }
}

impl fmt::Display for Occupancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { live, room, .. } = self;
        if live > room {
            write!(f, "{live} flows, more than the {room} that it is made for")
        } else {
            write!(f, "{live} of {room} flows ({} %)", self.percent())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(live: u64) -> Occupancy {
        let share = |of: &str| {
            vec![Share {
                of: of.to_owned(),
                flows: live,
                ..Share::default()
            }]
        };
        Occupancy {
            live,
            room: 1000,
            by_state: share("unanswered"),
            by_interface: share("eth0"),
            by_remote: share("203.0.113.7"),
            ..Occupancy::default()
        }
    }

    #[test]
    fn a_table_is_counted_in_flows() {
        assert_eq!(table(0).to_string(), "0 of 1000 flows (0 %)");
        assert_eq!(table(801).to_string(), "801 of 1000 flows (80 %)");
        let beyond = "1999 flows, more than the 1000 that it is made for";
        assert_eq!(table(1999).to_string(), beyond);
        assert_eq!(table(1999).brief(), "1999 (made for 1000)");
        assert_eq!(table(1999).percent(), 100);
    }

    #[test]
    fn a_table_that_is_nearly_full_says_with_what() {
        assert_eq!(table(809).nearly_full(), None);
        let told = table(810).nearly_full().unwrap();
        for part in [
            "810 of 1000 flows (81 %)",
            "unanswered (810)",
            "eth0 (810)",
            "203.0.113.7 (810)",
        ] {
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn refusals_are_told_when_there_were_any() {
        let mut table = table(1);
        table.refused_at = vec!["eth1".to_owned()];
        assert_eq!(table.refusals(0), None);
        assert!(table.refusals(7).unwrap().starts_with("7 packets"));
    }
}
