//! Metrics in the text format that Prometheus reads.
//!
//! Everything is read when it is asked for: the kernel counts, not the agent.

use std::collections::BTreeMap;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use sg_common::flow::FlowState;

use crate::host::{Guard, Host, HostError, InterfaceStatus, Mode, Snapshot, Suppressed, Traffic};
use crate::record::event;
use crate::vpc::follow::Health;
use sg_policy::model::Direction;

/// What the agent itself counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tallies {
    /// Rule files put in force.
    pub(super) applies: u64,
    /// Rule files that were not.
    pub(super) apply_errors: u64,
    /// Interfaces attached.
    pub(super) attaches: u64,
    /// Interfaces that could not be.
    pub(super) attach_errors: u64,
    /// Flow records written.
    pub(super) flow_records: u64,
    /// Windows of flow records that could not be written.
    pub(super) flow_log_errors: u64,
}

/// What only the agent knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Own {
    /// What it counts.
    pub(super) tallies: Tallies,
    /// The VPC of this host, as it was last seen.
    pub(super) health: Option<Health>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfReason {
    interface: String,
    direction: String,
    verdict: String,
    reason: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfDirection {
    interface: String,
    direction: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfInterface {
    interface: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfSuppressed {
    interface: String,
    reason: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfState {
    interface: String,
    state: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfVersion {
    version: String,
}

/// Reads everything and writes it down.
///
/// # Errors
/// When state or kernel cannot be read.
pub(super) fn exposition(host: &Host, agent: &Own) -> Result<String, HostError> {
    let mut registry = Registry::with_prefix("sg");
    let snapshot = host.snapshot()?;
    interfaces(&mut registry, &snapshot.status.interfaces);
    flows(&mut registry, &snapshot);
    policy(&mut registry, &snapshot);
    own(&mut registry, &agent.tallies);
    if let Some(health) = &agent.health {
        membership(&mut registry, health);
    }
    let mut text = String::new();
    match text::encode(&mut text, &registry) {
        // Memory is all that a String can lack, and that does not come back as an error.
        Ok(()) | Err(std::fmt::Error) => Ok(text),
    }
}

/// The VPC, as this host sees it.
fn membership(registry: &mut Registry, health: &Health) {
    let mut gauge = |name: &str, help: &str, value: u64| {
        let gauge = Gauge::<i64>::default();
        gauge.set(value.cast_signed());
        registry.register(name, help, gauge);
    };
    gauge(
        "vpc_connected",
        "Whether etcd is followed",
        u64::from(health.connected),
    );
    gauge(
        "vpc_since_seconds",
        "Since when it is, or is not, Unix time",
        health.since,
    );
    gauge(
        "vpc_rules_wanted_revision",
        "Revision of the newest rules",
        health.rules_wanted,
    );
    gauge(
        "vpc_rules_enforced_revision",
        "Revision of the rules in force",
        health.rules_enforced,
    );
    let is_refused = u64::from(health.rules_refused.is_some());
    gauge(
        "vpc_rules_refused",
        "Whether the newest rules were refused",
        is_refused,
    );
    gauge("vpc_hosts", "Hosts that were heard of", health.hosts as u64);
    let behind = health.behind.len() as u64;
    gauge(
        "vpc_hosts_behind",
        "Those that do not enforce the newest rules",
        behind,
    );
    gauge(
        "vpc_conflicts",
        "Addresses that are claimed twice",
        health.conflict_count as u64,
    );
    gauge(
        "vpc_refused_claims",
        "Claims that the rules do not allow",
        health.refused_count as u64,
    );
    gauge(
        "vpc_lost_records",
        "Records gone without a farewell",
        health.lost as u64,
    );
    gauge(
        "vpc_damaged_records",
        "Records that are not understood",
        health.damaged.len() as u64,
    );
}

fn interfaces(registry: &mut Registry, interfaces: &[InterfaceStatus]) {
    let packets = Family::<OfReason, Counter>::default();
    let bytes = Family::<OfReason, Counter>::default();
    let audited_packets = Family::<OfDirection, Counter>::default();
    let audited_bytes = Family::<OfDirection, Counter>::default();
    let lost = Family::<OfInterface, Counter>::default();
    let suppressed = Family::<OfSuppressed, Counter>::default();
    let attached = Family::<OfInterface, Gauge>::default();
    let enforcing = Family::<OfInterface, Gauge>::default();
    for status in interfaces {
        let of_interface = OfInterface {
            interface: status.name.clone(),
        };
        let is_guarded = status.is_guarded();
        let is_enforcing = status.guard == Guard::Whole && status.mode == Mode::Enforce;
        attached
            .get_or_create(&of_interface)
            .set(i64::from(is_guarded));
        enforcing
            .get_or_create(&of_interface)
            .set(i64::from(is_enforcing));
        if status.guard == Guard::Missing {
            // What it counted went with it.
            continue;
        }
        lost.get_or_create(&of_interface).inc_by(status.events_lost);
        for Suppressed { reason, events } in &status.events_suppressed {
            let labels = OfSuppressed {
                interface: status.name.clone(),
                reason: (*reason).to_owned(),
            };
            suppressed.get_or_create(&labels).inc_by(*events);
        }
        for direction in Direction::ALL {
            let labels = OfDirection {
                interface: status.name.clone(),
                direction: direction.name().to_owned(),
            };
            let audited = status.audited[direction as usize];
            audited_packets
                .get_or_create(&labels)
                .inc_by(audited.packets);
            audited_bytes.get_or_create(&labels).inc_by(audited.bytes);
        }
        for count in &status.reasons {
            let labels = OfReason {
                interface: status.name.clone(),
                direction: count.direction.to_owned(),
                verdict: event::verdict(count.passes).to_owned(),
                reason: count.reason.to_owned(),
            };
            let Traffic {
                packets: p,
                bytes: b,
            } = count.traffic;
            packets.get_or_create(&labels).inc_by(p);
            bytes.get_or_create(&labels).inc_by(b);
        }
    }
    registry.register(
        "packets",
        "Packets judged, by reason of the verdict",
        packets,
    );
    registry.register("bytes", "Bytes judged, from the Ethernet header on", bytes);
    registry.register(
        "audited_packets",
        "Packets that passed only because the interface audits",
        audited_packets,
    );
    registry.register(
        "audited_bytes",
        "Bytes that passed only because the interface audits",
        audited_bytes,
    );
    registry.register("events_lost", "Events that found the log full", lost);
    registry.register(
        "events_suppressed",
        "Events that were not logged because of the interface's log_limit",
        suppressed,
    );
    registry.register(
        "interface_attached",
        "Whether a recorded interface has our programs at both hooks",
        attached,
    );
    registry.register(
        "interface_enforcing",
        "Whether verdicts are carried out, and no other program comes first",
        enforcing,
    );
}

fn flows(registry: &mut Registry, snapshot: &Snapshot) {
    let flows = Family::<OfState, Gauge>::default();
    let mut counts = BTreeMap::<(&str, u8), i64>::new();
    for flow in &snapshot.flows {
        *counts
            .entry((&flow.interface, flow.entry.state))
            .or_default() += 1;
    }
    for ((interface, state), count) in counts {
        let labels = OfState {
            interface: interface.to_owned(),
            state: FlowState(state).name().to_owned(),
        };
        flows.get_or_create(&labels).set(count);
    }
    registry.register("flows", "Live flows by state", flows);
    let table = snapshot.status.occupancy.as_ref();
    gauge(
        registry,
        "flow_table_flows",
        "Live flows of all interfaces",
        table.map_or(0, |table| table.live),
    );
    gauge(
        registry,
        "flow_table_room",
        "Flows that the flow table is made for",
        table.map_or(0, |table| table.room),
    );
    let refused = Counter::<u64>::default();
    refused.inc_by(table.map_or(0, |table| table.refused));
    registry.register(
        "flow_table_refused",
        "Packets that would have opened a flow and found no place",
        refused,
    );
    gauge(
        registry,
        "flow_table_slots_used",
        "Slots of the flow table that hold live flows",
        snapshot.flows.len() as u64,
    );
    gauge(
        registry,
        "flow_table_slots",
        "Slots of the flow table: two for each flow that must fit",
        snapshot.flow_slots as u64,
    );
}

fn policy(registry: &mut Registry, snapshot: &Snapshot) {
    let Snapshot { state, status, .. } = snapshot;
    let groups = state.model.groups.values();
    let rules: usize = groups
        .map(|group| group.inbound.len() + group.outbound.len())
        .sum();
    gauge(registry, "rules", "Rules of all groups", rules as u64);
    gauge(
        registry,
        "groups",
        "Security groups",
        state.model.groups.len() as u64,
    );
    gauge(
        registry,
        "state_generation",
        "Generation of the policy that is wanted",
        state.generation,
    );
    let generation = status.image.map_or(0, |image| image.generation);
    gauge(
        registry,
        "policy_generation",
        "Generation of the policy in the kernel",
        generation,
    );
}

/// Registers a number that goes up and down.
fn gauge(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let gauge = Gauge::<i64>::default();
    gauge.set(value.cast_signed());
    registry.register(name, help, gauge);
}

fn own(registry: &mut Registry, tallies: &Tallies) {
    let mut counter = |name: &str, help: &str, value: u64| {
        let counter = Counter::<u64>::default();
        counter.inc_by(value);
        registry.register(name, help, counter);
    };
    counter("applies", "Rule files put in force", tallies.applies);
    counter(
        "apply_errors",
        "Changes of rule files that were refused",
        tallies.apply_errors,
    );
    counter("attaches", "Interfaces attached", tallies.attaches);
    counter(
        "attach_errors",
        "Interfaces that could not be attached",
        tallies.attach_errors,
    );
    counter("flow_records", "Flow records written", tallies.flow_records);
    let errors = "Windows of flow records that could not be written";
    counter("flow_log_errors", errors, tallies.flow_log_errors);
    let build = Family::<OfVersion, Gauge>::default();
    let version = env!("CARGO_PKG_VERSION").to_owned();
    build.get_or_create(&OfVersion { version }).set(1);
    registry.register("build", "Version of sg-ctl", build);
}
