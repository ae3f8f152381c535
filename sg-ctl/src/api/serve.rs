//! Brings the API up: keys, certificate, port.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;

use super::keys::{Key, Keys, KeysError};
use super::server::{Listener, Names, Tell, TlsError, acceptor, router};
use super::world::Place;
use super::{Api, Setup};
use crate::host::paths::Paths;
use crate::vpc::OwnStore;

/// How connections are protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Not at all: for this host alone.
    Off,
    /// With a certificate of our own, made once, in the state directory.
    Own,
    /// With this certificate and this key, as PEM.
    Files(PathBuf, PathBuf),
}

/// What is to be served, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// State and pins.
    pub paths: Paths,
    /// Where the rules are.
    pub store: OwnStore,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Names and ids.
    pub place: Place,
    /// File of the keys; without one, that of the state directory.
    pub keys: Option<PathBuf>,
    /// Names by which clients know this host, beside addresses and `localhost`.
    pub names: Vec<String>,
    /// How connections are protected.
    pub tls: Tls,
}

/// Why it is not served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Others could listen in.
    #[error("{0} can be reached from other hosts, and nothing protects what is sent")]
    Bare(SocketAddr),
    /// The port cannot be had.
    #[error("cannot serve the API on {address}: {source}")]
    Port {
        /// Where it was to listen.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// The state directory cannot be written.
    #[error("cannot write to {}: {source}", .path.display())]
    State {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl ServeError {
    /// The remedy, as one sentence for the user.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Bare(_) => Some(
                "listen on 127.0.0.1 or [::1] (`ssh -L` reaches it from elsewhere), or give --tls, or \
                 --tls-cert and --tls-key",
            ),
            Self::Port { .. } => Some("choose another with --listen"),
            Self::Keys(KeysError::Open(_)) => Some("chmod 600 it, and make new secrets"),
            Self::Keys(_) | Self::Tls(_) | Self::State { .. } => None,
        }
    }
}

/// An API that listens and does not answer yet.
pub struct Served {
    /// Where.
    pub url: String,
    /// The key that was made, if this is the first start.
    pub first_key: Option<Key>,
    /// The file of the keys.
    pub keys: PathBuf,
    /// The API, also for calls in process.
    pub api: Arc<Api<OwnStore>>,
    listener: Listener,
    router: Router,
}

impl Served {
    /// Opens everything; `tell` is called with what goes wrong later.
    ///
    /// # Errors
    /// When keys or certificate cannot be used, or the port cannot be had.
    pub async fn open(options: Options, tell: Tell) -> Result<Self, ServeError> {
        let Options {
            paths,
            store,
            listen,
            place,
            keys,
            mut names,
            tls,
        } = options;
        if tls == Tls::Off && !listen.ip().is_loopback() {
            return Err(ServeError::Bare(listen));
        }
        let state = paths.state.clone();
        let failed = |source| ServeError::State {
            path: state.clone(),
            source,
        };
        make_directory(&state).map_err(failed)?;
        let file = keys.unwrap_or_else(|| state.join("keys.json"));
        let (keys, is_new) = Keys::load_or_make(&file)?;
        let first_key = keys.first().filter(|_| is_new).cloned();
        names.push(place.host.clone());
        let is_plain = tls == Tls::Off;
        let tls = match tls {
            Tls::Off => None,
            Tls::Files(certificate, key) => Some(acceptor(&certificate, &key, None)?),
            Tls::Own => {
                let mut own = vec!["localhost".to_owned(), listen.ip().to_string()];
                own.extend(names.iter().cloned());
                let (certificate, key) = (state.join("tls.pem"), state.join("tls.key"));
                Some(acceptor(&certificate, &key, Some(own))?)
            }
        };
        let port = |source| ServeError::Port {
            address: listen,
            source,
        };
        let listener = Listener::bind(listen, tls).await.map_err(port)?;
        let address = listener.address().map_err(port)?;
        let setup = Setup {
            paths,
            place,
            keys: file.clone(),
        };
        let api = Arc::new(Api::new(store, setup, keys).map_err(failed)?);
        Ok(Self {
            url: format!("{}://{address}", if is_plain { "http" } else { "https" }),
            first_key,
            keys: file,
            router: router(&api, Names::new(names), is_plain, tell),
            api,
            listener,
        })
    }

    /// Answers until it is dropped.
    pub async fn run(self) {
        self.listener.serve(self.router).await;
    }
}

fn make_directory(path: &std::path::Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}
