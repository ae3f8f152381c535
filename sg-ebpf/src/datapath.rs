//! The kernel behind the pipeline's traits: maps, clock, counters, events.

use core::mem::offset_of;
use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::helpers::{bpf_jiffies64, bpf_ktime_get_ns};
use sg_common::counters::{PAGE_ZONES, RuleCounters, RuleKey, Tally, ZoneCounters};
use sg_common::datapath::{Datapath, Settings};
use sg_common::event::{Event, Record};
use sg_common::flow::{
    Direction, FlowKey, FlowSeed, FlowState, FragmentEntry, FragmentKey, Opening,
};
use sg_common::limit::{self, LogBucket, TAKE_TRIES};
use sg_common::outcome::Outcome;
use sg_common::packet::{Packet, View as _};
use sg_common::pipeline::Scratch;
use sg_common::policy::{self, Question};
use sg_common::reason::{REASON_SLOTS, Reason};
use sg_common::table::{self, Refused};
use sg_common::tcp::{Numbers, Side};
use sg_common::verifier::opaque;
use sg_common::work::{SCRATCH_WORDS, Work};

use crate::flows::{FlowTable, SharedFlow, compare_and_swap};
use crate::image::Image;
use crate::settings::SharedSettings;
use crate::{config, maps};

/// Reads or writes one field of a value that other CPUs and user space share.
///
/// SAFETY of every use: the pointer comes from a map look-up that succeeded, and map values live
/// until the program returns.
macro_rules! field {
    ($base:expr, $($field:tt)+) => {
        // SAFETY: see the macro's comment.
        unsafe { read_volatile(&raw const (*$base).$($field)+) }
    };
}
macro_rules! set_field {
    ($base:expr, $value:expr, $($field:tt)+) => {{
        let value = $value;
        // SAFETY: see the comment of `field!`.
        unsafe { write_volatile(&raw mut (*$base).$($field)+, value) }
    }};
}

/// Asks an image: returns the bits of an [`Outcome`].
///
/// A function with a name of its own is *global* to the verifier: checked once for any arguments,
/// not once for each way in which the parser may arrive at it.
#[unsafe(no_mangle)]
extern "C" fn sg_ask(question: *const Question, image: u64) -> u64 {
    // SAFETY: the verifier passes a pointer to a whole question or null.
    let outcome = match (unsafe { question.as_ref() }, Image::find(image as u32)) {
        (Some(question), Some(image)) => policy::answer(&image, question),
        _ => Outcome::new(Reason::NoPolicy, 0),
    };
    outcome.to_bits()
}

/// Opens a flow: returns the code of `New`, or of the reason why there is no slot for it. Global,
/// see [`sg_ask`].
///
/// `what` is rule (32 bits), flags (8), state (8); `size` is packets (32) and bytes (32); each side's
/// sequence numbers are acknowledgement (32) and end (32).
#[unsafe(no_mangle)]
extern "C" fn sg_open_flow(
    key: *const FlowKey,
    what: u64,
    size: u64,
    opener: u64,
    answerer: u64,
) -> u64 {
    // SAFETY: the verifier passes a pointer to a whole key or null.
    let Some(key) = (unsafe { key.as_ref() }) else {
        return Reason::FlowTableFull as u64;
    };
    let opening = Opening {
        rule: (what >> 32) as u32,
        state: FlowState(what as u8),
        flags: (what >> 8) as u8,
        packets: (size >> 32) as u32,
        bytes: size as u32,
        numbers: Numbers {
            opener: unpacked(opener),
            answerer: unpacked(answerer),
        },
    };
    match table::open(&FlowTable, key, &FlowTable::place(key), opening) {
        Ok(()) => Reason::New as u64,
        Err(Refused::Full) => Reason::FlowTableFull as u64,
        Err(Refused::Contended) => Reason::FlowContended as u64,
    }
}

/// A side's numbers as one, as they lie in memory.
#[inline(always)]
const fn packed(side: Side) -> u64 {
    side.ack as u64 | (side.end as u64) << 32
}

#[inline(always)]
const fn unpacked(packed: u64) -> Side {
    Side {
        ack: packed as u32,
        end: (packed >> 32) as u32,
    }
}

/// Counts a frame of no live flow for the rule that decided on it. Global, see [`sg_ask`].
///
/// `outcome` is the bits of an [`Outcome`]; `size` is packets (32 bits) and bytes (32).
#[unsafe(no_mangle)]
extern "C" fn sg_count_rule(zone: u32, outcome: u64, size: u64) -> u64 {
    let outcome = Outcome::from_bits(outcome);
    if let Some(rule) = rule_counters(zone, outcome.rule()) {
        rule.hit(outcome.reason(), now(), (size >> 32) as u32, size as u32);
    }
    0
}

