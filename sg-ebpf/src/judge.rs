//! From a frame at a hook to its verdict: the pipeline joined to the interface's tables.

use sg_common::flow::Direction;
use sg_common::packet::Packet;
use sg_common::pipeline;
use sg_common::reason::Verdict;

use crate::config;
use crate::datapath::Kernel;

/// Judges a frame at a hook that faces `hook`; `None` when the interface has no settings.
///
/// The loader's constant decides for one half; the verifier never looks at the other one.
#[inline(always)]
pub(crate) fn judge<P: Packet>(packet: &P, hook: Direction) -> Option<Verdict> {
    // What enters the host end of a workload's link leaves the workload.
    let direction = if config::workload_side() {
        hook.reverse()
    } else {
        hook
    };
    Some(match direction {
        Direction::Inbound => run(packet, &Kernel::<false>::new()?),
        Direction::Outbound => run(packet, &Kernel::<true>::new()?),
    })
}

/// Judges a frame by the tables of an interface.
#[inline(always)]
fn run<P: Packet, const OUTBOUND: bool>(packet: &P, tables: &Kernel<OUTBOUND>) -> Verdict {
    // SAFETY: nobody else has it, see there.
    let scratch = unsafe { &mut *tables.scratch() };
    pipeline::run(packet, tables, scratch)
}
