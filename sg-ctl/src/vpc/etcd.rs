//! etcd, as a VPC uses it: the few requests, with limits of time and size, and errors with remedies.
//!
//! One node is spoken to at a time: a client that spreads its requests over all nodes takes many
//! seconds to notice that one of them is gone, one connection with pings of its own takes four.

mod error;
mod tls;

use std::time::Duration;

use etcd_client::{
    Client, Compare, CompareOp, ConnectOptions, DeleteOptions, GetOptions, PutOptions,
    ResponseHeader, Txn, TxnOp, WatchOptions, WatchStream,
};

pub use error::EtcdError;

use super::joined::EtcdAccess;

/// How long a request may take.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// How often a connection without traffic is tried. etcd ends one that is tried more often than every
/// 5 seconds (`--grpc-keepalive-min-time`), after the third time.
const PING: Duration = Duration::from_secs(6);
/// How long an answer to that may take, and a connection to be made.
const ANSWER: Duration = Duration::from_secs(3);
/// Bytes of the largest answer: a page of the largest values fits.
const MOST: usize = 256 << 20;
/// Keys of one page, at most.
const PAGE: i64 = 1000;

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
    /// The revision that created the key.
    pub created: u64,
    /// The revision that wrote it last.
    pub modified: u64,
    /// The lease that it lasts as long as; 0 is none.
    pub lease: i64,
}

/// The store, and how far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    /// The id of the cluster.
    pub cluster: u64,
    /// Its newest revision.
    pub revision: u64,
}

