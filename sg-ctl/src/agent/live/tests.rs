//! Readers of the socket, fast and slow.

use std::os::unix::net::UnixListener as Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use tempfile::TempDir;
use tokio::runtime::Builder;

use super::*;
use crate::host::live::{LiveEvents, Place, is_served};

const DEADLINE: Duration = Duration::from_mins(1);

fn record(number: u64) -> Record {
    let mut bytes = [0; size_of::<Record>()];
    bytes[..8].copy_from_slice(&number.to_ne_bytes());
    Record::from_bytes(&bytes).expect("a whole record")
}

/// A reader on a thread of its own, and how many events it has seen or lost.
struct Reader {
    seen: Arc<AtomicU64>,
    thread: thread::JoinHandle<(Vec<u64>, u64, Place)>,
}

impl Reader {
    /// Reads until so many events have been seen or lost, once it is let go.
    fn start(
        path: &Path,
        events: u64,
        after: Option<Place>,
    ) -> (Self, std::sync::mpsc::Sender<()>) {
        let (go, gone) = std::sync::mpsc::channel();
        let seen = Arc::new(AtomicU64::new(0));
        let (path, count) = (path.to_owned(), Arc::clone(&seen));
        let thread = thread::spawn(move || {
            let connected = LiveEvents::connect(&path, after).expect("it may read");
            let mut live = connected.expect("an agent listens");
            let _ = gone.recv();
            let mut times = Vec::new();
            while times.len() as u64 + live.lost() < events {
                times.extend(live.by_ref().map(|record| record.event.time_ns));
                count.store(times.len() as u64 + live.lost(), Ordering::Relaxed);
                if times.len() as u64 + live.lost() < events {
                    assert!(!live.is_over(), "the agent ended early");
                    live.wait().expect("a socket can be waited for");
                }
            }
            (times, live.lost(), live.place())
        });
        (Self { seen, thread }, go)
    }

    async fn has_seen(&self, events: u64) {
        let deadline = Instant::now() + DEADLINE;
        while self.seen.load(Ordering::Relaxed) < events {
            assert!(Instant::now() < deadline, "it does not get on");
            sleep(Duration::from_millis(1)).await;
        }
    }

    fn end(self) -> (Vec<u64>, u64, Place) {
        self.thread.join().expect("it reads to the end")
    }
}

fn run(test: impl AsyncFnOnce(&Path)) {
    let directory = TempDir::new().expect("a directory");
    let runtime = Builder::new_current_thread().enable_all().build();
    let path = directory.path().join("run/events.sock");
    runtime.expect("an event loop").block_on(test(&path));
}

async fn admit(readers: &mut Readers, live: &Live) {
    let stream = timeout(DEADLINE, readers.next()).await;
    readers.add(stream.expect("a reader comes"), live);
}

#[test]
fn each_of_several_readers_sees_every_event_earlier_ones_too() {
    run(async |path| {
        let live = Live::new();
        let mut readers = Readers::listen(path, 8).expect("a socket");
        (0..500).for_each(|number| live.push(record(number)));
        let mut all = Vec::new();
        for _ in 0..3 {
            let (reader, go) = Reader::start(path, 1000, None);
            drop(go);
            admit(&mut readers, &live).await;
            all.push(reader);
        }
        (500..1000).for_each(|number| live.push(record(number)));
        live.announce();
        for reader in all {
            reader.has_seen(1000).await;
            let (times, lost, _) = reader.end();
            assert!(times.into_iter().eq(0..1000));
            assert_eq!(lost, 0);
        }
        readers.finish(live).await;
        assert!(!path.exists());
    });
}

