//! Verdicts as they fall, for the page that shows them: what the agent passes on, as server-sent events.
//!
//! ```text
//! event: ready                     an agent passes on what falls
//! event: verdict   id: its time    data: a line of JSON, see [`Line`]
//! event: skipped                   data: verdicts that came too fast to be shown
//! event: absent                    no agent runs: the browser asks again
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use http_body_util::channel::{Channel, Sender};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use sg_common::event::Record;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::host::Host;
use crate::host::dataplane;
use crate::host::live::LiveEvents;
use crate::host::paths::Paths;
use crate::record::event::{End, Event};
use crate::record::rule::RuleRef;
use sg_policy::compile::RuleNumbers;

/// Streams at a time; of more, each hears that there is none to be had.
const MOST: usize = 16;
/// Verdicts that a stream begins with, and that go out in one turn.
const SHOWN: usize = 100;
/// The time of a turn: people do not read faster.
const TURN: Duration = Duration::from_millis(250);
/// How often a quiet stream says that it is there, and whether its session is.
const BEAT: Duration = Duration::from_secs(10);
/// How soon a browser asks again, in milliseconds.
const AGAIN: &str = "retry: 2000\n\n";

/// The streams that are open.
#[derive(Clone, Debug, Default)]
pub(super) struct Streams(Arc<AtomicUsize>);

/// One of them, until it is dropped.
struct Open(Streams);

