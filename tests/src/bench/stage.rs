//! The shipped programs and those of the benchmark, on maps of their own, run on the spot
//! (`BPF_PROG_TEST_RUN`) with the kernel's clock.

use std::fs::File;

use anyhow::{Context, Result, bail};
use aya::{
    Ebpf, EbpfLoader,
    maps::{
        Array, Map, MapData, PerCpuArray, PerCpuValues, RingBuf,
        lpm_trie::{Key, LpmTrie},
    },
    programs::{SchedClassifier, TestRun, TestRunOptions, TestRunResult, Xdp},
    util::nr_cpus,
};
use ipnet::IpNet;
use sg_common::{
    addr::Addr,
    counters::ZoneCounters,
    flow::Direction,
    names::{
        GLOBAL_CONFIG, GLOBAL_FLOW_BUCKETS, GLOBAL_HASH_SEED, MAP_EVENTS, MAP_FLOW_SEED,
        MAP_FLOW_TAGS, MAP_WORK, SHARED_MAPS,
    },
    reason::Verdict,
    settings::ProgramConfig,
    table::{HashSeed, buckets_for},
    work::Work,
};
use sg_ctl::{
    host,
    host::dataplane::{Dataplane, Entry, Gates, Programs, patiently},
};
use sg_policy::{
    compile::{RuleNumbers, ZonePolicy, compile},
    model::{InterfaceSpec, LogMode, Timeouts},
    rulefile::{self, Source},
};

use super::traffic::Traffic;
use crate::{
    family::Family,
    prog::{
        IFINDEX, ZONE,
        loaded::{detached_bpf_fs, tc_verdict, xdp_verdict},
    },
};

/// The object of sg-ebpf's `bench.rs`.
pub(crate) static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("SG_BENCH_OBJ"));

/// A program that rows of the benchmark run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// A gate at XDP and `sg_xdp_inbound`, as they are shipped.
    Xdp,
    /// A gate at TC and `sg_tc_inbound`, as they are shipped.
    TcIngress,
    /// A gate at TC and `sg_tc_outbound`, as they are shipped.
    TcEgress,
    /// One of the benchmark's XDP programs.
    BenchXdp(&'static str),
    /// One of the benchmark's TC programs.
    BenchTc(&'static str),
}

impl Program {
    /// Does nothing, at XDP.
    pub(crate) const XDP_EMPTY: Self = Self::BenchXdp("bench_xdp_empty");
    /// Does nothing, at TC.
    pub(crate) const TC_EMPTY: Self = Self::BenchTc("bench_tc_empty");
    /// Varies the frame, at XDP.
    pub(crate) const XDP_VARY: Self = Self::BenchXdp("bench_xdp_vary");
    /// Varies the frame, at TC.
    pub(crate) const TC_VARY: Self = Self::BenchTc("bench_tc_vary");
    /// `sg_xdp_inbound` on frames that vary, without a gate.
    pub(crate) const XDP_VARIED: Self = Self::BenchXdp("bench_xdp");
    /// `sg_tc_outbound` on frames that vary, without a gate.
    pub(crate) const EGRESS_VARIED: Self = Self::BenchTc("bench_tc_egress");
    /// The pipeline on the kernel's tables, inbound.
    pub(crate) const XDP_KERNEL: Self = Self::BenchXdp("bench_xdp_kernel");
    /// The pipeline on the kernel's tables, outbound.
    pub(crate) const EGRESS_KERNEL: Self = Self::BenchTc("bench_tc_kernel");

    /// The program that does nothing at the same hook.
    pub(crate) const fn empty(self) -> Self {
        match self {
            Self::Xdp | Self::BenchXdp(_) => Self::XDP_EMPTY,
            Self::TcIngress | Self::TcEgress | Self::BenchTc(_) => Self::TC_EMPTY,
        }
    }

    /// Which way the frames go that it judges.
    pub(crate) fn direction(self) -> Direction {
        if self == Self::TcEgress || matches!(self, Self::BenchTc(_)) {
            Direction::Outbound
        } else {
            Direction::Inbound
        }
    }
}

/// What became of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// Time of one frame, on average over the run; the kernel cuts it to whole nanoseconds.
    pub(crate) each_ns: f64,
    /// The verdict on the last frame.
    pub(crate) verdict: Verdict,
}

/// Programs and maps.
pub(crate) struct Stage {
    dataplane: Dataplane,
    shipped: Gates,
    config: ProgramConfig,
    bench: Ebpf,
    events: RingBuf<MapData>,
    flows: u32,
    numbers: RuleNumbers,
    generation: u64,
    /// Keeps the pins.
    _root: File,
}

