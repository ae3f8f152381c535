//! Keeps up with a VPC: what its rules and its hosts say, and what this host says to them.
//!
//! A [`Follower`] reads the rules and the records of the groups that they name, all of one revision,
//! and watches from there. What it finds it hands on as one thing to enforce, gathered for a moment, and
//! never before the last one is enforced. Whatever goes wrong leaves the last in force: a store that is
//! away, empty, another one, or older than it was is no policy.

mod health;
mod known;
mod session;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sg_policy::model::{GroupId, Model, Peer};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

pub use health::{Health, TrialState};

use known::Known;

use super::claims::{Claims, Join};
use super::etcd::{Etcd, EtcdError};
use super::joined::{self, Joined};
use super::keys::{Keys, RecordKey, part_of};
use super::record::{Claim, Claimed, is_member};
use super::trial::Standing;
use super::{Document, wire};

/// How long the first attempt may wait, so that hosts that start together do not come together.
const SPREAD: Duration = Duration::from_millis(500);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The guarded interfaces of this host and their addresses.
pub type Local = BTreeMap<String, BTreeSet<IpAddr>>;

/// What this host is to enforce.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Counts what was handed on.
    pub number: u64,
    /// The revision of the rules.
    pub rules: u64,
    /// The revision of the store that it is made of.
    pub revision: u64,
    /// The rules as this host has them, with the members of their groups.
    pub document: Document,
    /// Whether they wait to be confirmed, and what they return to.
    pub standing: Standing,
    /// When making it began.
    pub begun: Instant,
}

/// What became of the last [`Wanted`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Its number.
    pub number: u64,
    /// The revision of the rules in force.
    pub rules: u64,
    /// The revision of the store all of which is in force.
    pub revision: u64,
    /// Why it was refused, if it was.
    pub refused: Option<String>,
    /// How long it took, from the first thought of it.
    pub took: Duration,
}

/// What goes in and out of a follower.
#[derive(Debug)]
pub struct Channels {
    /// The addresses of this host; `None` until they are known.
    pub local: watch::Receiver<Option<Local>>,
    /// What was enforced.
    pub done: watch::Receiver<Done>,
    /// What is to be enforced.
    pub wanted: watch::Sender<Option<Arc<Wanted>>>,
    /// How the VPC is.
    pub health: watch::Sender<Health>,
}

/// The other ends of [`Channels`].
#[derive(Debug)]
pub struct Ends {
    /// The addresses of this host.
    pub local: watch::Sender<Option<Local>>,
    /// What was enforced.
    pub done: watch::Sender<Done>,
    /// What is to be enforced.
    pub wanted: watch::Receiver<Option<Arc<Wanted>>>,
    /// How the VPC is.
    pub health: watch::Receiver<Health>,
}

/// Both ends.
pub fn channels() -> (Channels, Ends) {
    let (local_sender, local) = watch::channel(None);
    let (done_sender, done) = watch::channel(Done::default());
    let (wanted, wanted_receiver) = watch::channel(None);
    let (health, health_receiver) = watch::channel(Health::default());
    let channels = Channels {
        local,
        done,
        wanted,
        health,
    };
    let ends = Ends {
        local: local_sender,
        done: done_sender,
        wanted: wanted_receiver,
        health: health_receiver,
    };
    (channels, ends)
}

/// One host's view of its VPC.
#[derive(Debug)]
pub struct Follower {
    joined: Joined,
    keys: Keys,
    /// Where records are kept for the next agent; `None` keeps none.
    cache: Option<PathBuf>,
    channels: Channels,
    claims: Claims,
    /// Who is a member, by the rules that count, and by those that a trial returns to.
    joins: [Join; 2],
    reader: wire::Reader,
    /// The newest rules that were understood.
    rules: Option<Known>,
    /// The groups whose members they name.
    followed: BTreeSet<GroupId>,
    /// The newest revision of the store that was seen.
    revision: u64,
    /// The lease of this host's keys.
    lease: Option<i64>,
    /// Records that it does not keep yet.
    unleased: BTreeSet<RecordKey>,
    health: Health,
    /// What `now` counts from.
    begin: Instant,
    /// Number of the last thing handed on.
    number: u64,
    /// Until when nothing is handed on.
    rests_until: Instant,
}

/// Seconds since 1970, by this host's clock.
pub fn unix_seconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

