//! The pipeline on what the kernel offers: flows in an LRU hash, peers in a trie of prefixes.

use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::btf_maps::lpm_trie::Key;
use aya_ebpf::btf_maps::{LpmTrie, LruHashMap};
use aya_ebpf::macros::btf_map;
use sg_common::addr::Addr;
use sg_common::datapath::{Datapath, Flow};
use sg_common::event::Event;
use sg_common::flow::{
    Direction, FlowEntry, FlowKey, FlowState, FragmentEntry, FragmentKey, Opening,
};
use sg_common::outcome::Outcome;
use sg_common::packet::Packet;
use sg_common::pipeline;
use sg_common::policy::Question;
use sg_common::reason::{Reason, Verdict};
use sg_common::tcp::{Numbers, Segment, Step};

use crate::datapath::Kernel;
use crate::settings::SharedSettings;

/// Key → flow. The loader sets the number of entries.
#[btf_map]
static KERNEL_FLOWS: LruHashMap<FlowKey, FlowEntry, 1024> = LruHashMap::new();

/// Prefix → the service that it may reach: less than a policy says, so the trie is flattered.
#[btf_map]
static KERNEL_PEERS: LpmTrie<[u64; 2], u32, { 1 << 20 }> = LpmTrie::new();

/// A key is packed: so its words lie where words of the stack do.
#[repr(C, align(8))]
struct Aligned(u32, Key<[u64; 2]>);

/// [`Kernel`] with other tables for flows and peers.
pub(crate) struct KernelTables<const OUTBOUND: bool>(Kernel<OUTBOUND>);

impl<const OUTBOUND: bool> KernelTables<OUTBOUND> {
    /// `None` when the interface has no settings.
    #[inline(always)]
    pub(crate) fn new() -> Option<Self> {
        Kernel::new().map(Self)
    }

    /// Judges a frame by these tables.
    #[inline(always)]
    pub(crate) fn judge<P: Packet>(&self, packet: &P) -> Verdict {
        // SAFETY: nobody else has it, see there.
        let scratch = unsafe { &mut *self.0.scratch() };
        pipeline::run(packet, self, scratch)
    }
}

/// Finds the service that an address may reach. Global to the verifier, as `sg_ask` is.
#[unsafe(no_mangle)]
extern "C" fn bench_peer(addr: *const Addr) -> u64 {
    // SAFETY: the verifier passes a pointer to a whole address or null.
    let Some(addr) = (unsafe { addr.as_ref() }) else {
        return 0;
    };
    let Aligned(_, key) = &Aligned(0, Key::new(128, addr.wire()));
    KERNEL_PEERS
        .get(key)
        .map_or(0, |service| u64::from(*service))
}

impl<const OUTBOUND: bool> Datapath for KernelTables<OUTBOUND> {
    type Flow = KernelFlow;
    type Settings = SharedSettings;

    #[inline(always)]
    fn zone(&self) -> u32 {
        self.0.zone()
    }

    #[inline(always)]
    fn direction(&self) -> Direction {
        self.0.direction()
    }

    #[inline(always)]
    fn settings(&self) -> &SharedSettings {
        self.0.settings()
    }

    #[inline(always)]
    fn now(&self) -> u64 {
        self.0.now()
    }

    #[inline(always)]
    fn hz(&self) -> u64 {
        self.0.hz()
    }

    #[inline(always)]
    fn ask_at_once(&self, _question: &Question) -> Option<Outcome> {
        None
    }

    #[inline(always)]
    fn ask(&self, question: &Question) -> Outcome {
        if bench_peer(&raw const question.remote) == u64::from(question.service) {
            Outcome::new(Reason::New, 1)
        } else {
            Outcome::new(Reason::NoRule, 0)
        }
    }

    #[inline(always)]
    fn flow(&self, key: &FlowKey) -> Option<KernelFlow> {
        KERNEL_FLOWS.get_ptr_mut(key).map(KernelFlow)
    }

    #[inline(always)]
    fn open_flow(&self, key: &FlowKey, opening: Opening) -> Result<(), Reason> {
        KERNEL_FLOWS
            .insert(key, opening.entry(self.now()), u64::from(BPF_ANY))
            .map_err(|_| Reason::FlowTableFull)
    }

    #[inline(always)]
    fn fragment(&self, key: &FragmentKey) -> Option<FragmentEntry> {
        self.0.fragment(key)
    }

    #[inline(always)]
    fn remember_fragment(&self, key: &FragmentKey, entry: &FragmentEntry) {
        self.0.remember_fragment(key, entry);
    }

    #[inline(always)]
    fn count(&self, code: u8, audited: bool, packets: u32, bytes: u32) {
        self.0.count(code, audited, packets, bytes);
    }

    #[inline(always)]
    fn count_rule(&self, outcome: Outcome, packets: u32, bytes: u32) {
        self.0.count_rule(outcome, packets, bytes);
    }

    #[inline(always)]
    fn may_log(&self, outcome: Outcome) -> bool {
        self.0.may_log(outcome)
    }

    #[inline(always)]
    fn log<P: Packet>(&self, event: &Event, packet: &P) {
        self.0.log(event, packet);
    }
}

/// A flow in the hash.
pub(crate) struct KernelFlow(*mut FlowEntry);

impl Flow for KernelFlow {
    #[inline(always)]
    fn last_seen(&self) -> u64 {
        field!(self.0, last_seen)
    }

    #[inline(always)]
    fn state(&self) -> FlowState {
        FlowState(field!(self.0, state))
    }

    #[inline(always)]
    fn flags(&self) -> u8 {
        field!(self.0, flags)
    }

    #[inline(always)]
    fn rule(&self) -> u32 {
        field!(self.0, rule)
    }

    #[inline(always)]
    fn account(&self, side: usize, now: u64, packets: u32, bytes: u32) {
        let (flow, side) = (self.0, side & 1);
        let packets = field!(flow, packets[side]) + u64::from(packets);
        set_field!(flow, packets, packets[side]);
        let bytes = field!(flow, bytes[side]) + u64::from(bytes);
        set_field!(flow, bytes, bytes[side]);
        set_field!(flow, now, last_seen);
    }

    #[inline(always)]
    fn follow(&self, side: usize, segment: &Segment) {
        let numbers = self.numbers().follow(side & 1 == 1, segment);
        set_field!(self.0, numbers, numbers);
    }

    #[inline(always)]
    fn numbers(&self) -> Numbers {
        field!(self.0, numbers)
    }

    #[inline(always)]
    fn advance(&self, step: Step) {
        set_field!(self.0, step.state.0, state);
        set_field!(self.0, step.flags, flags);
        set_field!(self.0, step.numbers, numbers);
    }
}
