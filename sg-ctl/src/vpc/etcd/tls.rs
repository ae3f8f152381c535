//! Certificates: etcd's nodes by their authority, this host by its own.

use std::path::Path;

use etcd_client::{Certificate, Identity, TlsOptions};

use super::EtcdError;
use crate::vpc::joined::EtcdAccess;

/// What is needed for `https`; `None` where it is not used.
///
/// # Errors
/// When files are missing, cannot be read, or do not fit together.
pub(super) fn options(access: &EtcdAccess) -> Result<Option<TlsOptions>, EtcdError> {
    let is_tls = |endpoint: &String| endpoint.starts_with("https://");
    let count = access
        .endpoints
        .iter()
        .filter(|endpoint| is_tls(endpoint))
        .count();
    if count != 0 && count != access.endpoints.len() {
        return Err(EtcdError::Access(
            "endpoints are in part https, in part not".to_owned(),
        ));
    }
    if count == 0 {
        return match (&access.ca, &access.cert) {
            (None, None) => Ok(None),
            _ => Err(EtcdError::Access(
                "certificates need https:// endpoints".to_owned(),
            )),
        };
    }
    let Some(ca) = &access.ca else {
        return Err(EtcdError::Access(
            "https needs the nodes' authority (--ca)".to_owned(),
        ));
    };
    let mut tls = TlsOptions::new().ca_certificate(Certificate::from_pem(read(ca)?));
    match (&access.cert, &access.key) {
        (Some(cert), Some(key)) => {
            tls = tls.identity(Identity::from_pem(read(cert)?, read(key)?));
        }
        (None, None) => {}
        _ => {
            return Err(EtcdError::Access(
                "a certificate and its key go together".to_owned(),
            ));
        }
    }
    Ok(Some(tls))
}

fn read(path: &Path) -> Result<Vec<u8>, EtcdError> {
    std::fs::read(path)
        .map_err(|error| EtcdError::Access(format!("cannot read {}: {error}", path.display())))
}