/// A random time below this one.
fn jitter(most: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    most.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

impl Follower {
    /// A follower that has seen nothing yet, but for what an earlier one has left in the state
    /// directory; `None` when the VPC's name cannot be one.
    pub fn new(joined: Joined, state: Option<PathBuf>, channels: Channels) -> Option<Self> {
        let keys = Keys::new(&joined.vpc)?;
        let cached = state.as_deref().map(joined::cache).unwrap_or_default();
        let (claims, revision) = Claims::from_cache(&cached);
        let health = Health::new(&joined);
        Some(Self {
            joined,
            keys,
            cache: state,
            channels,
            claims,
            joins: Default::default(),
            reader: wire::Reader::default(),
            rules: None,
            followed: BTreeSet::new(),
            revision,
            lease: None,
            unleased: BTreeSet::new(),
            health,
            begin: Instant::now(),
            number: 0,
            rests_until: Instant::now(),
        })
    }

    /// Follows until it is dropped.
    pub async fn run(&mut self) {
        let mut pause = Duration::from_millis(100);
        let mut first = getrandom::u32().unwrap_or(0) as usize % 1024;
        sleep(jitter(SPREAD)).await;
        loop {
            let since = Instant::now();
            let Err(error) = self.follow_node(first).await;
            self.tell(|health| health.away(&error));
            first += 1;
            // Whoever was connected for a while begins anew at once.
            if since.elapsed() > LONGEST_PAUSE {
                pause = Duration::from_millis(100);
            }
            sleep(pause / 2 + jitter(pause / 2)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Says farewell: this host's addresses are members no more.
    ///
    /// # Errors
    /// When the store cannot be told.
    pub async fn leave(&mut self) -> Result<(), EtcdError> {
        let mut etcd = Etcd::connect(&self.joined.etcd, &self.keys.rules(), 0).await?;
        withdraw(&mut etcd, &self.keys, &self.joined.host).await
    }

    /// Milliseconds since the beginning: what is lost is measured by no clock that can be set.
    fn now(&self) -> u64 {
        self.begin.elapsed().as_millis() as u64
    }

    fn grace(&self) -> u64 {
        self.joined.grace.as_millis() as u64
    }

    /// Changes what is said of the VPC.
    fn tell(&mut self, change: impl FnOnce(&mut Health)) {
        let before = self.health.clone();
        change(&mut self.health);
        if self.health != before {
            self.channels.health.send_replace(self.health.clone());
        }
    }

    /// The rules that count.
    fn model(&self) -> Option<&Model> {
        self.rules.as_ref().map(|known| known.document().model())
    }

    /// The rules that count, and those that a trial returns to: this host is ready for both.
    fn models(&self) -> impl Iterator<Item = &Model> {
        let documents = self.rules.iter().flat_map(Known::documents);
        documents.map(Document::model)
    }

    /// What this host brings into its groups. What `known` has already keeps its age; what is new is
    /// claimed `at` this revision.
    fn own(&self, known: &BTreeMap<RecordKey, Claimed>, at: u64) -> BTreeMap<RecordKey, Claimed> {
        let local = self.channels.local.borrow();
        let (Some(_), Some(local)) = (&self.rules, &*local) else {
            // Nothing is known yet: neither claimed nor withdrawn.
            return known.clone();
        };
        let moment = (at, unix_seconds());
        let mut own: BTreeMap<RecordKey, Claimed> = BTreeMap::new();
        for model in self.models() {
            let records = own_records(model, &self.joined.host, local, known, moment);
            for (key, claimed) in records {
                let all = own.entry(key).or_default();
                for (interface, claim) in claimed {
                    match all.entry(interface) {
                        Entry::Vacant(entry) => drop(entry.insert(claim)),
                        Entry::Occupied(entry) => {
                            entry.into_mut().addresses.extend(claim.addresses);
                        }
                    }
                }
            }
        }
        own
    }

    /// Hands on what is to be enforced now.
    fn hand_on(&mut self) {
        let Some(known) = self.rules.clone() else {
            return;
        };
        let begun = Instant::now();
        let host = &self.joined.host;
        let (document, standing, membership) = known.on_host(&self.claims, host, &mut self.joins);
        self.number += 1;
        let wanted = Wanted {
            number: self.number,
            rules: known.revision,
            revision: self.revision,
            document,
            standing,
            begun,
        };
        self.channels.wanted.send_replace(Some(Arc::new(wanted)));
        let (lost, bad) = (self.claims.lost(), self.claims.bad());
        let bad: Vec<_> = bad
            .iter()
            .map(|(key, why)| format!("{key}: {why}"))
            .collect();
        self.tell(|health| health.joined(membership, lost, bad));
    }
}

/// The groups whose members the rules of a host's interfaces name.
fn followed(model: &Model, host: &str) -> BTreeSet<GroupId> {
    let interfaces = model.assignments().of(host);
    let carried = interfaces.entries().flat_map(|(_, spec)| &spec.groups);
    let rules = carried
        .filter_map(|name| model.group(name))
        .flat_map(|group| group.inbound.iter().chain(&group.outbound));
    let peers = rules.filter_map(|rule| match &rule.peer {
        Peer::Group(name) => Some(model.group(name)?.id.clone()),
        Peer::Cidr(_) | Peer::PrefixList(_) => None,
    });
    peers.collect()
}

/// The records of a host with these interfaces.
fn own_records(
    model: &Model,
    host: &str,
    local: &Local,
    known: &BTreeMap<RecordKey, Claimed>,
    (at, now): (u64, u64),
) -> BTreeMap<RecordKey, Claimed> {
    let interfaces = model.assignments().of(host);
    let mut records: BTreeMap<RecordKey, Claimed> = BTreeMap::new();
    for (name, addresses) in local {
        let Some(spec) = interfaces.interface(name) else {
            continue;
        };
        let counts = |address: &&IpAddr| is_member(**address) && spec.counts(**address);
        let addresses: BTreeSet<IpAddr> = addresses.iter().filter(counts).copied().collect();
        if addresses.is_empty() {
            continue;
        }
        for group in spec.groups.iter().filter_map(|name| model.group(name)) {
            let key = RecordKey {
                group: group.id.clone(),
                host: host.to_owned(),
                part: part_of(name),
            };
            let before = known.get(&key).and_then(|claimed| claimed.get(name));
            let claimed_at = |address: &IpAddr| {
                before
                    .and_then(|claim| claim.addresses.get(address).copied())
                    .unwrap_or(at)
            };
            let claim = Claim {
                addresses: addresses
                    .iter()
                    .map(|address| (*address, claimed_at(address)))
                    .collect(),
                since: before.map_or(now, |claim| claim.since),
            };
            records.entry(key).or_default().insert(name.clone(), claim);
        }
    }
    records
}

/// Withdraws all that a host has said.
///
/// # Errors
/// When the store cannot be told.
pub async fn withdraw(etcd: &mut Etcd, keys: &Keys, host: &str) -> Result<(), EtcdError> {
    let (rules, _) = etcd.get(&keys.rules()).await?;
    let rules = rules.and_then(|pair| wire::read(&pair.value).ok());
    let documents = rules.iter().flat_map(|rules| {
        let before = rules.trial.as_ref().map(|trial| &trial.before);
        [&rules.document].into_iter().chain(before)
    });
    let groups: BTreeSet<_> = documents
        .flat_map(|document| document.model().groups.values())
        .map(|group| &group.id)
        .collect();
    for group in groups {
        let (records, _) = etcd.all(&keys.group_of_host(group, host), None).await?;
        for pair in records {
            let key = String::from_utf8_lossy(&pair.key).into_owned();
            etcd.put(vec![(key, super::record::write(&Claimed::new()))], None)
                .await?;
        }
    }
    etcd.delete(&keys.enforced(host)).await
}

#[cfg(test)]
mod tests {
    use sg_policy::rulefile::{Source, read};

    use super::*;

    const RULES: &str = "
        security_groups:
          app: { outbound: [{ protocol: tcp, ports: 3306, destination: 'sg:db' }] }
          db: { inbound: [{ protocol: tcp, ports: 3306, source: 'sg:app' }] }
          other: { inbound: [{ protocol: tcp, ports: 1, source: 'sg:db' }] }
        hosts:
          'app-*/eth0': { groups: [app], addresses: [10.0.0.0/8] }
          'db-*/*': { groups: [db] }
    ";

    fn model() -> Model {
        let source = Source {
            name: "rules.yaml".to_owned(),
            text: RULES.to_owned(),
        };
        read(&[source]).expect("the rules are right").model
    }

    #[test]
    fn a_host_follows_the_groups_that_its_rules_name() {
        let model = model();
        let id = |name: &str| model.groups[name].id.clone();
        assert!(followed(&model, "app-1").contains(&id("db")));
        assert_eq!(followed(&model, "db-1"), [id("app")].into());
        assert!(followed(&model, "elsewhere").is_empty());
    }

    #[test]
    fn what_is_claimed_keeps_its_age_and_what_is_new_is_new() {
        let model = model();
        let local = |addresses: &[&str]| -> Local {
            let addresses = addresses.iter().map(|text| text.parse().unwrap());
            [
                ("eth0".to_owned(), addresses.collect()),
                ("eth1".to_owned(), BTreeSet::new()),
            ]
            .into()
        };
        let none = BTreeMap::new();
        let addresses = ["10.0.0.1", "192.0.2.1", "127.0.0.1"];
        let first = own_records(&model, "app-1", &local(&addresses), &none, (7, 100));
        let claim = &first.values().next().expect("one record")["eth0"];
        assert_eq!(first.len(), 1);
        assert_eq!(claim.addresses, [("10.0.0.1".parse().unwrap(), 7)].into());
        let addresses = ["10.0.0.1", "10.0.0.2"];
        let second = own_records(&model, "app-1", &local(&addresses), &first, (9, 200));
        let claim = &second.values().next().expect("one record")["eth0"];
        let ages: Vec<u64> = claim.addresses.values().copied().collect();
        assert_eq!((ages, claim.since), (vec![7, 9], 100));
        assert!(own_records(&model, "elsewhere", &local(&addresses), &none, (9, 9)).is_empty());
    }
}