impl Stage {
    /// Loads everything, with a flow table for `flows` flows.
    pub(crate) fn new(flows: u32) -> Result<Self> {
        let (root, path) = detached_bpf_fs();
        let mut dataplane = Dataplane::open(&path)?;
        dataplane.prepare(flows)?;
        let config = ProgramConfig {
            test_clock: 0,
            hz: Dataplane::hz()? as u32,
        };
        let shipped = Gates::new(Programs::load(dataplane.pins(), config)?, ZONE);
        // The benchmark's own programs are run without a gate.
        let mut work = PerCpuArray::<_, Work>::try_from(pinned(&dataplane, MAP_WORK)?)?;
        let cpus = nr_cpus().map_err(|(_, error)| error)?;
        work.set(0, PerCpuValues::try_from(vec![Work::of(ZONE); cpus])?, 0)?;
        let events = RingBuf::try_from(pinned(&dataplane, MAP_EVENTS)?)?;
        let bench = load_bench(&dataplane, config, flows, 1)?;
        let mut stage = Self {
            dataplane,
            shipped,
            config,
            bench,
            events,
            flows,
            numbers: RuleNumbers::default(),
            generation: 0,
            _root: root,
        };
        stage.set_log(LogMode::Off)?;
        Ok(stage)
    }

    /// Loads the benchmark's programs anew, with room for `flows` flows in the kernel's table and
    /// these prefixes in its trie, each with the service that it may reach.
    pub(crate) fn set_kernel_tables(&mut self, flows: u32, peers: &[(IpNet, u32)]) -> Result<()> {
        self.bench = load_bench(&self.dataplane, self.config, self.flows, flows)?;
        let trie = self
            .bench
            .map_mut("KERNEL_PEERS")
            .context("the object has a trie")?;
        let mut trie = LpmTrie::<_, [u64; 2], u32>::try_from(trie)?;
        for (net, service) in peers {
            let bits = match net {
                IpNet::V4(net) => 96 + net.prefix_len(),
                IpNet::V6(net) => net.prefix_len(),
            };
            let key = Key::new(u32::from(bits), Addr::from(net.network()).wire());
            trie.insert(&key, service, 0)
                .context("cannot fill the trie")?;
        }
        Ok(())
    }

    /// Puts rules in force for the interface `eth0` of a rule file.
    pub(crate) fn set_rules(&mut self, text: &str) -> Result<()> {
        let source = Source {
            name: "rules.yaml".to_owned(),
            text: text.to_owned(),
        };
        let model = match rulefile::read(&[source]) {
            Ok(parsed) => parsed.model,
            Err(report) => bail!("{report}"),
        };
        let spec = &model.interfaces["eth0"];
        let zone = ZonePolicy {
            zone: ZONE,
            groups: spec.groups.clone(),
            addresses: Family::BOTH.map(Family::local).to_vec(),
        };
        self.generation += 1;
        let image = compile(&model, &[zone], &mut self.numbers, self.generation)?;
        self.dataplane.install(image.words(), image.rules())?;
        Ok(())
    }

    /// Chooses what is logged, without a limit. Flows last as long as the longest-lived ones, for no row is to
    /// measure their end.
    pub(crate) fn set_log(&mut self, log: LogMode) -> Result<()> {
        let hz = u64::from(self.config.hz);
        let spec = InterfaceSpec {
            log,
            log_limit: 0,
            timeouts: Timeouts::default(),
            ..InterfaceSpec::default()
        };
        let mut settings = host::settings(&spec, IFINDEX, hz, 0);
        settings.timeouts.fill(hz * 86_400);
        self.dataplane.set_settings(ZONE, &settings)?;
        Ok(())
    }

    /// The reasons that are logged, one bit each.
    pub(crate) fn logged(&self) -> Result<u64> {
        Ok(self.dataplane.settings(ZONE)?.log_reasons)
    }

    /// Deletes all flows. Their slots are then as those of flows that have expired.
    pub(crate) fn forget_flows(&mut self) -> Result<()> {
        self.dataplane.delete_flows(|_, _| true)?;
        Ok(())
    }

    /// Makes the flow table as it was before the first flow.
    pub(crate) fn empty_flow_table(&mut self) -> Result<()> {
        self.forget_flows()?;
        let mut tags = Array::<_, u64>::try_from(pinned(&self.dataplane, MAP_FLOW_TAGS)?)?;
        for bucket in 0..tags.len() {
            tags.set(bucket, 0, 0)?;
        }
        Ok(())
    }

    /// The counters of the interface.
    pub(crate) fn counters(&self) -> Result<ZoneCounters> {
        Ok(self.dataplane.counters(ZONE)?)
    }

    /// Takes all events from the log; returns how many.
    pub(crate) fn drain(&mut self) -> u64 {
        let mut events = 0;
        while self.events.next().is_some() {
            events += 1;
        }
        events
    }

