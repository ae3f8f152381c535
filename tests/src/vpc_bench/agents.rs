//! Many hosts of one VPC: real clients, real etcd nodes, and kernels that are made up.
//!
//! Every simulated host is a [`Follower`] as the agent runs one, in one process. What it
//! is to enforce counts as enforced at once: compiling is measured elsewhere (`control`). As an agent
//! does, it rests for twice as long as that took.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use sg_ctl::vpc::{
    Document, EtcdStore, Owners, Store as _, Swap,
    etcd::Etcd as Connection,
    follow::{Done, Ends, Follower, channels},
    joined::{EtcdAccess, Joined},
    keys::Keys,
};
use sg_policy::model::{GroupId, InterfaceSpec, Model, Peer, Rule, SecurityGroup, Service};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};

use super::{cpu, memory};
use crate::{etcd::Etcd, topology::Network};

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub struct Amounts {
    /// Hosts, each with an agent.
    pub hosts: usize,
    /// Addresses of each.
    pub addresses: usize,
    /// Groups.
    pub groups: usize,
    /// Groups that a host's rules name.
    pub followed: usize,
    /// Changes in a second.
    pub rate: f64,
    /// How many seconds.
    pub seconds: f64,
    /// Whether the agents speak to `etcd grpc-proxy`.
    pub proxy: bool,
}

/// What was measured.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// From the first agent's start until all know everything, in seconds.
    pub loaded: f64,
    /// Memory of this process for each agent, in KiB.
    pub memory: u64,
    /// From a change being written to each follower having it, in milliseconds, sorted.
    pub delays: Vec<f64>,
    /// The same of a change of the rules and every agent.
    pub rules: Vec<f64>,
    /// Changes that were written in a second.
    pub rate: f64,
    /// Followers that a change has.
    pub followers: f64,
    /// Processor time of etcd's nodes for a second of changes, in seconds.
    pub etcd: f64,
    /// Memory of the largest node, in MiB.
    pub etcd_memory: u64,
}

const PATIENCE: Duration = Duration::from_mins(2);

fn group(number: usize, followed: usize, groups: usize) -> SecurityGroup {
    let name = format!("g{number}");
    let id = GroupId::derived(&name);
    let rule = |step: usize| {
        let peer = Peer::Group(format!("g{}", (number + step) % groups));
        Rule::new(
            &id,
            sg_policy::model::Direction::Inbound,
            Service::All,
            peer,
        )
    };
    SecurityGroup {
        inbound: (1..=followed).map(rule).collect(),
        outbound: Vec::new(),
        name,
        id,
        ..SecurityGroup::built_in()
    }
}

/// Host `h<n>` carries group `g<n mod groups>`, whose rules name the next groups.
fn model(amounts: Amounts) -> Model {
    let mut model = Model::new();
    for number in 0..amounts.groups {
        let group = group(number, amounts.followed, amounts.groups);
        model.groups.insert(group.name.clone(), group);
    }
    for host in 0..amounts.hosts {
        let spec = InterfaceSpec {
            groups: vec![format!("g{}", host % amounts.groups)],
            ..InterfaceSpec::default()
        };
        let name = format!("h{host}/eth0").parse();
        model
            .hosts
            .insert(name.expect("a host and its interface"), spec);
    }
    model
}

fn addresses(host: usize, count: usize) -> BTreeSet<IpAddr> {
    let first = 0x0a00_0000 + (host * 4096) as u32;
    (0..count as u32)
        .map(|number| IpAddr::from(Ipv4Addr::from(first + number)))
        .collect()
}

/// Measures.
///
/// # Errors
/// When etcd does not run, or agents do not come to their end.
pub fn measure(amounts: Amounts) -> Result<Figures> {
    let network = Network::new(&["n1", "n2", "n3", "hub"]);
    let [n1, n2, n3, hub] = network.hosts();
    let etcd = Etcd::start(&[n1, n2, n3], &["--quota-backend-bytes", "8589934592"]);
    let mut endpoints: Vec<String> = etcd.endpoints().split(',').map(str::to_owned).collect();
    let pids = etcd.pids();
    let proxy = amounts.proxy.then(|| etcd.start_proxy(hub));
    if let Some(proxy) = &proxy {
        endpoints = vec![proxy.url.clone()];
    }
    hub.namespace.enter(|| {
        // One thread for each processor.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build();
        let runtime = runtime.context("cannot start the event loop")?;
        runtime.block_on(simulate(amounts, endpoints, &pids))
    })
}

