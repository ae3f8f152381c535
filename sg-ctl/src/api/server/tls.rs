//! TLS: a certificate that is given, or one of our own that is made once.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("cannot use {}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file holds something else than PEM.
    #[error("cannot use {}: {why}", .path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// The cause.
        why: String,
    },
    /// Certificate and key do not make a server.
    #[error("cannot serve TLS: {0}")]
    Server(String),
}

fn file(path: &Path) -> impl FnOnce(io::Error) -> TlsError + '_ {
    |source| TlsError::File {
        path: path.to_owned(),
        source,
    }
}

/// Makes certificate and key for these names, unless they are there.
fn make(certificate: &Path, key: &Path, names: Vec<String>) -> Result<(), TlsError> {
    if certificate.exists() && key.exists() {
        return Ok(());
    }
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(names).map_err(|error| TlsError::Server(error.to_string()))?;
    let mut options = fs::OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let mut secret = options.open(key).map_err(file(key))?;
    secret
        .write_all(signing_key.serialize_pem().as_bytes())
        .map_err(file(key))?;
    fs::write(certificate, cert.pem()).map_err(file(certificate))
}

/// Serves TLS with a certificate and its key; `own`: for these names, made if they are not there.
///
/// # Errors
/// When they cannot be read or made, or do not belong together.
pub fn acceptor(
    certificate: &Path,
    key: &Path,
    own: Option<Vec<String>>,
) -> Result<TlsAcceptor, TlsError> {
    if let Some(names) = own {
        make(certificate, key, names)?;
    }
    let pem = |path: &Path, why: String| TlsError::Pem {
        path: path.to_owned(),
        why,
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate)
        .map_err(|error| pem(certificate, error.to_string()))?
        .collect();
    let chain = chain.map_err(|error| pem(certificate, error.to_string()))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| pem(key, error.to_string()))?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| TlsError::Server(error.to_string()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
