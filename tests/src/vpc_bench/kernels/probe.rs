//! Tells by packets when an address is admitted.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, setsockopt, socket, sockopt::IpTransparent,
};

use super::PATIENCE;

/// Where the hosts listen.
const PORT: u16 = 7777;
/// How often an address that is not admitted yet is tried.
const TRY: Duration = Duration::from_millis(4);

/// Packets of members, sent until all hosts have admitted one.
pub(super) struct Probe {
    /// Where to.
    hosts: [Ipv4Addr; 3],
    waiting: Mutex<BTreeMap<Ipv4Addr, Waiting>>,
    /// In milliseconds, one for each host that admitted a member.
    delays: Mutex<Vec<f64>>,
    /// Whether all is done.
    pub(super) ends: AtomicBool,
}

struct Waiting {
    since: Instant,
    /// Of whom nothing was heard yet.
    hosts: BTreeSet<usize>,
}

impl Probe {
    pub(super) fn new(hosts: [Ipv4Addr; 3]) -> Self {
        Self {
            hosts,
            waiting: Mutex::default(),
            delays: Mutex::default(),
            ends: AtomicBool::new(false),
        }
    }

    /// From now on packets of this address are sent.
    pub(super) fn watch(&self, address: Ipv4Addr, since: Instant) {
        let hosts = (0..self.hosts.len()).collect();
        lock(&self.waiting).insert(address, Waiting { since, hosts });
    }

    /// Waits until all hosts admit what is watched.
    pub(super) fn wait(&self) -> Result<()> {
        let since = Instant::now();
        loop {
            let left = lock(&self.waiting).len();
            if left == 0 {
                return Ok(());
            }
            ensure!(
                since.elapsed() < PATIENCE,
                "{left} members are not admitted"
            );
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until all hosts admit this address; returns how long that took.
    pub(super) fn wait_for(&self, address: Ipv4Addr) -> Result<Duration> {
        let since = Instant::now();
        self.watch(address, since);
        self.wait()?;
        Ok(since.elapsed())
    }

    /// Sorted.
    pub(super) fn take_delays(&self) -> Vec<f64> {
        let mut delays = std::mem::take(&mut *lock(&self.delays));
        delays.sort_by(f64::total_cmp);
        delays
    }

    /// Sends, until the end; called in the namespace of whoever sends.
    pub(super) fn send(&self) {
        let mut sockets: BTreeMap<Ipv4Addr, UdpSocket> = BTreeMap::new();
        while !self.ends.load(Ordering::Relaxed) {
            let due: Vec<(Ipv4Addr, Vec<usize>)> = lock(&self.waiting)
                .iter()
                .map(|(address, waiting)| (*address, waiting.hosts.iter().copied().collect()))
                .collect();
            let addresses: BTreeSet<Ipv4Addr> = due.iter().map(|(address, _)| *address).collect();
            sockets.retain(|address, _| addresses.contains(address));
            for (address, hosts) in due {
                let socket = sockets
                    .entry(address)
                    .or_insert_with(|| from(address).expect("root may send from any address"));
                for host in hosts {
                    // A full queue is as good as a packet that is dropped.
                    let _ = socket.send_to(b"?", (self.hosts[host], PORT));
                }
            }
            thread::sleep(TRY);
        }
    }

    /// A packet of this address has passed.
    fn arrived(&self, host: usize, address: Ipv4Addr) {
        let mut waiting = lock(&self.waiting);
        let Some(entry) = waiting.get_mut(&address) else {
            return;
        };
        if entry.hosts.remove(&host) {
            lock(&self.delays).push(entry.since.elapsed().as_secs_f64() * 1000.0);
        }
        if entry.hosts.is_empty() {
            waiting.remove(&address);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A socket that sends from an address that is nobody's here.
fn from(address: Ipv4Addr) -> io::Result<UdpSocket> {
    let fd = socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        None,
    )?;
    setsockopt(&fd, IpTransparent, &true)?;
    bind(
        std::os::fd::AsRawFd::as_raw_fd(&fd),
        &SockaddrIn::from(std::net::SocketAddrV4::new(address, 0)),
    )?;
    Ok(UdpSocket::from(fd))
}

/// Listens on a host, until the end; what is returned is to be run, anywhere.
pub(super) fn listen(number: usize, probe: &Probe) -> Result<impl FnOnce() + Send> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT))?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    Ok(move || {
        let mut buffer = [0; 16];
        while !probe.ends.load(Ordering::Relaxed) {
            if let Ok((_, SocketAddr::V4(from))) = socket.recv_from(&mut buffer) {
                probe.arrived(number, *from.ip());
            }
        }
    })
}