/// An agent: its ends, kept alive, and what it hands on.
struct Agent {
    ends: Ends,
}

async fn simulate(amounts: Amounts, endpoints: Vec<String>, pids: &[u32]) -> Result<Figures> {
    let keys = Keys::new("bench").context("a name")?;
    let etcd = EtcdAccess {
        endpoints,
        ..EtcdAccess::default()
    };
    let mut connection = Connection::connect(&etcd, &keys.rules(), 0).await?;
    let cluster = connection.tip(&keys.rules()).await?.cluster;
    let joined = |host: String| Joined {
        vpc: "bench".to_owned(),
        host,
        etcd: etcd.clone(),
        cluster,
        ttl: Duration::from_mins(10),
        grace: Duration::from_mins(5),
        at: 0,
    };
    let store = EtcdStore::new(joined("admin".to_owned())).context("a name")?;
    let document = Document::new(model(amounts), Owners::default());
    let swap = Swap {
        from: 0,
        document,
        way_in: None,
    };
    store.swap(swap).await?;

    let begin = Instant::now();
    let before = memory("self")?;
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let mut agents = Vec::with_capacity(amounts.hosts);
    for host in 0..amounts.hosts {
        let (inner, ends) = channels();
        let mut follower =
            Follower::new(joined(format!("h{host}")), None, inner).context("a name")?;
        tokio::spawn(async move { follower.run().await });
        let local = [("eth0".to_owned(), addresses(host, amounts.addresses))];
        ends.local.send_replace(Some(BTreeMap::from(local)));
        let (mut wanted, done) = (ends.wanted.clone(), ends.done.clone());
        let arrived = arrived.clone();
        tokio::spawn(async move {
            while wanted.changed().await.is_ok() {
                let Some(next) = wanted.borrow_and_update().clone() else {
                    continue;
                };
                done.send_replace(Done {
                    number: next.number,
                    rules: next.rules,
                    revision: next.revision,
                    took: next.begun.elapsed(),
                    ..Done::default()
                });
                if arrived
                    .send((host, Instant::now(), Arc::clone(&next)))
                    .is_err()
                {
                    return;
                }
            }
        });
        agents.push(Agent { ends });
    }
    // All know everything when each has as many members as its groups have.
    let per_group = amounts.hosts / amounts.groups * amounts.addresses;
    let all = per_group * amounts.followed;
    let mut knowing = BTreeSet::new();
    while knowing.len() < amounts.hosts {
        let next = tokio::time::timeout(PATIENCE, arrivals.recv()).await;
        let Ok(Some((host, _, next))) = next else {
            bail!(
                "only {} of {} agents know everything",
                knowing.len(),
                amounts.hosts
            );
        };
        let members = next
            .document
            .model()
            .members
            .values()
            .map(|members| members.len())
            .sum::<usize>();
        if members >= all {
            knowing.insert(host);
        }
    }
    let mut figures = Figures {
        loaded: begin.elapsed().as_secs_f64(),
        memory: (memory("self")?.saturating_sub(before)) / amounts.hosts as u64,
        ..Figures::default()
    };
    change(amounts, &agents, &mut arrivals, pids, &mut figures).await?;
    figures.rules = change_rules(&store, amounts.hosts, &mut arrivals).await?;
    Ok(figures)
}

