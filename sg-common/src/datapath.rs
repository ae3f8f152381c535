//! What the pipeline is joined to: settings, flows, tables and the clock of one interface. The kernel
//! programs put maps behind these traits, `memory` puts user-space memory.

use crate::event::Event;
use crate::flow::{Direction, FlowKey, FlowState, FragmentEntry, FragmentKey, Opening};
use crate::outcome::Outcome;
use crate::packet::Packet;
use crate::policy::Question;
use crate::reason::Reason;
use crate::tcp::{Numbers, Segment, Step};

/// Settings of the interface, see [`InterfaceSettings`](crate::settings::InterfaceSettings).
pub trait Settings {
    /// Idle timeout of a state, in jiffies.
    fn timeout(&self, state: FlowState) -> u64;
    /// Bits of the reasons that are logged.
    fn log_reasons(&self) -> u64;
    /// What the token for one event takes to come, see [`limit`](crate::limit); 0 = no limit.
    fn log_interval(&self) -> u64;
    /// Jiffies until which segments without an entry open a flow.
    fn pickup_until(&self) -> u64;
    /// `INFRA_…` bits.
    fn infra(&self) -> u32;
    /// Interface index.
    fn ifindex(&self) -> u32;
    /// `MODE_…`.
    fn mode(&self) -> u8;
    /// `RELATED_…`.
    fn related(&self) -> u8;
    /// `PICKUP_…`.
    fn tcp_pickup(&self) -> u8;
}

/// A live entry of the flow table, shared with other CPUs.
pub trait Flow {
    /// Jiffies of the latest packet.
    fn last_seen(&self) -> u64;
    /// State.
    fn state(&self) -> FlowState;
    /// `FLOW_…` bits.
    fn flags(&self) -> u8;
    /// Number of the rule that admitted the flow.
    fn rule(&self) -> u32;
    /// Counts a frame of the opener (`side` 0) or the answering side (1), seen at `now`.
    fn account(&self, side: usize, now: u64, packets: u32, bytes: u32);
    /// Takes the numbers of a segment of the opener (`side` 0) or the answering side (1).
    fn follow(&self, side: usize, segment: &Segment);
    /// Sequence numbers (TCP).
    fn numbers(&self) -> Numbers;
    /// Stores a new state, and numbers.
    fn advance(&self, step: Step);
}

/// The tables and the clock that a frame is judged with.
pub trait Datapath {
    /// An entry of the flow table.
    type Flow: Flow;
    /// Settings of the interface.
    type Settings: Settings;

    /// Zone of the interface.
    fn zone(&self) -> u32;
    /// Which way the frames of this hook go.
    fn direction(&self) -> Direction;
    /// Settings of the interface.
    fn settings(&self) -> &Self::Settings;
    /// Jiffies.
    fn now(&self) -> u64;
    /// Jiffies per second.
    fn hz(&self) -> u64;
    /// Asks the policy in force, see [`policy::answer`](crate::policy::answer).
    fn ask(&self, question: &Question) -> Outcome;
    /// Asks it if it answers without a long search, see
    /// [`policy::answer_at_once`](crate::policy::answer_at_once).
    fn ask_at_once(&self, question: &Question) -> Option<Outcome>;
    /// The entry of a flow, live or expired.
    fn flow(&self, key: &FlowKey) -> Option<Self::Flow>;
    /// Creates the entry of a flow, or replaces one that is over.
    ///
    /// # Errors
    /// The reason when there is no slot for it.
    fn open_flow(&self, key: &FlowKey, opening: Opening) -> Result<(), Reason>;
    /// What the first fragment of a datagram left.
    fn fragment(&self, key: &FragmentKey) -> Option<FragmentEntry>;
    /// Leaves something for the later fragments of a datagram.
    fn remember_fragment(&self, key: &FragmentKey, entry: &FragmentEntry);
    /// Counts a verdict by the code of its reason.
    fn count(&self, code: u8, audited: bool, packets: u32, bytes: u32);
    /// Counts a frame of no live flow for the rule that decided on it.
    fn count_rule(&self, outcome: Outcome, packets: u32, bytes: u32);
    /// Whether the limit lets a verdict be reported; counts it as suppressed if not.
    fn may_log(&self, outcome: Outcome) -> bool;
    /// Reports a verdict on a frame, with its beginning; fills in the time.
    fn log<P: Packet>(&self, event: &Event, packet: &P);
}