    /// Says how the benchmark's programs vary frames.
    pub(crate) fn set_traffic(&mut self, traffic: &Traffic) -> Result<()> {
        let map = self
            .bench
            .map_mut("TRAFFIC")
            .context("the object has this map")?;
        Array::<_, Traffic>::try_from(map)?.set(0, traffic, 0)?;
        Ok(())
    }

    /// Runs a program `times` over.
    pub(crate) fn run(&mut self, program: Program, frame: &[u8], times: u32) -> Result<Run> {
        self.run_into(program, frame, times, None)
    }

    /// As [`run`](Self::run) once, and returns what became of the frame.
    pub(crate) fn varied(&mut self, program: Program, frame: &[u8]) -> Result<Vec<u8>> {
        let mut out = vec![0; frame.len()];
        self.run_into(program, frame, 1, Some(&mut out))?;
        Ok(out)
    }

    fn run_into(
        &mut self,
        program: Program,
        frame: &[u8],
        times: u32,
        out: Option<&mut [u8]>,
    ) -> Result<Run> {
        let (result, is_xdp) = match program {
            Program::Xdp => {
                return self.run_shipped(Entry::Xdp(Direction::Inbound), frame, times, out);
            }
            Program::TcIngress => {
                return self.run_shipped(Entry::Tc(Direction::Inbound), frame, times, out);
            }
            Program::TcEgress => {
                return self.run_shipped(Entry::Tc(Direction::Outbound), frame, times, out);
            }
            Program::BenchXdp(name) => {
                let program: &mut Xdp = self.bench_program(name)?.try_into()?;
                patiently(|| program.load()).with_context(|| not_taken(name))?;
                (run(program, frame, times, out)?, true)
            }
            Program::BenchTc(name) => {
                let program: &mut SchedClassifier = self.bench_program(name)?.try_into()?;
                patiently(|| program.load()).with_context(|| not_taken(name))?;
                (run(program, frame, times, out)?, false)
            }
        };
        let code = result.return_value;
        Ok(Run {
            each_ns: result.duration.as_secs_f64() * 1e9,
            verdict: if is_xdp {
                xdp_verdict(code)
            } else {
                tc_verdict(code)
            },
        })
    }

    /// Runs a shipped program by its gate.
    fn run_shipped(
        &mut self,
        entry: Entry,
        frame: &[u8],
        times: u32,
        out: Option<&mut [u8]>,
    ) -> Result<Run> {
        let run = self.shipped.run(entry, frame, times, out)?;
        Ok(Run {
            each_ns: run.each.as_secs_f64() * 1e9,
            verdict: if entry.is_xdp() {
                xdp_verdict(run.code)
            } else {
                tc_verdict(run.code)
            },
        })
    }

    fn bench_program(&mut self, name: &str) -> Result<&mut aya::programs::Program> {
        let program = self.bench.program_mut(name);
        program.with_context(|| format!("the object has no program {name}"))
    }
}

fn not_taken(name: &str) -> String {
    format!("the kernel does not take {name}")
}

fn run<P>(program: &P, frame: &[u8], times: u32, out: Option<&mut [u8]>) -> Result<TestRunResult>
where
    P: for<'a> TestRun<Opts<'a> = TestRunOptions<'a>, Result = TestRunResult>,
{
    let options = TestRunOptions {
        data_in: Some(frame),
        data_out: out,
        repeat: times,
        ..TestRunOptions::default()
    };
    program
        .test_run(options)
        .context("the kernel does not run the program")
}

/// Reads the benchmark's programs, on the shared maps; each is loaded when it is first run.
fn load_bench(
    dataplane: &Dataplane,
    config: ProgramConfig,
    flows: u32,
    kernel_flows: u32,
) -> Result<Ebpf> {
    let seed = Array::<_, HashSeed>::try_from(pinned(dataplane, MAP_FLOW_SEED)?)?.get(&0, 0)?;
    let mut loader = EbpfLoader::new();
    for name in SHARED_MAPS {
        loader.map_pin_path(name, dataplane.pins().map(name));
    }
    let buckets = buckets_for(flows);
    loader.override_global(GLOBAL_CONFIG, &config, true);
    loader.override_global(GLOBAL_FLOW_BUCKETS, &buckets, true);
    loader.override_global(GLOBAL_HASH_SEED, &seed, true);
    loader.map_max_entries("KERNEL_FLOWS", kernel_flows);
    loader
        .load(OBJECT)
        .context("cannot read the benchmark's programs")
}

fn pinned(dataplane: &Dataplane, name: &str) -> Result<Map> {
    let map = MapData::from_pin(dataplane.pins().map(name))
        .and_then(Map::from_map_data)
        .with_context(|| format!("cannot open map {name}"))?;
    Ok(map)
}
