//! Every map, and the only code that touches map memory through pointers.
//!
//! All are pinned by the loader and shared by every interface.

use aya_ebpf::bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC};
use aya_ebpf::btf_maps::{
    Array, ArrayOfMaps, LruHashMap, PerCpuArray, PerCpuHashMap, ProgramArray, RingBuf,
};
use aya_ebpf::macros::btf_map;
use sg_common::counters::{MAX_RULES, PAGE_ZONES, PAGES, RuleCounters, RuleKey, ZoneCounters};
use sg_common::event::Record;
use sg_common::flow::{FlowSlot, FragmentEntry, FragmentKey};
use sg_common::image::{IMAGES, SIZE_CLASSES};
use sg_common::limit::LogBucket;
use sg_common::settings::{DEFAULT_FLOWS, InterfaceSettings, MAX_ZONES, before};
use sg_common::table::{BUCKET_SLOTS, HashSeed, REMOTE_COUNTERS, buckets_for};
use sg_common::work::Work;

/// Direction → program, for the gates at XDP. Written by user space; read by gates alone.
#[btf_map]
pub(crate) static XDP_PROGRAMS: ProgramArray<2> = ProgramArray::new();

/// Direction → program, for the gates at TC; two for Ethernet, two for links without a header. Written
/// by user space; read by gates alone.
#[btf_map]
pub(crate) static TC_PROGRAMS: ProgramArray<4> = ProgramArray::new();

/// 0 → zone of the packet in hand, and working memory. Written by gates, and here. 392 B per CPU.
#[btf_map]
pub(crate) static WORK: PerCpuArray<Work, 1> = PerCpuArray::new();

/// zone → settings, and behind all zones those before a change on trial. Written by user space, read
/// per packet. 184 B each.
#[btf_map]
pub(crate) static INTERFACES: Array<InterfaceSettings, { before(MAX_ZONES) as usize }> =
    Array::new();

/// Page of zones → counters of each of them. Written here, summed by user space, which makes the
/// pages. 160 KiB per page and CPU.
#[btf_map]
pub(crate) static COUNTERS: ArrayOfMaps<CounterPage, { PAGES as usize }> = ArrayOfMaps::new();

/// The values are arrays of one: before Linux 6.3, a map whose values have the type of a struct differs
/// from one without types, as user space makes pages, by what the kernel found when it looked for timers.
type CounterPage = PerCpuArray<[ZoneCounters; 1], { PAGE_ZONES as usize }>;

/// Rule of an interface → its counters. Entries are made by user space, and written here. 2 MiB, and
/// for each entry some 100 B and 56 B per CPU.
#[btf_map]
pub(crate) static RULES: PerCpuHashMap<
    RuleKey,
    RuleCounters,
    { MAX_RULES as usize },
    { BPF_F_NO_PREALLOC as usize },
> = PerCpuHashMap::new();

/// zone → what the interface may log. Written here. 64 B each.
#[btf_map]
pub(crate) static LOG_BUCKETS: Array<LogBucket, { MAX_ZONES as usize }> = Array::new();

/// Bucket → tag word. Written here, read by user space. 64 Ki × 8 B.
///
/// The loader sets the number of entries of this map and the next by the size of the flow table.
#[btf_map]
pub(crate) static FLOW_TAGS: Array<u64, FLOW_BUCKETS, MMAPABLE> = Array::new();

/// Bucket × 8 + index → flow. Written here; user space lists flows and takes the state of those it
/// deletes. 512 Ki × 128 B = 64 MiB.
#[btf_map]
pub(crate) static FLOW_SLOTS: Array<FlowSlot, { FLOW_BUCKETS * BUCKET_SLOTS as usize }, MMAPABLE> =
    Array::new();

/// 0 → seed of the flow table's hash. Written once by user space, for programs loaded later.
#[btf_map]
pub(crate) static FLOW_SEED: Array<HashSeed, 1> = Array::new();

/// zone → slots that its flows hold, live or expired. Written here. 8 B each.
#[btf_map]
pub(crate) static FLOW_HELD: Array<u64, { MAX_ZONES as usize }> = Array::new();

/// Remote end, hashed → slots that its flows hold, where they are limited. Written here. 64 Ki × 8 B.
#[btf_map]
pub(crate) static FLOW_REMOTES: Array<u64, { REMOTE_COUNTERS as usize }> = Array::new();

/// Fragmented datagram → what its first fragment left. Written here only. About 140 B each.
#[btf_map]
pub(crate) static FRAGMENTS: LruHashMap<FragmentKey, FragmentEntry, 16_384> = LruHashMap::new();

/// Verdicts for `sg-ctl logs`, with the beginnings of the frames. 8 MiB: about 38 000 events.
#[btf_map]
pub(crate) static EVENTS: RingBuf<Record, { 8 << 20 }> = RingBuf::new();

/// Image → number of its size class: the one word that a swap between classes writes.
#[btf_map]
pub(crate) static SELECTOR: Array<u32, { IMAGES as usize }> = Array::new();

const MMAPABLE: usize = BPF_F_MMAPABLE as usize;
const FLOW_BUCKETS: usize = buckets_for(DEFAULT_FLOWS) as usize;

type ImageMap<const WORDS: usize> = Array<[u32; WORDS], 1, MMAPABLE>;

/// Image → its words, of the smallest size class. Replaced as a whole by user space.
#[btf_map]
pub(crate) static IMAGE_SMALL: ArrayOfMaps<ImageMap<{ SIZE_CLASSES[0] }>, { IMAGES as usize }> =
    ArrayOfMaps::new();

/// Image → its words, of the middle size class. Replaced as a whole by user space.
#[btf_map]
pub(crate) static IMAGE_LARGE: ArrayOfMaps<ImageMap<{ SIZE_CLASSES[1] }>, { IMAGES as usize }> =
    ArrayOfMaps::new();

/// Image → its words, of the largest size class. Replaced as a whole by user space.
#[btf_map]
pub(crate) static IMAGE_HUGE: ArrayOfMaps<ImageMap<{ SIZE_CLASSES[2] }>, { IMAGES as usize }> =
    ArrayOfMaps::new();

/// 0 → jiffies, for programs loaded with a test clock. Written by tests and replay.
#[btf_map]
pub(crate) static TEST_CLOCK: Array<u64, 1> = Array::new();
