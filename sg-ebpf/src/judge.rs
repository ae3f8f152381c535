//! From a frame at a hook to its verdict: the pipeline joined to the interface's tables.

use sg_common::datapath::Datapath;
use sg_common::flow::Direction;
use sg_common::packet::Packet;
use sg_common::pipeline;
use sg_common::reason::Verdict;

use crate::datapath::Kernel;
use crate::{config, maps};

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
    match direction {
        Direction::Inbound => run(packet, &Kernel::<false>::new()?),
        Direction::Outbound => run(packet, &Kernel::<true>::new()?),
    }
}

/// Judges a frame by the tables of an interface.
#[inline(always)]
pub(crate) fn run<P: Packet, D: Datapath>(packet: &P, datapath: &D) -> Option<Verdict> {
    let scratch = maps::SCRATCH.get_ptr_mut(0)?;
    // SAFETY: this CPU's map value; no other program runs on this CPU until this one returns, for
    // both hooks run with bottom halves off.
    Some(pipeline::run(packet, datapath, unsafe { &mut *scratch }))
}
