//! The question that a packet without a flow puts to the policy, and its answer.

use crate::addr::Addr;
use crate::flow::Direction;
use crate::image::search::{Halving, Search, Short};
use crate::image::{self, Words, classes};
use crate::outcome::Outcome;
use crate::reason::Reason;
use crate::verifier::forget;

/// `reply_service`: the packet cannot be an answer.
pub const NO_REPLY: u32 = u32::MAX;

/// All that the policy needs to know of a packet: 32 bytes.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Question {
    /// Address of the other side.
    pub remote: Addr,
    /// Zone of the interface.
    pub zone: u32,
    /// [`Direction`] of the packet.
    pub direction: u32,
    /// [Service key](crate::service) of the packet.
    pub service: u32,
    /// Service key of the packet that this one could be the answer to, or [`NO_REPLY`].
    pub reply_service: u32,
}

impl Question {
    /// About nothing.
    pub const NONE: Self = Self {
        remote: Addr::UNSPECIFIED,
        zone: 0,
        direction: 0,
        service: NO_REPLY,
        reply_service: NO_REPLY,
    };

    /// The same question, of whose services the verifier knows nothing: else it would follow each
    /// protocol apart through the answer. See [`forget`] about `noise`.
    #[must_use]
    #[inline(always)]
    pub fn forgotten(&self, noise: u64) -> Self {
        let service = |key: u32| forget(key.into(), noise) as u32;
        Self {
            service: service(self.service),
            reply_service: service(self.reply_service),
            ..*self
        }
    }
}

/// Answers by an image: `New` for a packet that is admitted and needs tracking, `Untracked` or
/// `UntrackedReply` for one that is admitted and does not, `NoRule`, or `NoPolicy`.
///
/// A packet that needs tracking by its own rule still goes untracked when it is the answer within
/// an untracked flow: else the SYN-ACK of such a flow would open a tracked one.
#[inline(always)]
pub fn answer<W: Words + ?Sized>(image: &W, question: &Question) -> Outcome {
    let no_policy = Outcome::new(Reason::NoPolicy, 0);
    answer_by::<W, Halving>(image, question).unwrap_or(no_policy)
}

/// [`answer`], if it takes short lists only, as it mostly does.
#[inline(always)]
pub fn answer_at_once<W: Words + ?Sized>(image: &W, question: &Question) -> Option<Outcome> {
    answer_by::<W, Short>(image, question)
}

#[inline(always)]
fn answer_by<W: Words + ?Sized, S: Search>(image: &W, question: &Question) -> Option<Outcome> {
    if !image::is_readable(image) {
        return Some(Outcome::new(Reason::NoPolicy, 0));
    }
    let direction = Direction::from_code(question.direction as u8);
    let class = classes::class::<W, S>(image, &question.remote)?;
    let Some(row) = image::row(image, question.zone, direction, class) else {
        return Some(Outcome::new(Reason::NoPolicy, 0));
    };
    let cell = image::cell::<W, S>(image, row, question.service)?;
    if !cell.is_admitted() {
        return Some(Outcome::new(Reason::NoRule, 0));
    }
    if cell.is_untracked() {
        return Some(Outcome::new(Reason::Untracked, cell.rule()));
    }
    if question.reply_service != NO_REPLY
        && let Some(row) = image::row(image, question.zone, direction.reverse(), class)
    {
        let reply = image::cell::<W, S>(image, row, question.reply_service)?;
        if reply.is_untracked() {
            return Some(Outcome::new(Reason::UntrackedReply, reply.rule()));
        }
    }
    Some(Outcome::new(Reason::New, cell.rule()))
}
