//! Three real hosts of a VPC, each with an agent, among many members: what following costs, and when
//! a change is in force, by the first packet that passes.

mod probe;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde_json::Value;
use sg_ctl::vpc::{
    etcd::Etcd as Connection,
    joined::EtcdAccess,
    keys::{Keys, RecordKey, part_of},
    record::{self, Claim, Claimed},
};
use sg_policy::model::GroupId;

use self::probe::{Probe, listen};
use super::{cpu, memory, part};
use crate::{
    etcd::Etcd,
    eventually_within,
    netns::Namespace,
    sg_ctl::{Running, SgCtl},
    topology::{Host, Network},
};

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub struct Amounts {
    /// Members, before anything changes.
    pub members: usize,
    /// Changes in a second.
    pub rate: f64,
    /// How many seconds.
    pub seconds: f64,
    /// Members that join at once.
    pub burst: usize,
}

/// What was measured. Of the three agents the most expensive one counts.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// From the last member being written until all three admit it, in seconds.
    pub loaded: f64,
    /// Memory of an agent then, in MiB.
    pub memory: u64,
    /// Processor time of an agent when nothing changes, for a second, in milliseconds.
    pub idle: f64,
    /// Processor time of an agent for one change that comes alone, in milliseconds.
    pub alone: f64,
    /// From a change that comes alone to a packet that passes, in milliseconds, sorted.
    pub alone_delays: Vec<f64>,
    /// Changes that were written in a second.
    pub rate: f64,
    /// Part of a processor that an agent takes meanwhile.
    pub busy: f64,
    /// From a change among many to a packet that passes, in milliseconds, sorted.
    pub delays: Vec<f64>,
    /// From the first of the members that join at once being written until all are admitted, in seconds.
    pub burst: f64,
    /// Until they all were written, in seconds.
    pub written: f64,
}

impl Figures {
    /// Of the changes that come alone: 0.5 for the median.
    pub fn alone_delay(&self, which: f64) -> f64 {
        part(&self.alone_delays, which)
    }

    /// Of the changes among many: 0.5 for the median.
    pub fn delay(&self, which: f64) -> f64 {
        part(&self.delays, which)
    }
}

/// Members that a host has.
const OF_ONE_HOST: usize = 100;
/// Changes that come alone.
const ALONE: usize = 20;
/// The longest that anything may take.
const PATIENCE: Duration = Duration::from_mins(2);

const RULES: &str = "
    security_groups:
      many: {}
      web: { inbound: [{ protocol: udp, ports: 7777, source: 'sg:many' }] }
    hosts:
      'm*/eth0': { groups: [many] }
      'k*/eth0': { groups: [web] }
";

/// Measures.
///
/// # Errors
/// When etcd does not run, or a change does not come into force.
pub fn measure(amounts: Amounts) -> Result<Figures> {
    let network = Network::new(&["n1", "n2", "n3", "hub", "k1", "k2", "k3"]);
    let [n1, n2, n3, hub, k1, k2, k3] = network.hosts();
    let quota = ["--quota-backend-bytes", "8589934592"];
    let etcd = Etcd::start(&[n1, n2, n3], &quota);
    let hosts = [k1, k2, k3];
    // The addresses of members are nobody's here: whoever looks where they come from refuses them.
    for namespace in [&network.router, &k1.namespace, &k2.namespace, &k3.namespace] {
        accept_any_source(namespace);
    }
    let sgs = hosts.map(|host| SgCtl::new(&host.namespace));
    let agents = (hosts.iter().zip(&sgs))
        .map(|(host, sg)| start(host, sg, &etcd))
        .collect::<Vec<_>>();
    let pids = agents.iter().map(|agent| agent.status_line("Pid:").parse());
    let pids = pids.collect::<Result<Vec<u32>, _>>()?;
    let file = sgs[0].whole_rule_file("groups.yaml", RULES);
    sgs[0].ok(&["apply", "-f", &file]);
    for sg in &sgs {
        // Until then everybody is admitted.
        eventually_within("a guarded host", PATIENCE, || {
            let status = sg.json(&["status"]);
            let interfaces = status["interfaces"].as_array()?;
            let is_guarded = |each: &Value| each["state"] == "enforcing";
            interfaces.iter().any(is_guarded).then_some(())
        });
    }

    let probe = Probe::new(hosts.map(|host| host.v4));
    thread::scope(|scope| {
        for (number, host) in hosts.iter().enumerate() {
            let listening = host.namespace.enter(|| listen(number, &probe));
            scope.spawn(listening?);
        }
        scope.spawn(|| hub.namespace.enter(|| probe.send()));
        let endpoints: Vec<String> = etcd.endpoints().split(',').map(str::to_owned).collect();
        let work = || {
            let writer = Writer::connect(endpoints)?;
            follow(amounts, writer, &probe, &pids)
        };
        let figures = hub.namespace.enter(work);
        probe.ends.store(true, Ordering::Relaxed);
        figures
    })
}

fn accept_any_source(namespace: &Namespace) {
    for interface in ["all", "default"] {
        namespace.set(&format!("net/ipv4/conf/{interface}/rp_filter"), "0");
    }
    let clear = "for file in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >$file; done";
    let done = namespace.output(std::process::Command::new("sh").args(["-ec", clear]));
    assert!(done.status.success(), "the namespace is ours");
}

/// Joins, and starts the agent.
fn start(host: &Host, sg: &SgCtl<'_>, etcd: &Etcd<'_>) -> Running {
    let endpoints = etcd.endpoints();
    let words = ["vpc", "join", "--vpc", "bench", "--etcd", &endpoints];
    sg.ok(&[&words[..], &["--host", host.name]].concat());
    sg.start_for_notes(&["agent"])
}

