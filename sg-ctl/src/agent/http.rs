//! Answers `GET /metrics` over HTTP, on a thread of its own: whoever watches a host wants to know most
//! when the agent has most to do.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::ready;
use std::net::SocketAddr;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{AbortHandle, LocalSet};
use tokio::time::timeout;

use super::AgentError;
use super::error::system;

/// Most connections at a time. Of more the oldest ends: who opens many keeps nobody else out, and takes
/// no descriptors from the work on rules and interfaces.
const CONNECTIONS: usize = 32;
/// Time for the headers of a request.
const HEADERS: Duration = Duration::from_secs(5);
/// Time that one client may take for everything.
const PATIENCE: Duration = Duration::from_secs(30);

/// Descriptors that are left of those for clients; a few at least.
pub(super) fn left_of(clients: usize) -> usize {
    clients.saturating_sub(CONNECTIONS).max(4)
}

/// Listens for scrapes.
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

    /// Serves on a thread of its own what `read` reads, until the sender of `own` is dropped; nothing
    /// where that returns `None`.
    ///
    /// # Errors
    /// When no thread can be had.
    pub(super) fn start<T: Clone + Send + Sync + 'static>(
        self,
        mut own: watch::Receiver<T>,
        read: impl Fn(&T) -> Option<String> + Send + 'static,
    ) -> Result<(), AgentError> {
        let Self { listener, most } = self;
        let failed = || system("serve metrics");
        let listener = listener.into_std().map_err(failed())?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed())?;
        let listener = {
            let _this = runtime.enter();
            TcpListener::from_std(listener).map_err(failed())?
        };
        let serve_all = move || {
            let reader = own.clone();
            let read: Rc<Read> = Rc::new(move || {
                // Whoever sends does not wait meanwhile.
                let own = reader.borrow().clone();
                read(&own)
            });
            LocalSet::new().block_on(&runtime, async {
                let mut connections = Connections {
                    most,
                    tasks: VecDeque::new(),
                };
                loop {
                    let accepted = tokio::select! {
                        changed = own.changed() => match changed {
                            Ok(()) => continue,
                            Err(_) => return,
                        },
                        accepted = listener.accept() => accepted,
                    };
                    match accepted {
                        Ok((stream, _)) => {
                            connections.add(serve(TokioIo::new(stream), Rc::clone(&read)));
                        }
                        // Too many open files, and the like: it passes.
                        Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                    }
                }
            });
        };
        let thread = thread::Builder::new().name("sg-metrics".to_owned());
        thread.spawn(serve_all).map_err(failed())?;
        Ok(())
    }
}

/// Reads the metrics; `None` when they cannot be read now.
type Read = dyn Fn() -> Option<String>;

/// The connections of a listener.
struct Connections {
    /// How many there may be.
    most: usize,
    /// Oldest first.
    tasks: VecDeque<AbortHandle>,
}

impl Connections {
    /// Serves another one.
    fn add(&mut self, connection: impl Future<Output = ()> + 'static) {
        self.tasks.retain(|task| !task.is_finished());
        while self.tasks.len() >= self.most {
            if let Some(oldest) = self.tasks.pop_front() {
                oldest.abort();
            }
        }
        self.tasks
            .push_back(tokio::task::spawn_local(connection).abort_handle());
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn serve(stream: TokioIo<tokio::net::TcpStream>, read: Rc<Read>) {
    let service = service_fn(|request| ready(Ok::<_, Infallible>(answer(&request, &*read))));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .keep_alive(false)
        .serve_connection(stream, service);
    // A client that goes away or speaks no HTTP is its own affair.
    let _ = timeout(PATIENCE, connection).await;
}

fn answer(request: &Request<Incoming>, read: &Read) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    if request.uri().path() != "/metrics" {
        *response.status_mut() = StatusCode::NOT_FOUND;
        *response.body_mut() = "metrics are at /metrics\n".into();
        return response;
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        let allowed = hyper::header::HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(ALLOW, allowed);
        return response;
    }
    if let Some(text) = read() {
        // RFC 9110 §8.3; the value is that of the OpenMetrics specification, version 1.0.0.
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        let kind = hyper::header::HeaderValue::from_static(kind);
        response.headers_mut().insert(CONTENT_TYPE, kind);
        *response.body_mut() = text.into();
    } else {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}
