//! From a frame at a hook to its verdict: the pipeline joined to the interface's tables.

use sg_common::packet::Packet;
use sg_common::pipeline;
use sg_common::reason::Verdict;

use crate::datapath::Kernel;

/// Judges a frame that enters the protected side, or leaves it; `None` when the interface has no
/// settings.
#[inline(always)]
pub(crate) fn judge<P: Packet, const OUTBOUND: bool>(packet: &P) -> Option<Verdict> {
    let tables = Kernel::<OUTBOUND>::new()?;
    // SAFETY: nobody else has it, see there.
    let scratch = unsafe { &mut *tables.scratch() };
    Some(pipeline::run(packet, &tables, scratch))
}