/// Everything in its order.
fn follow(amounts: Amounts, mut writer: Writer, probe: &Probe, agents: &[u32]) -> Result<Figures> {
    let mut figures = Figures::default();
    let hosts = amounts.members / OF_ONE_HOST;
    for host in 0..hosts {
        writer.join(host)?;
    }
    let last = member(hosts - 1, OF_ONE_HOST - 1);
    figures.loaded = probe.wait_for(last)?.as_secs_f64();
    let memories = agents.iter().map(|agent| memory(&agent.to_string()));
    figures.memory = memories
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .max()
        .unwrap_or(0)
        >> 10;
    // What was gathered and written while they joined is over.
    thread::sleep(Duration::from_secs(15));

    let idle = Span::begin(agents);
    thread::sleep(Duration::from_secs(10));
    figures.idle = idle.most() * 1000.0 / idle.seconds();

    let alone = Span::begin(agents);
    for number in 0..ALONE {
        let address = writer.change(number % hosts, number)?;
        let delay = probe.wait_for(address)?;
        figures.alone_delays.push(delay.as_secs_f64() * 1000.0);
        thread::sleep(Duration::from_secs(1).saturating_sub(delay));
    }
    let idle = figures.idle * alone.seconds();
    figures.alone = (alone.most() * 1000.0 - idle) / ALONE as f64;

    let count = (amounts.rate * amounts.seconds) as usize;
    let many = Span::begin(agents);
    probe.take_delays();
    for number in 0..count {
        let due = many.since + Duration::from_secs_f64(number as f64 / amounts.rate);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let since = Instant::now();
        let address = writer.change(number % hosts, ALONE + number)?;
        // Whoever is tried takes time from everybody: each fifth is.
        if number % 5 == 0 {
            probe.watch(address, since);
        }
    }
    (figures.rate, figures.busy) = (count as f64 / many.seconds(), many.most() / many.seconds());
    probe.wait()?;
    figures.delays = probe.take_delays();

    let since = Instant::now();
    for host in 0..amounts.burst / OF_ONE_HOST {
        writer.join(hosts + host)?;
        for number in 0..OF_ONE_HOST {
            if number % 10 == 0 {
                probe.watch(member(hosts + host, number), since);
            }
        }
    }
    figures.written = since.elapsed().as_secs_f64();
    probe.wait()?;
    figures.burst = probe.take_delays().last().copied().unwrap_or(f64::NAN) / 1000.0;
    for delays in [&mut figures.alone_delays, &mut figures.delays] {
        delays.sort_by(f64::total_cmp);
    }
    Ok(figures)
}

/// The processor time of agents since a moment.
struct Span<'a> {
    agents: &'a [u32],
    before: Vec<f64>,
    since: Instant,
}

impl<'a> Span<'a> {
    fn begin(agents: &'a [u32]) -> Self {
        Self {
            agents,
            before: agents.iter().map(|agent| cpu(*agent)).collect(),
            since: Instant::now(),
        }
    }

    fn seconds(&self) -> f64 {
        self.since.elapsed().as_secs_f64()
    }

    /// Of that agent which took most, in seconds.
    fn most(&self) -> f64 {
        let each = self.agents.iter().zip(&self.before);
        let took = each.map(|(agent, before)| cpu(*agent) - before);
        took.max_by(f64::total_cmp).unwrap_or(f64::NAN)
    }
}

/// A member of a host.
fn member(host: usize, number: usize) -> Ipv4Addr {
    // No two are neighbours: each is a range of its own.
    Ipv4Addr::from(0x0b00_0000 + 2 * (host * OF_ONE_HOST + number) as u32)
}

/// Writes what the agents of other hosts would.
struct Writer {
    runtime: tokio::runtime::Runtime,
    connection: Connection,
    keys: Keys,
    /// The addresses of each host.
    hosts: BTreeMap<usize, BTreeSet<IpAddr>>,
    /// That which a host came by last.
    changed: BTreeMap<usize, IpAddr>,
}

impl Writer {
    fn connect(endpoints: Vec<String>) -> Result<Self> {
        let keys = Keys::new("bench").context("a name")?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let access = EtcdAccess {
            endpoints,
            ..EtcdAccess::default()
        };
        let connection = runtime.block_on(Connection::connect(&access, &keys.rules(), 0))?;
        Ok(Self {
            runtime,
            connection,
            keys,
            hosts: BTreeMap::new(),
            changed: BTreeMap::new(),
        })
    }

    /// A host joins with all its addresses.
    fn join(&mut self, host: usize) -> Result<()> {
        let all = (0..OF_ONE_HOST).map(|number| IpAddr::from(member(host, number)));
        self.hosts.insert(host, all.collect());
        self.write(host)
    }

    /// A host comes by a new address, in place of the one before.
    fn change(&mut self, host: usize, number: usize) -> Result<Ipv4Addr> {
        let address = Ipv4Addr::from(0x0c00_0000 + 2 * number as u32);
        let addresses = self.hosts.entry(host).or_default();
        if let Some(before) = self.changed.insert(host, address.into()) {
            addresses.remove(&before);
        }
        addresses.insert(address.into());
        self.write(host)?;
        Ok(address)
    }

    fn write(&mut self, host: usize) -> Result<()> {
        let key = RecordKey {
            group: GroupId::derived("many"),
            host: format!("m{host}"),
            part: part_of("eth0"),
        };
        let addresses = self.hosts.get(&host).into_iter().flatten();
        let claim = Claim {
            addresses: addresses.map(|address| (*address, 1)).collect(),
            since: 0,
        };
        let claimed = Claimed::from([("eth0".to_owned(), claim)]);
        let pair = (self.keys.record(&key), record::write(&claimed));
        self.runtime
            .block_on(self.connection.put(vec![pair], None))?;
        Ok(())
    }
}
