//! The four connections of the picture: what should become of each, and what does.

use std::{path::Path, process::Child, process::Stdio};

use anyhow::{Context, Result};

use super::{
    host::Attempt,
    network::{APP, CLIENT, DATABASE, Host, OUTSIDE},
};

/// What should become of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The answer comes back.
    Allow,
    /// Nothing comes back.
    Deny,
}

impl Fate {
    /// The word in the log.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Allow => "ALLOW",
            Self::Deny => "DENY",
        }
    }
}

/// A line that a host's log must hold: packets that go in `direction` were judged so.
#[derive(Debug)]
pub(super) struct Proof {
    pub(super) host: &'static Host,
    pub(super) direction: &'static str,
    pub(super) verdict: Fate,
    pub(super) reason: &'static str,
}

const fn proof(
    host: &'static Host,
    direction: &'static str,
    verdict: Fate,
    reason: &'static str,
) -> Proof {
    Proof {
        host,
        direction,
        verdict,
        reason,
    }
}

/// One connection attempt.
#[derive(Debug)]
pub(super) struct Connection {
    /// Its number in the picture.
    pub(super) number: u8,
    pub(super) from: &'static Host,
    pub(super) to: &'static Host,
    pub(super) port: u16,
    pub(super) expected: Fate,
    /// Why.
    pub(super) because: &'static str,
    /// Where one sees it.
    pub(super) proofs: &'static [Proof],
}

/// The picture.
pub(super) static CONNECTIONS: [Connection; 5] = [
    Connection {
        number: 1,
        from: &CLIENT,
        to: &APP,
        port: 443,
        expected: Fate::Allow,
        because: "HTTPS from the internet; no outbound rule speaks of the answer",
        proofs: &[proof(&APP, "inbound", Fate::Allow, "new")],
    },
    Connection {
        number: 2,
        from: &APP,
        to: &DATABASE,
        port: 3306,
        expected: Fate::Allow,
        because: "the app server carries the group that may",
        proofs: &[
            proof(&APP, "outbound", Fate::Allow, "new"),
            proof(&DATABASE, "inbound", Fate::Allow, "new"),
        ],
    },
    Connection {
        number: 3,
        from: &DATABASE,
        to: &OUTSIDE,
        port: 443,
        expected: Fate::Deny,
        because: "the database may reach its own network alone",
        proofs: &[proof(&DATABASE, "outbound", Fate::Deny, "no-rule")],
    },
    Connection {
        number: 3,
        from: &OUTSIDE,
        to: &DATABASE,
        port: 3306,
        expected: Fate::Deny,
        because: "nobody invited it",
        proofs: &[proof(&DATABASE, "inbound", Fate::Deny, "no-rule")],
    },
    Connection {
        number: 4,
        from: &DATABASE,
        to: &APP,
        port: 443,
        expected: Fate::Deny,
        because: "it may leave the database, but the app server serves the internet alone",
        proofs: &[
            proof(&DATABASE, "outbound", Fate::Allow, "new"),
            proof(&APP, "inbound", Fate::Deny, "no-rule"),
        ],
    },
];

impl Connection {
    /// As in `app server → database:3306`.
    pub(super) fn title(&self) -> String {
        format!("{} → {}:{}", self.from.title, self.to.title, self.port)
    }

    fn start(&self, this: &Path) -> Result<Child> {
        let peer = format!("{}:{}", self.to.address, self.port);
        self.from
            .command(this)
            .args(["demo-host", "connect", &peer])
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot try {}", self.title()))
    }
}

/// Tries all connections, at the same time.
///
/// # Errors
/// When a client cannot be run.
pub(super) fn try_all() -> Result<Vec<Attempt>> {
    let this = std::env::current_exe().context("cannot find this program")?;
    let clients = CONNECTIONS
        .iter()
        .map(|connection| connection.start(&this))
        .collect::<Result<Vec<_>>>()?;
    let attempt = |client: Child| {
        let output = client
            .wait_with_output()
            .context("cannot wait for a client")?;
        Ok(Attempt::parse(&String::from_utf8_lossy(&output.stdout)))
    };
    clients.into_iter().map(attempt).collect()
}
