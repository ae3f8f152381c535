//! Accepts connections, no more than can be served, and gives each to a router.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// Connections at a time. Of more, the oldest that has never shown a key ends.
const CONNECTIONS: usize = 128;
/// Time for the head of a request, also while a connection rests between two.
const HEAD: Duration = Duration::from_secs(10);
/// Time for the handshake of TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Time in which a client must take what is sent to it, in milliseconds: as long as it does not, it has a
/// connection that others lack.
const UNREAD: u32 = 30_000;
/// Longest head of a request.
const HEAD_BYTES: usize = 64 << 10;

/// The two ends of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Who connects.
    pub client: SocketAddr,
    /// To where.
    pub server: SocketAddr,
    trusted: Arc<AtomicBool>,
}

impl Peer {
    /// A connection of nobody known.
    pub fn new(client: SocketAddr, server: SocketAddr) -> Self {
        Self {
            client,
            server,
            trusted: Arc::default(),
        }
    }

    /// Whoever is at the other end has shown a key.
    pub fn trust(&self) {
        self.trusted.store(true, Ordering::Relaxed);
    }

    fn is_trusted(&self) -> bool {
        self.trusted.load(Ordering::Relaxed)
    }
}

/// A port that is listened on.
pub struct Listener {
    port: TcpListener,
    tls: Option<TlsAcceptor>,
}

impl Listener {
    /// Listens.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn bind(address: SocketAddr, tls: Option<TlsAcceptor>) -> io::Result<Self> {
        let port = TcpListener::bind(address).await?;
        Ok(Self { port, tls })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.port.local_addr()
    }

    /// Serves for ever, or until this is dropped.
    pub async fn serve(self, router: Router) {
        let mut connections = Connections::default();
        loop {
            match self.port.accept().await {
                Ok((stream, client)) => self.take(&mut connections, stream, client, &router),
                // Too many open files, and the like: it passes.
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        }
    }

    fn take(
        &self,
        connections: &mut Connections,
        stream: TcpStream,
        client: SocketAddr,
        router: &Router,
    ) {
        let Ok(server) = prepare(&stream) else {
            return;
        };
        let peer = Peer::new(client, server);
        let router = router.clone().layer(Extension(peer.clone()));
        match self.tls.clone() {
            None => connections.add(&peer, serve(stream, router)),
            Some(tls) => connections.add(&peer, async move {
                if let Ok(Ok(stream)) = timeout(HANDSHAKE, tls.accept(stream)).await {
                    serve(stream, router).await;
                }
            }),
        }
    }
}

/// Sets what a connection is to be like; returns its address here.
fn prepare(stream: &TcpStream) -> io::Result<SocketAddr> {
    // Answers go out at once: two small segments would wait for each other.
    stream.set_nodelay(true)?;
    setsockopt(stream, sockopt::TcpUserTimeout, &UNREAD)?;
    stream.local_addr()
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // A client that goes away or speaks no HTTP is its own affair.
    let _ = connection.await;
}

/// The connections of a listener.
#[derive(Default)]
struct Connections {
    /// Oldest first.
    tasks: Vec<(Peer, AbortHandle)>,
}

impl Connections {
    /// Serves another one, if there is room or somebody unknown to make it.
    fn add(&mut self, peer: &Peer, connection: impl Future<Output = ()> + Send + 'static) {
        self.tasks.retain(|(_, task)| !task.is_finished());
        if self.tasks.len() >= CONNECTIONS {
            let unknown = self.tasks.iter().position(|(peer, _)| !peer.is_trusted());
            let Some(unknown) = unknown else {
                return;
            };
            self.tasks.remove(unknown).1.abort();
        }
        let task = tokio::spawn(connection).abort_handle();
        self.tasks.push((peer.clone(), task));
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        for (_, task) in &self.tasks {
            task.abort();
        }
    }
}