/// Takes the token for one event: returns 1, or 0 when there is none. Global, see [`sg_ask`].
#[unsafe(no_mangle)]
extern "C" fn sg_may_log(zone: u32, interval: u64) -> u64 {
    let Some(bucket) = maps::LOG_BUCKETS.get_ptr_mut(zone) else {
        return 0;
    };
    let bucket: *mut LogBucket = bucket;
    let now = now();
    for _ in 0..TAKE_TRIES {
        let full_at = field!(bucket, full_at);
        let Some(next) = limit::take(full_at, now, interval, config::hz()) else {
            break;
        };
        // SAFETY: a map value; only an address is taken.
        let word = unsafe { &raw mut (*bucket).full_at };
        if compare_and_swap(word, full_at, next) {
            return 1;
        }
    }
    0
}

/// This CPU's counters of a rule; `None` for one that is not in force any more.
#[inline(always)]
pub(crate) fn rule_counters<'a>(zone: u32, rule: u32) -> Option<&'a mut RuleCounters> {
    let counters = maps::RULES.get_ptr_mut(RuleKey { zone, rule })?;
    // SAFETY: this CPU's part of a map value, and no other program runs on this CPU until this one
    // returns. User space may read or delete it meanwhile; the kernel frees it later.
    Some(unsafe { &mut *counters })
}

/// Opens the flow that a frame describes, unless it is known; see `sg_seed`.
#[inline(always)]
pub(crate) fn seed<P: Packet>(packet: &P) -> u32 {
    const WORDS: usize = size_of::<FlowKey>() / size_of::<u32>();
    const NUMBERS: usize = offset_of!(FlowSeed, numbers);
    let Some(view) = packet.view::<{ size_of::<FlowSeed>() }>(0) else {
        return Reason::FlowTableFull as u32;
    };
    let mut key = FlowKey::NONE;
    let words: *mut u32 = (&raw mut key).cast();
    for i in 0..WORDS {
        // SAFETY: a key is twelve words, and any words are a key.
        unsafe { *words.add(i) = view.wire32(i * size_of::<u32>()) };
    }
    let state = view.wire32(offset_of!(FlowSeed, state));
    let flags = view.wire32(offset_of!(FlowSeed, flags));
    if let Some(found) = table::find(&FlowTable, &key, &FlowTable::place(&key))
        && table::is_live(&FlowTable, found.slot)
        && found.meta.state() != FlowState::TCP_PICKED_UP
    {
        return Reason::Established as u32;
    }
    let (opener, answerer) = (view.wire64(NUMBERS), view.wire64(NUMBERS + 8));
    // No rule admitted it, and its packets are counted from now on.
    let what = u64::from(flags << 8 | state);
    sg_open_flow(&raw const key, what, 0, opener, answerer) as u32
}

/// The tables of one interface, for packets of one direction: a constant, so that LLVM leaves out
/// what belongs to the other one.
pub(crate) struct Kernel<const OUTBOUND: bool> {
    settings: SharedSettings,
    work: *mut Work,
}

/// The zone of the packet in hand.
#[inline(always)]
pub(crate) fn zone_in_hand() -> u32 {
    maps::WORK.get_ptr(0).map_or(0, |work| field!(work, zone))
}

impl<const OUTBOUND: bool> Kernel<OUTBOUND> {
    /// Finds settings and counters of the interface whose gate the packet came by.
    #[inline(always)]
    pub(crate) fn new() -> Option<Self> {
        let work = maps::WORK.get_ptr_mut(0)?;
        let settings = SharedSettings::in_force(field!(work, zone))?;
        Some(Self { settings, work })
    }

    /// The counters of the interface. Looked up where they are wanted: what is kept from the beginning
    /// takes room on the stack, of which Linux 6.1 has none to spare.
    #[inline(always)]
    fn counters(&self) -> Option<*mut ZoneCounters> {
        let zone = field!(self.work, zone);
        let (page, place) = (zone / PAGE_ZONES, zone % PAGE_ZONES);
        maps::COUNTERS
            .get_value_ptr_mut(page, &place)
            .map(<*mut [ZoneCounters; 1]>::cast)
    }

    /// The working memory of this run.
    #[inline(always)]
    pub(crate) fn scratch(&self) -> *mut Scratch {
        const { assert!(size_of::<Scratch>() <= size_of::<[u64; SCRATCH_WORDS]>()) };
        // SAFETY: a map value; only an address is taken.
        unsafe { (&raw mut (*self.work).scratch).cast() }
    }
}

impl<const OUTBOUND: bool> Datapath for Kernel<OUTBOUND> {
    type Flow = SharedFlow;
    type Settings = SharedSettings;

    #[inline(always)]
    fn zone(&self) -> u32 {
        field!(self.work, zone)
    }

    #[inline(always)]
    fn direction(&self) -> Direction {
        if OUTBOUND {
            Direction::Outbound
        } else {
            Direction::Inbound
        }
    }

    #[inline(always)]
    fn settings(&self) -> &SharedSettings {
        &self.settings
    }

    #[inline(always)]
    fn now(&self) -> u64 {
        now()
    }

    #[inline(always)]
    fn hz(&self) -> u64 {
        config::hz()
    }

