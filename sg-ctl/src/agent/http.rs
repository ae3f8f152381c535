//! Answers `GET /metrics` over HTTP.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::AgentError;

/// Requests that may wait for an answer; more are refused.
const WAITING: usize = 8;
/// Most connections at a time. Of more the oldest ends: who opens many keeps nobody else out, and takes
/// no descriptors from the work on rules and interfaces.
const CONNECTIONS: usize = 32;
/// Time for the headers of a request.
const HEADERS: Duration = Duration::from_secs(5);
/// Time that one client may take for everything.
const PATIENCE: Duration = Duration::from_secs(30);

/// Somebody wants to know; `None` says that it cannot be told now.
pub(super) type Scrape = oneshot::Sender<Option<String>>;

/// Descriptors that are left of those for clients; a few at least.
pub(super) fn left_of(clients: usize) -> usize {
    clients.saturating_sub(CONNECTIONS).max(4)
}

/// Listens for scrapes and passes them on.
pub(super) struct MetricsServer {
    listener: TcpListener,
    /// Connections at a time.
    most: usize,
}

impl MetricsServer {
    /// Listens. Clients may have so many descriptors.
    ///
    /// # Errors
    /// When the port is taken.
    pub(super) async fn bind(address: SocketAddr, clients: usize) -> Result<Self, AgentError> {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| AgentError::Metrics { address, source })?;
        let most = clients.min(CONNECTIONS);
        Ok(Self { listener, most })
    }

    /// Serves on a task of its own until the receiver of scrapes is dropped.
    pub(super) fn start(self) -> mpsc::Receiver<Scrape> {
        let (scrapes, receiver) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            let mut connections = Connections {
                most: self.most,
                tasks: VecDeque::new(),
            };
            loop {
                let accepted = tokio::select! {
                    () = scrapes.closed() => return,
                    accepted = self.listener.accept() => accepted,
                };
                match accepted {
                    Ok((stream, _)) => {
                        connections.add(serve(TokioIo::new(stream), scrapes.clone()));
                    }
                    // Too many open files, and the like: it passes.
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        });
        receiver
    }
}

/// The connections of a listener.
struct Connections {
    /// How many there may be.
    most: usize,
    /// Oldest first.
    tasks: VecDeque<AbortHandle>,
}

impl Connections {
    /// Serves another one.
    fn add(&mut self, connection: impl Future<Output = ()> + Send + 'static) {
        self.tasks.retain(|task| !task.is_finished());
        while self.tasks.len() >= self.most {
            if let Some(oldest) = self.tasks.pop_front() {
                oldest.abort();
            }
        }
        self.tasks
            .push_back(tokio::spawn(connection).abort_handle());
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn serve(stream: TokioIo<tokio::net::TcpStream>, scrapes: mpsc::Sender<Scrape>) {
    let service = service_fn(|request| answer(request, &scrapes));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .keep_alive(false)
        .serve_connection(stream, service);
    // A client that goes away or speaks no HTTP is its own affair.
    let _ = timeout(PATIENCE, connection).await;
}

async fn answer(
    request: Request<Incoming>,
    scrapes: &mpsc::Sender<Scrape>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::default());
    if request.uri().path() != "/metrics" {
        *response.status_mut() = StatusCode::NOT_FOUND;
        *response.body_mut() = "metrics are at /metrics\n".into();
        return Ok(response);
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        let allowed = hyper::header::HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(ALLOW, allowed);
        return Ok(response);
    }
    let (sender, receiver) = oneshot::channel();
    let text = match scrapes.try_send(sender) {
        Ok(()) => receiver.await.ok().flatten(),
        Err(_) => None,
    };
    if let Some(text) = text {
        // RFC 9110 §8.3; the value is that of the OpenMetrics specification, version 1.0.0.
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        let kind = hyper::header::HeaderValue::from_static(kind);
        response.headers_mut().insert(CONTENT_TYPE, kind);
        *response.body_mut() = text.into();
    } else {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    Ok(response)
}
