//! Filters of the clsact queueing discipline: the hooks before Linux 6.6.

use std::path::PathBuf;

use aya::programs::tc::{SchedClassifierLink, TcHandle};
use aya::programs::{Link, ProgramError, SchedClassifier};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{
    TcAttribute, TcFilterBpfOption, TcHandle as RouteHandle, TcMessage, TcOption,
};

use super::error::DataplaneError;
use super::interface::Interface;
use super::links::{HookSide, program_error};
use super::maps::system_error;
use super::netlink::dump;
use super::pins::PinDir;

/// The pin of the program of a clsact filter, which has no link: it keeps the program's id.
pub(super) fn filter_pin(pins: &PinDir, zone: u32, side: HookSide) -> PathBuf {
    pins.zone(zone).join(format!("{}_filter", side.name()))
}

/// The pin of the program that is about to replace that of a clsact filter. A process killed in
/// between leaves either of them the one that the filter runs.
pub(super) fn next_filter_pin(pins: &PinDir, zone: u32, side: HookSide) -> PathBuf {
    pins.zone(zone).join(format!("{}_next_filter", side.name()))
}

/// The programs that a clsact filter may run: their pins and ids.
pub(super) fn filter_programs(
    pins: &PinDir,
    zone: u32,
    side: HookSide,
) -> Result<Vec<(PathBuf, u32)>, DataplaneError> {
    [
        filter_pin(pins, zone, side),
        next_filter_pin(pins, zone, side),
    ]
    .into_iter()
    .filter(|pin| pin.exists())
    .map(|pin| {
        let program = SchedClassifier::from_pin(&pin).and_then(|program| program.info());
        let info = program.map_err(program_error("open", side))?;
        Ok((pin, info.id()))
    })
    .collect()
}

/// A filter of a hook.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filter {
    /// Id of the program that it runs, 0 when it runs none.
    pub(super) program: u32,
    /// Its priority.
    pub(super) priority: u16,
    /// What tells it from others of its priority.
    pub(super) handle: TcHandle,
}

/// The filters that packets meet at a hook, in their order; none when the network namespace of this
/// thread has no interface of this index, or that has no clsact.
pub(super) fn filters(ifindex: u32, side: HookSide) -> Result<Vec<Filter>, DataplaneError> {
    let mut request = TcMessage::with_index(ifindex.cast_signed());
    request.header.parent = RouteHandle {
        major: RouteHandle::CLSACT.major,
        minor: match side {
            HookSide::Ingress => RouteHandle::MIN_INGRESS,
            HookSide::Egress => RouteHandle::MIN_EGRESS,
        },
    };
    match dump(RouteNetlinkMessage::GetTrafficFilter(request), filter) {
        Err(error) if matches!(error.raw_os_error(), Some(19 | 22 | 2)) => Ok(Vec::new()),
        filters => filters.map_err(system_error("list the traffic filters")),
    }
}

fn filter(message: RouteNetlinkMessage) -> Option<Filter> {
    let RouteNetlinkMessage::NewTrafficFilter(message) = message else {
        return None;
    };
    let handle = u32::from(message.header.handle);
    let is_elsewhere = |attribute: &TcAttribute| {
        // Other chains are met only by way of a filter of the first one.
        matches!(attribute, TcAttribute::Chain(chain) if *chain != 0)
    };
    // Each priority is listed for itself, too, without a handle.
    if handle == 0 || message.attributes.iter().any(is_elsewhere) {
        return None;
    }
    let program = message.attributes.iter().find_map(|attribute| {
        let TcAttribute::Options(options) = attribute else {
            return None;
        };
        options.iter().find_map(|option| match option {
            TcOption::Bpf(TcFilterBpfOption::ProgId(id)) => Some(*id),
            _ => None,
        })
    });
    Some(Filter {
        program: program.unwrap_or(0),
        // tcm_info: priority and protocol.
        priority: (message.header.info >> 16) as u16,
        handle: TcHandle::from(handle),
    })
}

/// The priority and handle of the filter of an interface that runs the program with this id.
pub(super) fn find_filter(
    ifindex: u32,
    side: HookSide,
    program: u32,
) -> Result<Option<(u16, TcHandle)>, DataplaneError> {
    let filters = filters(ifindex, side)?;
    let found = filters.iter().find(|filter| filter.program == program);
    Ok(found.map(|filter| (filter.priority, filter.handle)))
}

pub(super) fn remove_filter(
    interface: &Interface,
    side: HookSide,
    program: u32,
) -> Result<(), DataplaneError> {
    let Some((priority, handle)) = find_filter(interface.index, side, program)? else {
        return Ok(());
    };
    SchedClassifierLink::attached(&interface.name, side.attach_type(), priority, handle, None)
        .map_err(ProgramError::from)
        .and_then(Link::detach)
        .map_err(program_error("detach", side))
}