impl Streams {
    fn open(&self) -> Option<Open> {
        let add = |count: usize| (count < MOST).then_some(count + 1);
        let added = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        added.ok().map(|_| Open(self.clone()))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A verdict, as the script shows it: all of it is text.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Line {
    time: String,
    passes: bool,
    audited: bool,
    reason: String,
    direction: &'static str,
    protocol: String,
    source: String,
    destination: String,
    interface: String,
    group: String,
    group_id: String,
    /// The address of the page that explains it; empty where there is nothing to ask.
    why: String,
}

/// What numbers in events mean.
struct Names {
    rules: RuleNumbers,
    /// Zone to name and index.
    interfaces: BTreeMap<u32, (String, u32)>,
    /// When the kernel's clock began.
    boot: Timestamp,
}

impl Names {
    fn read(paths: &Paths) -> io::Result<Self> {
        let host = Host::open(paths).map_err(io::Error::other)?;
        let state = host.state().map_err(io::Error::other)?;
        let mut interfaces = BTreeMap::new();
        for (name, record) in state.attachments {
            let settings = host.dataplane().settings(record.zone);
            let ifindex = settings.map_err(io::Error::other)?.ifindex;
            interfaces.insert(record.zone, (name, ifindex));
        }
        let monotonic = SignedDuration::try_from(dataplane::monotonic()?).unwrap_or_default();
        Ok(Self {
            rules: state.numbers,
            interfaces,
            boot: Timestamp::now().checked_sub(monotonic).unwrap_or_default(),
        })
    }

    fn know(&self, record: &Record) -> bool {
        let event = &record.event;
        self.interfaces.contains_key(&u32::from(event.zone))
            && (event.rule == 0 || self.rules.rule(event.rule).is_some())
    }

    fn line(&self, record: &Record) -> Line {
        let event = &record.event;
        let interface = self.interfaces.get(&u32::from(event.zone));
        let interface = interface.filter(|(_, index)| *index == event.ifindex);
        let interface = interface.map_or_else(
            || format!("ifindex:{}", event.ifindex),
            |(name, _)| name.clone(),
        );
        let since = SignedDuration::from_nanos_i128(i128::from(event.time_ns));
        let time = self.boot.saturating_add(since).unwrap_or_default();
        let rule = RuleRef::find(event.rule, &self.rules);
        let event = Event::new(event, 0, interface, rule);
        let end = |end: Option<End>| match end {
            None => String::new(),
            Some(End {
                address,
                port: None,
            }) => address.to_string(),
            Some(End {
                address,
                port: Some(port),
            }) => SocketAddr::new(address, port).to_string(),
        };
        let rule = event.rule.as_ref();
        Line {
            time: time.strftime("%H:%M:%S%.3f").to_string(),
            passes: !event.is_denied(),
            audited: event.audited,
            reason: event.reason_name(),
            direction: event.direction.name(),
            protocol: event
                .protocol
                .map_or_else(|| "not IP".to_owned(), super::traffic::protocol),
            source: end(event.source),
            destination: end(event.destination),
            group: rule.and_then(|rule| rule.group.clone()).unwrap_or_default(),
            group_id: rule
                .and_then(|rule| rule.group_id.clone())
                .unwrap_or_default(),
            why: why(&event),
            interface: event.interface,
        }
    }
}

/// The question of the page *Why?* that a verdict answers.
fn why(event: &Event) -> String {
    use sg_common::flow::Direction;
    let (Some(source), Some(destination)) = (event.source, event.destination) else {
        return String::new();
    };
    let (remote, port) = match event.direction {
        Direction::Inbound => (source, destination.port),
        Direction::Outbound => (destination, destination.port),
    };
    let protocol = match event.protocol {
        Some(1) => "icmp",
        Some(6) => "tcp",
        Some(17) => "udp",
        Some(58) => "icmpv6",
        _ => return String::new(),
    };
    let mut query = form_urlencoded::Serializer::new(String::new());
    query
        .append_pair("interface", &event.interface)
        .append_pair("direction", event.direction.name())
        .append_pair("protocol", protocol);
    match (event.direction, port) {
        (Direction::Outbound, Some(port)) => {
            let to = SocketAddr::new(remote.address, port);
            query.append_pair("remote", &to.to_string());
        }
        (_, port) => {
            query.append_pair("remote", &remote.address.to_string());
            if let Some(port) = port {
                query.append_pair("port", &port.to_string());
            }
        }
    }
    format!("/why?{}", query.finish())
}

/// The verdicts after a time, to be sent; they end when `may_go_on` says so, or the browser goes.
pub(super) fn stream(
    streams: &Streams,
    paths: &Paths,
    after: u64,
    may_go_on: impl Fn() -> bool + Send + 'static,
) -> Body {
    let (sender, body) = Channel::<Bytes>::new(4);
    let (open, paths) = (streams.open(), paths.clone());
    tokio::spawn(async move {
        // The browser has gone, or the agent has: it is asked again.
        let _ = send(sender, open, &paths, after, may_go_on).await;
    });
    Body::new(body)
}

async fn send(
    mut sender: Sender<Bytes>,
    open: Option<Open>,
    paths: &Paths,
    after: u64,
    may_go_on: impl Fn() -> bool + Send,
) -> io::Result<()> {
    let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
    sender.send_data(AGAIN.into()).await.map_err(gone)?;
    let (connected, names) = connect(paths).await?;
    let (Some(mut events), Some(_open)) = (connected, open) else {
        let text = "event: absent\ndata:\n\n".into();
        return sender.send_data(text).await.map_err(gone);
    };
    let mut reading = Reading {
        names,
        paths: paths.clone(),
        asked: Instant::now(),
        latest: VecDeque::new(),
        skipped: 0,
        lost: 0,
        after,
    };
    let ready = "event: ready\ndata:\n\n".into();
    sender.send_data(ready).await.map_err(gone)?;
    let watch = events.watch()?;
    let mut turn = interval(TURN);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said = Instant::now();
    // What was kept before comes first, of which only the end is shown, and nothing is missing.
    reading.take(&mut events).await;
    while !events.is_caught_up() && !events.is_over() {
        watch.readable().await?;
        reading.take(&mut events).await;
    }
    reading.after = 0;
    if after == 0 {
        reading.skipped = 0;
    }
    loop {
        let text = reading.text();
        if !text.is_empty() {
            sender.send_data(text.into()).await.map_err(gone)?;
            said = Instant::now();
        } else if said.elapsed() >= BEAT {
            sender.send_data(":\n\n".into()).await.map_err(gone)?;
            said = Instant::now();
        }
        if events.is_over() || !may_go_on() {
            return Ok(());
        }
        turn.tick().await;
        // A quiet stream wakes for its beat alone.
        if let Ok(ready) = timeout(BEAT, watch.readable()).await {
            ready?;
        }
        reading.take(&mut events).await;
    }
}

/// Connects to the agent, and reads what its numbers mean; neither may hold up others.
async fn connect(paths: &Paths) -> io::Result<(Option<LiveEvents>, Names)> {
    let paths = paths.clone();
    let asked = spawn_blocking(move || {
        let events = LiveEvents::connect(&paths.events(), None)?;
        Ok((events, Names::read(&paths)?))
    });
    asked.await.map_err(io::Error::other)?
}

/// Reading from an agent.
struct Reading {
    names: Names,
    paths: Paths,
    /// When the names were read.
    asked: Instant,
    /// Verdicts to be sent, as text.
    latest: VecDeque<String>,
    skipped: u64,
    /// Verdicts that came faster than they were read, as far as they have been told.
    lost: u64,
    /// Time of the latest verdict that the browser has: of those that were kept, later ones are sent.
    after: u64,
}

impl Reading {
    /// Reads what has come, and keeps the end of it.
    async fn take(&mut self, events: &mut LiveEvents) {
        let mut records: VecDeque<Record> = VecDeque::new();
        for record in events.by_ref() {
            if record.event.time_ns <= self.after {
                continue;
            }
            if records.len() == SHOWN {
                records.pop_front();
                self.skipped += 1;
            }
            records.push_back(record);
        }
        self.skipped += events.lost() - self.lost;
        self.lost = events.lost();
        let is_strange = records.iter().any(|record| !self.names.know(record));
        if is_strange && self.asked.elapsed() >= Duration::from_secs(1) {
            let paths = self.paths.clone();
            if let Ok(Ok(names)) = spawn_blocking(move || Names::read(&paths)).await {
                self.names = names;
            }
            self.asked = Instant::now();
        }
        for record in &records {
            let data = serde_json::to_string(&self.names.line(record)).unwrap_or_default();
            let id = record.event.time_ns;
            if self.latest.len() == SHOWN {
                self.latest.pop_front();
                self.skipped += 1;
            }
            self.latest
                .push_back(format!("event: verdict\nid: {id}\ndata: {data}\n\n"));
        }
    }

    /// What is to be sent.
    fn text(&mut self) -> String {
        let mut text = String::new();
        if self.skipped > 0 {
            text = format!("event: skipped\ndata: {}\n\n", self.skipped);
            self.skipped = 0;
        }
        text.extend(self.latest.drain(..));
        text
    }
}