    #[inline(always)]
    fn ask(&self, question: &Question) -> Outcome {
        Outcome::from_bits(sg_ask(question, u64::from(self.settings.image())))
    }

    #[inline(always)]
    fn ask_at_once(&self, question: &Question) -> Option<Outcome> {
        policy::answer_at_once(&Image::named(self.settings.image())?, question)
    }

    #[inline(always)]
    fn flow(&self, key: &FlowKey) -> Option<SharedFlow> {
        table::find(&FlowTable, key, &FlowTable::place(key)).map(SharedFlow)
    }

    #[inline(always)]
    fn open_flow(&self, key: &FlowKey, opening: Opening) -> Result<(), Reason> {
        let what = u64::from(opening.rule) << 32
            | u64::from(opening.flags) << 8
            | u64::from(opening.state.0);
        let size = u64::from(opening.packets) << 32 | u64::from(opening.bytes);
        let Numbers { opener, answerer } = opening.numbers;
        let code = sg_open_flow(key, what, size, packed(opener), packed(answerer));
        match Reason::from_code(code as u8) {
            Some(Reason::New) => Ok(()),
            Some(reason) => Err(reason),
            None => Err(Reason::FlowTableFull),
        }
    }

    #[inline(always)]
    fn fragment(&self, key: &FragmentKey) -> Option<FragmentEntry> {
        let entry = maps::FRAGMENTS.get_ptr(key)?;
        Some(FragmentEntry {
            expires: field!(entry, expires),
            rule: field!(entry, rule),
            pad: 0,
        })
    }

    #[inline(always)]
    fn remember_fragment(&self, key: &FragmentKey, entry: &FragmentEntry) {
        // When the table has no room the later fragments drop as `fragment-unknown`, which counts
        // them.
        let _ = maps::FRAGMENTS.insert(key, entry, u64::from(BPF_ANY));
    }

    #[inline(always)]
    fn count(&self, code: u8, audited: bool, packets: u32, bytes: u32) {
        let side = usize::from(OUTBOUND);
        let slot = usize::from(code) & (REASON_SLOTS - 1);
        // sg-ctl makes them before any gate leads here.
        let Some(counters) = self.counters() else {
            return;
        };
        // SAFETY: this CPU's map value; both indexes are masked to the arrays' lengths.
        let (reason, audit) = unsafe {
            (
                &raw mut (*counters).reasons[side][slot],
                &raw mut (*counters).audited[side],
            )
        };
        add(reason, packets, bytes);
        if audited {
            add(audit, packets, bytes);
        }
    }

    #[inline(always)]
    fn count_rule(&self, outcome: Outcome, packets: u32, bytes: u32) {
        sg_count_rule(
            self.zone(),
            outcome.to_bits(),
            u64::from(packets) << 32 | u64::from(bytes),
        );
    }

    #[inline(always)]
    fn may_log(&self, outcome: Outcome) -> bool {
        let interval = self.settings.log_interval();
        if interval == 0 || sg_may_log(self.zone(), interval) != 0 {
            return true;
        }
        // Hidden, so that LLVM keeps the mask, see `pipeline::finish`.
        let slot = opaque(u64::from(outcome.code())) as usize & (REASON_SLOTS - 1);
        if let Some(counters) = self.counters() {
            let suppressed = field!(counters, events_suppressed[slot]) + 1;
            set_field!(counters, suppressed, events_suppressed[slot]);
        }
        false
    }

    #[inline(always)]
    fn log<P: Packet>(&self, event: &Event, packet: &P) {
        if let Some(mut slot) = maps::EVENTS.reserve(0) {
            let record: *mut Record = slot.as_mut_ptr();
            // SAFETY: room for a record, of integers, which is nobody else's until it is submitted;
            // and a helper without arguments.
            unsafe {
                (*record).event = Event {
                    time_ns: bpf_ktime_get_ns(),
                    ..*event
                };
                (*record).captured = packet.copy_start(&mut (*record).bytes);
                (*record).pad = 0;
            }
            slot.submit(0);
        } else if let Some(counters) = self.counters() {
            let lost = field!(counters, events_lost) + 1;
            set_field!(counters, lost, events_lost);
        }
    }
}

/// Jiffies, or the test clock.
#[inline(always)]
pub(crate) fn now() -> u64 {
    if config::test_clock() {
        return maps::TEST_CLOCK.get_ptr(0).map_or(0, |clock| {
            // SAFETY: a map value, alive until the program returns.
            unsafe { read_volatile(clock) }
        });
    }
    // SAFETY: a helper without arguments.
    unsafe { bpf_jiffies64() }
}

/// Adds to a counter of this CPU; `tally` points into its map value.
#[inline(always)]
fn add(tally: *mut Tally, packets: u32, bytes: u32) {
    set_field!(tally, field!(tally, packets) + u64::from(packets), packets);
    set_field!(tally, field!(tally, bytes) + u64::from(bytes), bytes);
}
