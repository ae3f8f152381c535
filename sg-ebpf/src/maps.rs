//! Every map, and the only code that touches map memory through pointers.
//!
//! All of them are pinned by the loader and shared by the programs of every interface.

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::btf_maps::{Array, ArrayOfMaps, LruHashMap, PerCpuArray, RingBuf};
use aya_ebpf::macros::btf_map;
use sg_common::counters::ZoneCounters;
use sg_common::event::Event;
use sg_common::flow::{FlowEntry, FlowKey, FragmentEntry, FragmentKey};
use sg_common::image::SIZE_CLASSES;
use sg_common::settings::{InterfaceSettings, MAX_ZONES};

/// zone → settings. Written by user space, read per packet. 176 B each.
#[btf_map]
pub(crate) static INTERFACES: Array<InterfaceSettings, { MAX_ZONES as usize }> = Array::new();

/// zone → counters. Written here, summed by user space. 2 MiB per CPU.
#[btf_map]
pub(crate) static COUNTERS: PerCpuArray<ZoneCounters, { MAX_ZONES as usize }> = PerCpuArray::new();

/// Flow → entry. Written here, listed and deleted by user space. About 170 B each.
#[btf_map]
pub(crate) static FLOWS: LruHashMap<FlowKey, FlowEntry, 262_144> = LruHashMap::new();

/// Fragmented datagram → what its first fragment left. Written here only. About 140 B each.
#[btf_map]
pub(crate) static FRAGMENTS: LruHashMap<FragmentKey, FragmentEntry, 16_384> = LruHashMap::new();

/// Verdicts for `sg-ctl logs`. 4 MiB: about 52 000 events.
#[btf_map]
pub(crate) static EVENTS: RingBuf<Event, { 4 << 20 }> = RingBuf::new();

/// 0 → number of the image size class in force: the one word that a swap between classes writes.
#[btf_map]
pub(crate) static SELECTOR: Array<u32, 1> = Array::new();

type ImageMap<const WORDS: usize> = Array<[u32; WORDS], 1, { BPF_F_MMAPABLE as usize }>;

/// 0 → the image, of the smaller size class. Replaced as a whole by user space.
#[btf_map]
pub(crate) static IMAGE_SMALL: ArrayOfMaps<ImageMap<{ SIZE_CLASSES[0] }>, 1> = ArrayOfMaps::new();

/// 0 → the image, of the larger size class. Replaced as a whole by user space.
#[btf_map]
pub(crate) static IMAGE_LARGE: ArrayOfMaps<ImageMap<{ SIZE_CLASSES[1] }>, 1> = ArrayOfMaps::new();

/// 0 → jiffies, for programs loaded with a test clock. Written by tests and replay.
#[btf_map]
pub(crate) static TEST_CLOCK: Array<u64, 1> = Array::new();