#[test]
fn a_reader_that_does_not_read_loses_its_own_events_and_finds_how_many() {
    const EVENTS: u64 = 3 * KEPT as u64;
    run(async |path| {
        let live = Live::new();
        let mut readers = Readers::listen(path, 8).expect("a socket");
        let (fast, go) = Reader::start(path, EVENTS, None);
        drop(go);
        admit(&mut readers, &live).await;
        let (slow, go) = Reader::start(path, EVENTS, None);
        admit(&mut readers, &live).await;
        for end in (4096..=EVENTS).step_by(4096) {
            (end - 4096..end).for_each(|number| live.push(record(number)));
            live.announce();
            fast.has_seen(end).await;
        }
        drop(go);
        slow.has_seen(EVENTS).await;
        let (times, lost, _) = fast.end();
        assert!(times.into_iter().eq(0..EVENTS));
        assert_eq!(lost, 0);
        let (times, lost, _) = slow.end();
        assert_eq!(times.len() as u64 + lost, EVENTS);
        assert!(lost > KEPT as u64, "{lost}");
        assert_eq!(times.last(), Some(&(EVENTS - 1)));
    });
}

#[test]
fn who_comes_back_goes_on_where_it_was() {
    run(async |path| {
        let live = Live::new();
        let mut readers = Readers::listen(path, 8).expect("a socket");
        (0..5).for_each(|number| live.push(record(number)));
        let (reader, go) = Reader::start(path, 5, None);
        drop(go);
        admit(&mut readers, &live).await;
        reader.has_seen(5).await;
        let (_, _, place) = reader.end();
        (5..8).for_each(|number| live.push(record(number)));
        let (reader, go) = Reader::start(path, 3, Some(place));
        drop(go);
        admit(&mut readers, &live).await;
        reader.has_seen(3).await;
        assert_eq!(reader.end().0, [5, 6, 7]);
        // Another agent begins anew.
        drop(readers);
        let live = Live::new();
        let mut readers = Readers::listen(path, 8).expect("a socket");
        live.push(record(9));
        let (reader, go) = Reader::start(path, 1, Some(place));
        drop(go);
        admit(&mut readers, &live).await;
        reader.has_seen(1).await;
        assert_eq!(reader.end().0, [9]);
    });
}

#[test]
fn the_last_events_are_sent_when_the_agent_ends() {
    run(async |path| {
        let live = Live::new();
        let mut readers = Readers::listen(path, 8).expect("a socket");
        let (reader, go) = Reader::start(path, 500, None);
        drop(go);
        admit(&mut readers, &live).await;
        (0..500).for_each(|number| live.push(record(number)));
        readers.finish(live).await;
        assert_eq!(reader.end().0.len(), 500);
    });
}

#[test]
fn the_socket_is_its_owners_alone_and_replaces_one_that_was_left() {
    run(async |path| {
        let directory = path.parent().expect("it has one");
        fs::create_dir(directory).expect("it is new");
        drop(Bound::bind(path).expect("a socket"));
        assert!(path.exists() && !is_served(path));
        let readers = Readers::listen(path, 8).expect("a socket");
        assert!(is_served(path));
        let mode = fs::metadata(path).expect("it exists").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let other = Readers::listen(path, 8).err().expect("one agent at a time");
        assert_eq!(other.kind(), io::ErrorKind::WouldBlock);
        assert!(is_served(path));
        drop(readers);
        assert!(!path.exists());
    });
}

#[test]
fn no_more_readers_are_served_than_there_are_descriptors_for() {
    run(async |path| {
        let live = Live::new();
        let mut readers = Readers::listen(path, 1).expect("a socket");
        let (first, go) = Reader::start(path, 1, None);
        drop(go);
        admit(&mut readers, &live).await;
        let path = path.to_owned();
        let second = thread::spawn(move || LiveEvents::connect(&path, None).map(|it| it.is_some()));
        admit(&mut readers, &live).await;
        assert!(!second.join().expect("it ends").expect("it is let go"));
        live.push(record(1));
        live.announce();
        first.has_seen(1).await;
    });
}

#[test]
fn root_and_whom_the_agent_runs_as_may_read_and_nobody_else() {
    assert!(may_read(0, 0) && may_read(0, 990) && may_read(990, 990));
    assert!(!may_read(990, 0) && !may_read(991, 990));
}
