//! Names that both sides of the kernel boundary use.

/// Version of every shared layout: part of the pin path, so that programs never meet maps of
/// another layout.
pub const LAYOUT_VERSION: u32 = 9;

/// Version of the flow table's own layout ([`FlowSlot`](crate::flow::FlowSlot) and what its fields
/// mean): between layouts that share it flows can be copied.
pub const FLOW_LAYOUT: u32 = 2;

/// Programs that judge frames at XDP, by [`Direction`](crate::flow::Direction): what enters the
/// protected side, what leaves it.
pub const PROGRAMS_XDP: [&str; 2] = ["sg_xdp_inbound", "sg_xdp_outbound"];
/// Programs that judge frames at TC, by direction.
pub const PROGRAMS_TC: [&str; 2] = ["sg_tc_inbound", "sg_tc_outbound"];
/// Programs that judge packets without a header of their link, at TC, by direction.
pub const PROGRAMS_IP: [&str; 2] = ["sg_ip_inbound", "sg_ip_outbound"];
/// Program that returns the low 32 bits of jiffies: how user space reads the programs' clock.
pub const PROGRAM_CLOCK: &str = "sg_clock";
/// Program that opens the flow of a [`FlowSeed`](crate::flow::FlowSeed), which it is run with.
pub const PROGRAM_SEED: &str = "sg_seed";

/// `.rodata` variable of type [`ProgramConfig`](crate::settings::ProgramConfig).
pub const GLOBAL_CONFIG: &str = "CONFIG";
/// `.rodata` variable of type `u32`: buckets of the flow table.
pub const GLOBAL_FLOW_BUCKETS: &str = "FLOW_BUCKETS";
/// `.rodata` variable of type [`HashSeed`](crate::table::HashSeed).
pub const GLOBAL_HASH_SEED: &str = "HASH_SEED";

/// zone → [`InterfaceSettings`](crate::settings::InterfaceSettings), and behind all zones those
/// [before](crate::settings::before) a change on trial.
pub const MAP_INTERFACES: &str = "INTERFACES";
/// 0 → [`Work`](crate::work::Work), per CPU.
pub const MAP_WORK: &str = "WORK";
/// page of zones → map of [`ZoneCounters`](crate::counters::ZoneCounters), per CPU.
pub const MAP_COUNTERS: &str = "COUNTERS";
/// [`RuleKey`](crate::counters::RuleKey) → [`RuleCounters`](crate::counters::RuleCounters), per CPU.
pub const MAP_RULES: &str = "RULES";
/// zone → [`LogBucket`](crate::limit::LogBucket).
pub const MAP_LOG_BUCKETS: &str = "LOG_BUCKETS";
/// bucket → tag word, see [`table`](crate::table).
pub const MAP_FLOW_TAGS: &str = "FLOW_TAGS";
/// bucket × 8 + index → [`FlowSlot`](crate::flow::FlowSlot).
pub const MAP_FLOW_SLOTS: &str = "FLOW_SLOTS";
/// 0 → [`HashSeed`](crate::table::HashSeed) of the flow table, for programs that are loaded later.
pub const MAP_FLOW_SEED: &str = "FLOW_SEED";
/// zone → slots of the flow table that its flows hold, live or expired.
pub const MAP_FLOW_HELD: &str = "FLOW_HELD";
/// Remote end, hashed → slots of the flow table that its flows hold, where they are limited.
pub const MAP_FLOW_REMOTES: &str = "FLOW_REMOTES";
/// [`FragmentKey`](crate::flow::FragmentKey) → [`FragmentEntry`](crate::flow::FragmentEntry).
pub const MAP_FRAGMENTS: &str = "FRAGMENTS";
/// Ring buffer of [`Event`](crate::event::Event).
pub const MAP_EVENTS: &str = "EVENTS";
/// Image ([`CURRENT`](crate::image::CURRENT), [`PREVIOUS`](crate::image::PREVIOUS)) → number of its
/// size class.
pub const MAP_SELECTOR: &str = "SELECTOR";
/// Outer maps of the images, one per size class: image → array of its words.
pub const MAP_IMAGES: [&str; 3] = ["IMAGE_SMALL", "IMAGE_LARGE", "IMAGE_HUGE"];
/// 0 → jiffies, read only by programs loaded with `test_clock`.
pub const MAP_TEST_CLOCK: &str = "TEST_CLOCK";
/// Direction → program that a gate at XDP goes on to.
pub const MAP_XDP_PROGRAMS: &str = "XDP_PROGRAMS";
/// Direction, and two more for packets without a header of their link → program that a gate at TC goes
/// on to.
pub const MAP_TC_PROGRAMS: &str = "TC_PROGRAMS";
/// Every map that is pinned and shared by all interfaces.
pub const SHARED_MAPS: [&str; 19] = [
    MAP_XDP_PROGRAMS,
    MAP_TC_PROGRAMS,
    MAP_WORK,
    MAP_INTERFACES,
    MAP_COUNTERS,
    MAP_RULES,
    MAP_LOG_BUCKETS,
    MAP_FLOW_TAGS,
    MAP_FLOW_SLOTS,
    MAP_FLOW_SEED,
    MAP_FLOW_HELD,
    MAP_FLOW_REMOTES,
    MAP_FRAGMENTS,
    MAP_EVENTS,
    MAP_SELECTOR,
    MAP_IMAGES[0],
    MAP_IMAGES[1],
    MAP_IMAGES[2],
    MAP_TEST_CLOCK,
];
