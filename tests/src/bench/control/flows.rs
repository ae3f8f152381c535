//! Lists of many flows, and what the maps take.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Result, ensure};
use serde::Serialize;
use sg_common::{
    ends::VlanIds,
    flow::{Direction, FlowState},
    names::SHARED_MAPS,
    proto::TCP,
};
use sg_ctl::host::dataplane::{Connection, Dataplane};

use super::timed;
use crate::{
    netns::Namespace,
    prog::{
        loaded::detached_bpf_fs,
        shared::{flow_table_memory, map_memory},
    },
    sg_ctl::SgCtl,
};

/// The filter picks the flows of one host of so many.
const HOSTS: u32 = 250;

/// How long lists of flows take, in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct FlowsRow {
    /// Live flows.
    pub flows: u32,
    /// `sg-ctl flows --top 10`.
    pub top: f64,
    /// `sg-ctl flows --remote` one of 250 hosts.
    pub filtered: f64,
    /// `sg-ctl flows --json`: all of them.
    pub all: f64,
}

/// What maps take in kernel memory, in bytes.
#[derive(Clone, Debug, Serialize)]
pub struct MemoryRow {
    /// Flows that fit.
    pub flows: u32,
    /// The flow table.
    pub table: u64,
    /// All maps, the flow table included; the policy image comes on top.
    pub maps: u64,
}

/// Opens flows and lists them.
pub(super) fn list(host: &Namespace, sg: &SgCtl<'_>, count: u32) -> Result<FlowsRow> {
    let local: SocketAddr = ([192, 0, 2, 10], 443).into();
    let flow = |number: u32| Connection {
        vlan: VlanIds::NONE,
        protocol: TCP,
        local,
        remote: SocketAddr::new(
            Ipv4Addr::from((10 << 24) + number % HOSTS).into(),
            1024 + (number / HOSTS) as u16,
        ),
        state: FlowState::TCP_ESTABLISHED,
        opened: Direction::Inbound,
    };
    let flows: Vec<_> = (0..count).map(flow).collect();
    host.enter(|| -> Result<()> {
        let mut dataplane = Dataplane::open(sg.pins())?;
        dataplane.delete_flows(|_, _| true)?;
        let seeded = dataplane.seed(0, &flows)?;
        ensure!(seeded.opened == flows.len(), "there is no room: {seeded:?}");
        Ok(())
    })?;
    let lines = |words: &[&str]| -> Result<(f64, usize)> {
        let (time, outcome) = timed(sg, words)?;
        Ok((time, outcome.stdout.lines().count()))
    };
    let (top, shown) = lines(&["flows", "--top", "10"])?;
    ensure!(shown == 11, "{shown} lines, not a heading and ten");
    let (filtered, shown) = lines(&["flows", "--remote", "10.0.0.0"])?;
    let expected = count.div_ceil(HOSTS) as usize;
    ensure!(
        shown == expected + 1,
        "{shown} lines, not a heading and {expected}"
    );
    let (all, outcome) = timed(sg, &["flows", "--json"])?;
    let shown = outcome.stdout.matches("\"interface\"").count();
    ensure!(shown == count as usize, "{shown} flows of {count}");
    Ok(FlowsRow {
        flows: count,
        top,
        filtered,
        all,
    })
}

/// Makes the maps with room for so many flows, and asks the kernel what they take.
pub(super) fn memory(flows: u32) -> Result<MemoryRow> {
    let (_root, path) = detached_bpf_fs();
    let mut dataplane = Dataplane::open(&path)?;
    dataplane.prepare(flows)?;
    let pins = dataplane.pins();
    Ok(MemoryRow {
        flows,
        table: flow_table_memory(pins),
        maps: SHARED_MAPS.iter().map(|name| map_memory(pins, name)).sum(),
    })
}