/// A change of a key, made whole or not at all.
#[derive(Debug)]
pub struct Change<'k> {
    /// The key, and its new value.
    pub write: (&'k str, Vec<u8>),
    /// The revision that it must be of; 0 when it must not be there.
    pub from: u64,
    /// Another key, and what is put there.
    pub keep: Option<(&'k str, Vec<u8>)>,
    /// A key that must hold this.
    pub holds: Option<(&'k str, Vec<u8>)>,
    /// A key that is put there for as long as a lease lasts.
    pub lasts: Option<(&'k str, Vec<u8>, i64)>,
}

/// A connection to one node.
#[derive(Clone)]
pub struct Etcd {
    client: Client,
    endpoint: String,
}

impl std::fmt::Debug for Etcd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Etcd")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// Limits the time of a request.
async fn within<T>(
    request: impl Future<Output = Result<T, etcd_client::Error>>,
) -> Result<T, EtcdError> {
    match tokio::time::timeout(PATIENCE, request).await {
        Ok(result) => result.map_err(EtcdError::from),
        Err(_) => Err(EtcdError::Away("no answer in time".to_owned())),
    }
}

fn tip(header: Option<&ResponseHeader>) -> Tip {
    header.map_or(
        Tip {
            cluster: 0,
            revision: 0,
        },
        |header| Tip {
            cluster: header.cluster_id(),
            revision: header.revision().cast_unsigned(),
        },
    )
}

impl Etcd {
    /// Connects to the first node that answers, beginning with the `first`th. It is asked for `key`,
    /// which this user may read.
    ///
    /// # Errors
    /// Why none does; at once when what is said about access is wrong.
    pub async fn connect(access: &EtcdAccess, key: &str, first: usize) -> Result<Self, EtcdError> {
        let options = options(access)?;
        let count = access.endpoints.len();
        let mut failure = EtcdError::Away("no endpoint is given".to_owned());
        for number in 0..count {
            let endpoint = &access.endpoints[(first + number) % count];
            let connect = Client::connect([endpoint], Some(options.clone()));
            let tried = async {
                let mut client = within(connect).await?;
                // Connections are made when they are needed: this one needs it.
                let probe = GetOptions::new()
                    .with_keys_only()
                    .with_limit(1)
                    .with_serializable();
                within(client.get(key, Some(probe))).await?;
                Ok(client)
            };
            match Box::pin(tried).await {
                Ok(client) => {
                    let endpoint = endpoint.clone();
                    return Ok(Self { client, endpoint });
                }
                // A node that has no right to be asked does not look better elsewhere.
                Err(error @ EtcdError::Denied(_)) => return Err(error),
                Err(error) => failure = error.at(endpoint),
            }
        }
        Err(failure)
    }

    /// The node.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// How far the store is, by its leader's word.
    ///
    /// # Errors
    /// When there is none, or it cannot be reached.
    pub async fn tip(&mut self, key: &str) -> Result<Tip, EtcdError> {
        let only = GetOptions::new().with_keys_only().with_limit(1);
        let answer = within(self.client.get(key, Some(only))).await?;
        Ok(tip(answer.header()))
    }

    /// One key, by the leader's word.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn get(&mut self, key: &str) -> Result<(Option<Pair>, Tip), EtcdError> {
        let mut kv = self.client.kv_client().max_decoding_message_size(MOST);
        let mut answer = within(kv.get(key, None)).await?;
        let tip = tip(answer.header());
        let pair = answer.take_kvs().into_iter().next().map(pair);
        Ok((pair, tip))
    }

    /// All keys that begin so, page by page, all of one revision: `at`, or the newest.
    ///
    /// # Errors
    /// When they cannot be read; [`EtcdError::Compacted`] when that revision is gone.
    pub async fn all(
        &mut self,
        prefix: &str,
        at: Option<u64>,
    ) -> Result<(Vec<Pair>, Tip), EtcdError> {
        let mut kv = self.client.kv_client().max_decoding_message_size(MOST);
        let mut pairs = Vec::new();
        let mut first = prefix.as_bytes().to_vec();
        let end = after(prefix);
        let mut found = Tip {
            cluster: 0,
            revision: at.unwrap_or(0),
        };
        loop {
            let mut options = GetOptions::new().with_range(end.clone()).with_limit(PAGE);
            if found.revision != 0 {
                options = options.with_revision(found.revision.cast_signed());
            }
            let mut answer = within(kv.get(first, Some(options))).await?;
            let tip = tip(answer.header());
            found.cluster = tip.cluster;
            if found.revision == 0 {
                found.revision = tip.revision;
            }
            let is_more = answer.more();
            pairs.extend(answer.take_kvs().into_iter().map(pair));
            match pairs.last() {
                Some(last) if is_more => {
                    first = last.key.clone();
                    first.push(0);
                }
                _ => return Ok((pairs, found)),
            }
        }
    }

    /// Watches keys from a revision on, on one stream: each alone, or all that begin so where it ends
    /// with `/`.
    ///
    /// # Errors
    /// When the stream cannot be opened.
    pub async fn watch(&mut self, keys: &[String], from: u64) -> Result<WatchStream, EtcdError> {
        let mut client = self.client.watch_client().max_decoding_message_size(MOST);
        let options = |key: &str| {
            let options = WatchOptions::new()
                .with_start_revision(from.cast_signed())
                .with_progress_notify()
                .with_fragment();
            if key.ends_with('/') {
                options.with_prefix()
            } else {
                options
            }
        };
        let Some((first, others)) = keys.split_first() else {
            return Err(EtcdError::Other("nothing to watch".to_owned()));
        };
        let mut stream = within(client.watch(first.as_str(), Some(options(first)))).await?;
        for key in others {
            within(stream.watch(key.as_str(), Some(options(key)))).await?;
        }
        Ok(stream)
    }

    /// Makes a change, if nobody was faster. Returns the new revision, or that which was found.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn swap(&mut self, change: Change<'_>) -> Result<Result<u64, u64>, EtcdError> {
        let Change {
            write: (key, value),
            from,
            keep,
            holds,
            lasts,
        } = change;
        let unchanged = Compare::mod_revision(key, CompareOp::Equal, from.cast_signed());
        let holds = holds.map(|(key, value)| Compare::value(key, CompareOp::Equal, value));
        let conditions: Vec<_> = [unchanged].into_iter().chain(holds).collect();
        let mut writes = vec![TxnOp::put(key, value, None)];
        writes.extend(keep.map(|(key, value)| TxnOp::put(key, value, None)));
        writes.extend(lasts.map(|(key, value, lease)| {
            TxnOp::put(key, value, Some(PutOptions::new().with_lease(lease)))
        }));
        let change = Txn::new()
            .when(conditions)
            .and_then(writes)
            .or_else([TxnOp::get(key, Some(GetOptions::new().with_keys_only()))]);
        let mut kv = self.client.kv_client().max_encoding_message_size(MOST);
        let answer = within(kv.txn(change)).await?;
        if answer.succeeded() {
            return Ok(Ok(tip(answer.header()).revision));
        }
        let found = answer
            .op_responses()
            .into_iter()
            .find_map(|response| match response {
                etcd_client::TxnOpResponse::Get(answer) => answer
                    .kvs()
                    .first()
                    .map(|kv| kv.mod_revision().cast_unsigned()),
                _ => None,
            });
        Ok(Err(found.unwrap_or(0)))
    }

    /// Writes keys, under a lease if there is one.
    ///
    /// # Errors
    /// When they cannot be written.
    pub async fn put(
        &mut self,
        pairs: Vec<(String, Vec<u8>)>,
        lease: Option<i64>,
    ) -> Result<u64, EtcdError> {
        let options = lease.map(|lease| PutOptions::new().with_lease(lease));
        let mut revision = 0;
        for (key, value) in pairs {
            let answer = within(self.client.put(key, value, options.clone())).await?;
            revision = tip(answer.header()).revision;
        }
        Ok(revision)
    }

    /// Deletes a key.
    ///
    /// # Errors
    /// When it cannot be.
    pub async fn delete(&mut self, key: &str) -> Result<(), EtcdError> {
        within(self.client.delete(key, None::<DeleteOptions>)).await?;
        Ok(())
    }

    /// A new lease, for whole seconds.
    ///
    /// # Errors
    /// When it is not granted.
    pub async fn grant(&mut self, ttl: Duration) -> Result<i64, EtcdError> {
        let seconds = ttl.as_millis().div_ceil(1000).max(1) as i64;
        Ok(within(self.client.lease_grant(seconds, None)).await?.id())
    }

    /// Keeps a lease for another of its times.
    ///
    /// # Errors
    /// [`EtcdError::NoLease`] when it has run out.
    pub async fn keep(&mut self, lease: i64) -> Result<(), EtcdError> {
        match within(self.client.lease_keep_alive(lease)).await {
            Ok(_) => Ok(()),
            Err(EtcdError::Other(text)) if text.contains("lease not found") => {
                Err(EtcdError::NoLease)
            }
            Err(error) => Err(error),
        }
    }
}

fn pair(kv: etcd_client::KeyValue) -> Pair {
    let (created, modified) = (
        kv.create_revision().cast_unsigned(),
        kv.mod_revision().cast_unsigned(),
    );
    let lease = kv.lease();
    let (key, value) = kv.into_key_value();
    Pair {
        key,
        value,
        created,
        modified,
        lease,
    }
}

/// The first key after all that begin so.
fn after(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

fn options(access: &EtcdAccess) -> Result<ConnectOptions, EtcdError> {
    let mut options = ConnectOptions::new()
        .with_require_leader(true)
        .with_keep_alive(PING, ANSWER)
        .with_keep_alive_while_idle(false)
        .with_connect_timeout(ANSWER);
    if let Some(tls) = tls::options(access)? {
        options = options.with_tls(tls);
    }
    if let Some(user) = &access.user {
        let Some(file) = &access.password_file else {
            return Err(EtcdError::Access(format!(
                "user {user} has no password file"
            )));
        };
        let password = std::fs::read_to_string(file).map_err(|error| {
            EtcdError::Access(format!("cannot read {}: {error}", file.display()))
        })?;
        options = options.with_user(user.clone(), password.trim_end_matches('\n'));
    }
    Ok(options)
}
