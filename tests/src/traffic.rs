//! Real traffic between the hosts of a network: TCP, UDP and ping over ordinary sockets.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use nix::sys::{
    socket::{
        AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, recv, sendto, setsockopt,
        socket, sockopt,
    },
    time::TimeVal,
};

use crate::{PATIENCE, netns::Namespace};

/// How long a test waits for an answer that should not come.
const SILENCE: Duration = Duration::from_millis(300);

/// How often a server looks whether it should stop.
const STOP_INTERVAL: Duration = Duration::from_millis(20);

/// A server on a thread of its own; stops when dropped.
#[derive(Debug)]
pub struct Server {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves TCP on a port of all addresses of both families: sends back what comes.
    pub fn tcp(namespace: &Namespace, port: u16) -> Self {
        let listener = namespace
            .enter(|| TcpListener::bind(("::", port)))
            .expect("the port is free");
        // For `accept` too, see socket(7).
        set_receive_timeout(&listener, STOP_INTERVAL).expect("sockets can have one");
        Self::start(move |stop| {
            thread::scope(|scope| {
                while !stop.load(Ordering::Relaxed) {
                    if let Ok((stream, _)) = listener.accept() {
                        scope.spawn(move || echo(&stream, stop));
                    }
                }
            });
        })
    }

    /// Serves UDP as [`Self::tcp`] does TCP.
    pub fn udp(namespace: &Namespace, port: u16) -> Self {
        let socket = namespace
            .enter(|| UdpSocket::bind(("::", port)))
            .expect("the port is free");
        socket
            .set_read_timeout(Some(STOP_INTERVAL))
            .expect("the timeout is not zero");
        Self::start(move |stop| {
            let mut buffer = [0; 8192];
            while !stop.load(Ordering::Relaxed) {
                if let Ok((length, peer)) = socket.recv_from(&mut buffer) {
                    // The filter on the way back may say no: that is for the test to see.
                    let _ = socket.send_to(&buffer[..length], peer);
                }
            }
        })
    }

    fn start(work: impl FnOnce(&AtomicBool) + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let thread = Some(thread::spawn(move || work(&flag)));
        Self { stop, thread }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the server shows in what its clients miss.
            let _ = thread.join();
        }
    }
}

