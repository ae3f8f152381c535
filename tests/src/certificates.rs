//! An authority that issues certificates, as an administrator's would.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::scratch::Directory;

/// An authority, and the files that it has written.
#[derive(Debug)]
pub struct Authority {
    directory: Directory,
    issuer: Issuer<'static, KeyPair>,
}

/// Files of a certificate and of its key, as PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Authority {
    /// A new one.
    pub fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters
            .distinguished_name
            .push(DnType::CommonName, "the tests' authority");
        let key = KeyPair::generate().expect("there is randomness");
        let own = parameters.self_signed(&key).expect("it can sign");
        let directory = Directory::in_memory("certificates");
        fs::write(directory.path().join("ca.pem"), own.pem()).expect("the directory is ours");
        Self {
            directory,
            issuer: Issuer::new(parameters, key),
        }
    }

    /// The file of its own certificate.
    pub fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// A certificate for a user, or for a node at this address.
    pub fn issue(&self, name: &str, address: Option<std::net::Ipv4Addr>) -> Identity {
        let addresses: Vec<_> = address.iter().map(ToString::to_string).collect();
        let mut parameters = CertificateParams::new(addresses).expect("these are addresses");
        parameters.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("there is randomness");
        let issued = parameters
            .signed_by(&key, &self.issuer)
            .expect("it can sign");
        let file = |end: &str| self.directory.path().join(format!("{name}.{end}"));
        let identity = Identity {
            cert: file("pem"),
            key: file("key"),
        };
        write(&identity.cert, &issued.pem());
        write(&identity.key, &key.serialize_pem());
        identity
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("the directory is ours");
}