/// The rules change a few times; returns after how many milliseconds agents have them, sorted.
async fn change_rules(
    store: &EtcdStore,
    hosts: usize,
    arrivals: &mut mpsc::UnboundedReceiver<Arrival>,
) -> Result<Vec<f64>> {
    const ROUNDS: usize = 5;
    let mut delays = Vec::new();
    for round in 0..ROUNDS {
        let kept = store.load().await?;
        let mut model = kept.document.model().clone();
        for group in model.groups.values_mut() {
            group.description = format!("round {round}");
        }
        let swap = Swap {
            from: kept.revision,
            document: Document::new(model, Owners::default()),
            way_in: None,
        };
        let begin = Instant::now();
        let revision = store.swap(swap).await?;
        let mut missing: BTreeSet<usize> = (0..hosts).collect();
        while !missing.is_empty() {
            let next = tokio::time::timeout(PATIENCE, arrivals.recv()).await;
            let Ok(Some((host, at, next))) = next else {
                bail!("{} agents do not have the rules", missing.len());
            };
            if next.rules >= revision && missing.remove(&host) {
                delays.push(at.duration_since(begin).as_secs_f64() * 1000.0);
            }
        }
    }
    delays.sort_by(f64::total_cmp);
    Ok(delays)
}

type Arrival = (usize, Instant, Arc<sg_ctl::vpc::follow::Wanted>);

/// Hosts get another address, one after the other; whoever follows them is timed.
async fn change(
    amounts: Amounts,
    agents: &[Agent],
    arrivals: &mut mpsc::UnboundedReceiver<Arrival>,
    pids: &[u32],
    figures: &mut Figures,
) -> Result<()> {
    let count = (amounts.rate * amounts.seconds) as usize;
    let cpu = || pids.iter().map(|pid| cpu(*pid)).sum::<f64>();
    let (begin, before) = (Instant::now(), cpu());
    let mut sent: BTreeMap<IpAddr, (Instant, BTreeSet<usize>)> = BTreeMap::new();
    let groups = amounts.groups;
    let mut expected = 0;
    let mut take = |(host, at, next): Arrival,
                    sent: &mut BTreeMap<IpAddr, (Instant, BTreeSet<usize>)>| {
        let members = &next.document.model().members;
        for (address, (since, waiting)) in sent.iter_mut() {
            if waiting.contains(&host) && members.values().any(|set| set.contains(address)) {
                waiting.remove(&host);
                figures
                    .delays
                    .push(at.duration_since(*since).as_secs_f64() * 1000.0);
            }
        }
        sent.retain(|_, (_, waiting)| !waiting.is_empty());
    };
    for number in 0..count {
        sleep_until(begin + Duration::from_secs_f64(number as f64 / amounts.rate)).await;
        while let Ok(arrival) = arrivals.try_recv() {
            take(arrival, &mut sent);
        }
        let host = number * 37 % amounts.hosts;
        let address = IpAddr::from(Ipv4Addr::from(0x0b00_0000 + number as u32));
        // Whose group names this host's group, 1 to `followed` steps ahead.
        let follows = |other: &usize| {
            let step = (host % groups + groups - other % groups) % groups;
            (1..=amounts.followed).contains(&step)
        };
        let waiting: BTreeSet<usize> = (0..amounts.hosts).filter(follows).collect();
        expected += waiting.len();
        sent.insert(address, (Instant::now(), waiting));
        agents[host].ends.local.send_modify(|local| {
            let interfaces = local.get_or_insert_default();
            interfaces
                .entry("eth0".to_owned())
                .or_default()
                .insert(address);
        });
    }
    figures.rate = count as f64 / begin.elapsed().as_secs_f64();
    figures.etcd = (cpu() - before) / begin.elapsed().as_secs_f64();
    let end = Instant::now() + PATIENCE;
    while !sent.is_empty() {
        tokio::select! {
            Some(arrival) = arrivals.recv() => take(arrival, &mut sent),
            () = sleep_until(end) => bail!("{} changes did not arrive", sent.len()),
        }
    }
    sleep(Duration::ZERO).await;
    figures.followers = expected as f64 / count.max(1) as f64;
    figures.delays.sort_by(f64::total_cmp);
    let memories = pids
        .iter()
        .map(|pid| memory(&pid.to_string()).unwrap_or(0) >> 10);
    figures.etcd_memory = memories.max().unwrap_or(0);
    Ok(())
}