fn echo(mut stream: &TcpStream, stop: &AtomicBool) {
    let timeout = stream.set_read_timeout(Some(STOP_INTERVAL));
    timeout.expect("the timeout is not zero");
    let mut buffer = [0; 4096];
    while !stop.load(Ordering::Relaxed) {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => {
                if stream.write_all(&buffer[..length]).is_err() {
                    return;
                }
            }
            Err(error) if is_timeout(&error) || error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// A TCP connection to an echo server.
#[derive(Debug)]
pub struct Connection(TcpStream);

impl Connection {
    /// Connects from inside a namespace.
    ///
    /// # Errors
    /// What connecting failed with.
    pub fn open(namespace: &Namespace, address: impl Into<IpAddr>, port: u16) -> io::Result<Self> {
        let peer = SocketAddr::new(address.into(), port);
        let stream = namespace.enter(|| TcpStream::connect_timeout(&peer, PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// The port that it was opened from.
    pub fn port(&self) -> u16 {
        let address = self.0.local_addr();
        address.expect("it is bound").port()
    }

    /// Sends something and reads it back.
    ///
    /// # Errors
    /// When the answer does not come, or is another.
    pub fn exchange(&mut self, text: &str) -> io::Result<()> {
        self.0.set_read_timeout(Some(PATIENCE))?;
        self.round(text)
    }

    /// Sends `length` bytes and reads them back at the same time.
    ///
    /// # Errors
    /// When they do not come back, or others do.
    pub fn pour(&mut self, length: usize) -> io::Result<()> {
        self.0.set_read_timeout(Some(PATIENCE))?;
        self.0.set_write_timeout(Some(PATIENCE))?;
        let pattern: Vec<u8> = (0..length).map(|i| (i / 251 + i) as u8).collect();
        let mut answer = vec![0; length];
        let (mut sending, mut receiving) = (&self.0, &self.0);
        thread::scope(|scope| {
            let sender = scope.spawn(|| sending.write_all(&pattern));
            receiving.read_exact(&mut answer)?;
            sender.join().expect("writing does not panic")
        })?;
        if answer == pattern {
            Ok(())
        } else {
            Err(io::Error::new(ErrorKind::InvalidData, "other bytes"))
        }
    }

    /// Whether nothing comes back any more.
    pub fn is_cut(&mut self) -> bool {
        let timeout = self.0.set_read_timeout(Some(SILENCE));
        timeout.expect("the timeout is not zero");
        match self.round("is anybody there?") {
            Ok(()) => false,
            Err(error) if is_timeout(&error) => true,
            Err(error) => panic!("the connection broke loudly: {error}"),
        }
    }

    fn round(&mut self, text: &str) -> io::Result<()> {
        self.0.write_all(text.as_bytes())?;
        let mut answer = vec![0; text.len()];
        self.0.read_exact(&mut answer)?;
        if answer == text.as_bytes() {
            Ok(())
        } else {
            Err(io::Error::new(ErrorKind::InvalidData, "another answer"))
        }
    }
}

/// Whether a TCP connection attempt vanishes without any answer, as a drop should.
pub fn tcp_is_silent(namespace: &Namespace, address: impl Into<IpAddr>, port: u16) -> bool {
    let peer = SocketAddr::new(address.into(), port);
    match connect_briefly(namespace, peer) {
        Ok(_) => false,
        Err(error) if is_timeout(&error) => true,
        Err(error) => panic!("{peer} refused loudly: {error}"),
    }
}

/// Whether a TCP connection is made at once, for who asks again and again.
pub fn tcp_answers(namespace: &Namespace, address: impl Into<IpAddr>, port: u16) -> bool {
    connect_briefly(namespace, SocketAddr::new(address.into(), port)).is_ok()
}

fn connect_briefly(namespace: &Namespace, peer: SocketAddr) -> io::Result<TcpStream> {
    uninterrupted(|| namespace.enter(|| TcpStream::connect_timeout(&peer, SILENCE)))
}

/// Sends a datagram from a new port and waits for its echo.
///
/// # Errors
/// When it does not come.
pub fn udp_exchange(
    namespace: &Namespace,
    address: impl Into<IpAddr>,
    port: u16,
) -> io::Result<()> {
    udp_exchange_of(namespace, address, port, 17)
}

/// Sends a datagram of `length` bytes from a new port and waits for its echo.
///
/// # Errors
/// When it does not come, or comes back shorter.
pub fn udp_exchange_of(
    namespace: &Namespace,
    address: impl Into<IpAddr>,
    port: u16,
    length: usize,
) -> io::Result<()> {
    let peer = SocketAddr::new(address.into(), port);
    udp_round(namespace, peer, PATIENCE, length)
}

/// Whether a datagram from a new port stays without an answer.
pub fn udp_is_silent(namespace: &Namespace, address: impl Into<IpAddr>, port: u16) -> bool {
    let peer = SocketAddr::new(address.into(), port);
    match udp_round(namespace, peer, SILENCE, 17) {
        Ok(()) => false,
        Err(error) if is_timeout(&error) => true,
        Err(error) => panic!("{peer} refused loudly: {error}"),
    }
}

fn udp_round(
    namespace: &Namespace,
    peer: SocketAddr,
    timeout: Duration,
    length: usize,
) -> io::Result<()> {
    let any = match peer {
        SocketAddr::V4(_) => "0.0.0.0:0",
        SocketAddr::V6(_) => "[::]:0",
    };
    let socket = namespace.enter(|| UdpSocket::bind(any))?;
    socket.connect(peer)?;
    socket.set_read_timeout(Some(timeout))?;
    socket.send(&vec![b'?'; length])?;
    match uninterrupted(|| socket.recv(&mut vec![0; length]))? {
        received if received == length => Ok(()),
        _ => Err(io::Error::new(ErrorKind::InvalidData, "another answer")),
    }
}

/// Sends an echo request and waits for its answer.
///
/// # Errors
/// When it does not come.
pub fn ping(namespace: &Namespace, address: impl Into<IpAddr>) -> io::Result<()> {
    let address = address.into();
    ping_round(namespace, address, PATIENCE)
}

/// Whether an echo request stays without an answer.
pub fn ping_is_silent(namespace: &Namespace, address: impl Into<IpAddr>) -> bool {
    let address = address.into();
    match ping_round(namespace, address, SILENCE) {
        Ok(()) => false,
        Err(error) if is_timeout(&error) => true,
        Err(error) => panic!("the echo request was refused loudly: {error}"),
    }
}

/// Uses the kernel's ping sockets, which fill in identifier and checksum.
fn ping_round(namespace: &Namespace, address: IpAddr, timeout: Duration) -> io::Result<()> {
    let (family, protocol, kind) = match address {
        IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp, 8),
        IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6, 128),
    };
    let socket: OwnedFd =
        namespace.enter(|| socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, protocol))?;
    set_receive_timeout(&socket, timeout)?;
    let to = SockaddrStorage::from(SocketAddr::new(address, 0));
    let request = [kind, 0, 0, 0, 0, 0, 0, 1, b's', b'g'];
    sendto(
        socket.as_raw_fd(),
        &request,
        &to,
        nix::sys::socket::MsgFlags::empty(),
    )?;
    // Only this: another request would be one packet more than tests count.
    uninterrupted(|| {
        let flags = nix::sys::socket::MsgFlags::empty();
        Ok(recv(socket.as_raw_fd(), &mut [0; 64], flags)?)
    })?;
    Ok(())
}

fn set_receive_timeout(socket: &impl AsFd, timeout: Duration) -> nix::Result<()> {
    let limit = TimeVal::new(
        timeout.as_secs().cast_signed(),
        i64::from(timeout.subsec_micros()),
    );
    setsockopt(socket, sockopt::ReceiveTimeout, &limit)
}

/// Tries again what a signal to another thread has cut short: a time limit of a socket keeps the kernel
/// from doing so by itself (signal(7)).
///
/// # Errors
/// Those of `act`, but for interruptions.
pub fn uninterrupted<T>(mut act: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match act() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// What sockets report when their timeout has passed.
fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
