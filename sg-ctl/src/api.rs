//! An EC2 endpoint for security groups: what AWS's clients call, on the rules of the VPC.
//!
//! `actions` are pure functions over the rules document; [`Api::call`] is what makes a transaction of
//! one: load, act, check, swap, answer, and write down who did it. `server` is the only part that knows
//! HTTP; `console` is mounted by it and calls the same [`Api::call`] in process.

pub mod actions;
pub mod audit;
pub mod console;
pub mod filters;
pub mod form;
pub mod keys;
pub mod limits;
pub mod pages;
mod recent;
pub mod refusal;
pub mod serve;
pub mod server;
pub mod sigv4;
pub mod world;
pub mod xml;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::Mutex as Turn;
use tokio::task::spawn_blocking;

use crate::host::paths::Paths;
use crate::host::{Host, SshConnection};
use crate::vpc::{Document, Kept, Store, StoreError, Swap};
use actions::{Action, Call};
use audit::{Audit, Entry};
use form::Form;
use keys::{Key, Keys, KeysError, Role};
use limits::Rates;
use pages::Tokens;
use recent::Recent;
use refusal::Refusal;
use world::{Place, World};
use xml::Node;

/// How often a change is decided again when others were faster.
const ATTEMPTS: usize = 16;
/// How long the hosts of a VPC are waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long what surrounds groups is taken to be as it was.
const FRESH: Duration = Duration::from_secs(1);

/// Who calls.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Whose key it is.
    pub name: String,
    /// Id of the key.
    pub key: String,
    /// What it may do.
    pub role: Role,
    /// Whether it may shut out the address that it calls from.
    pub may_lock_out: bool,
    /// From where, and to which address of this host.
    pub peer: Option<(SocketAddr, SocketAddr)>,
    /// What the client calls itself.
    pub agent: String,
}

impl Caller {
    /// The owner of a key, calling from somewhere.
    pub fn of(key: &Key, peer: Option<(SocketAddr, SocketAddr)>, agent: &str) -> Self {
        Self {
            name: key.name.clone(),
            key: key.id.clone(),
            role: key.role,
            may_lock_out: key.may_lock_out,
            peer,
            agent: agent.chars().take(200).collect(),
        }
    }
}

/// What a call came to.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The id under which the audit log knows it.
    pub request: String,
    /// What was asked for, or why it is refused.
    pub result: Result<Node, Refusal>,
    /// Hosts of the VPC that do not enforce the change yet, by their own word.
    pub pending: Vec<String>,
}

/// What the API is made of.
#[derive(Clone, Debug)]
pub struct Setup {
    /// State and pins of this host.
    pub paths: Paths,
    /// Names and ids.
    pub place: Place,
    /// File of the keys.
    pub keys: PathBuf,
}

/// The API on a store.
pub struct Api<S> {
    store: S,
    setup: Setup,
    tokens: Tokens,
    keys: RwLock<Arc<Keys>>,
    rates: Mutex<Rates>,
    audit: Audit,
    recent: Mutex<Recent>,
    world: Mutex<Option<(Instant, u64, Arc<World>)>>,
    /// Writers come one after the other: none of this process has to try again because of another.
    turn: Turn<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Random bits.
fn bits<const N: usize>() -> Result<[u8; N], Refusal> {
    let mut bytes = [0; N];
    match getrandom::fill(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(error) => Err(Refusal::internal(error.to_string())),
    }
}

impl<S: Store> Api<S> {
    /// The API on a store, for the owners of keys.
    ///
    /// # Errors
    /// When there is no randomness, or the audit log cannot be opened.
    pub fn new(store: S, setup: Setup, keys: Keys) -> std::io::Result<Self> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(std::io::Error::other)?;
        let audit = Audit::open(&setup.paths.state)?;
        Ok(Self {
            store,
            setup,
            tokens: Tokens::new(secret),
            keys: RwLock::new(Arc::new(keys)),
            rates: Mutex::default(),
            audit,
            recent: Mutex::default(),
            world: Mutex::default(),
            turn: Turn::default(),
        })
    }

    /// The keys that count now.
    pub fn keys(&self) -> Arc<Keys> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&keys)
    }

    /// Reads the file of keys again; keeps the old ones when it cannot be read.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn reload_keys(&self) -> Result<(), KeysError> {
        let keys = Arc::new(Keys::load(&self.setup.keys)?);
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    /// Names and ids.
    pub fn place(&self) -> &Place {
        &self.setup.place
    }

    /// State and pins of this host.
    pub fn paths(&self) -> &Paths {
        &self.setup.paths
    }

    /// The rules now.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn rules(&self) -> Result<Kept, Refusal> {
        Ok(self.store.load().await?)
    }

    /// Carries out one action as its caller: one transaction, which is in force when this returns, but
    /// for hosts that are pending.
    pub async fn call(&self, caller: &Caller, form: &Form) -> Answer {
        let mut answer = Answer {
            request: String::new(),
            result: Ok(Node::done()),
            pending: Vec::new(),
        };
        answer.result = match bits::<16>() {
            Ok(bytes) => {
                answer.request = request_id(bytes);
                let Answer {
                    request, pending, ..
                } = &mut answer;
                self.answer(caller, form, request, pending).await
            }
            Err(refusal) => Err(refusal),
        };
        answer
    }

    async fn answer(
        &self,
        caller: &Caller,
        form: &Form,
        request: &str,
        pending: &mut Vec<String>,
    ) -> Result<Node, Refusal> {
        let name = form.get("Action");
        let name =
            name.ok_or_else(|| Refusal::new("MissingAction", "The request is missing an action"))?;
        if !lock(&self.rates).take(&caller.key, Instant::now()) {
            return Err(Refusal::too_fast());
        }
        form.get("Version");
        if name == "GetCallerIdentity" {
            return Ok(self.identity(caller));
        }
        let action = Action::find(name)?;
        if action.role == Role::Read {
            return self.look(caller, action, form).await;
        }
        let mut entry = Entry::new(caller, form, request);
        let answer = if caller.role == Role::Read {
            entry.leave_out_parameters();
            Err(Refusal::unauthorized(name))
        } else {
            self.change(caller, action, form, &mut entry).await
        };
        entry.result(&answer);
        self.audit.write(&entry);
        if let Some(revision) = entry.after {
            *pending = self.pending(revision).await;
        }
        answer
    }

    /// The hosts of the VPC that do not enforce a revision after a moment.
    async fn pending(&self, revision: u64) -> Vec<String> {
        let behind = self.store.behind(revision, PATIENCE).await;
        // The change is made; who follows it cannot be asked.
        behind.unwrap_or_else(|_away| vec!["unknown".to_owned()])
    }

    fn identity(&self, caller: &Caller) -> Node {
        let account = &self.setup.place.account;
        Node::fields([
            (
                "Arn",
                Node::Text(format!("arn:aws:iam::{account}:user/{}", caller.name)),
            ),
            ("UserId", Node::text(&caller.key)),
            ("Account", Node::text(account)),
        ])
    }

    async fn look(&self, caller: &Caller, action: Action, form: &Form) -> Result<Node, Refusal> {
        let kept = self.store.load().await?;
        let world = self.world(&kept).await?;
        let (answer, _) = self.act(caller, action, form, (&kept.document, &world))?;
        Ok(answer)
    }

    async fn change(
        &self,
        caller: &Caller,
        action: Action,
        form: &Form,
        entry: &mut Entry,
    ) -> Result<Node, Refusal> {
        let _turn = self.turn.lock().await;
        let token = form.get("ClientToken").map(str::to_owned);
        if let Some(token) = &token
            && let Some(answer) = lock(&self.recent).find(&caller.key, token, form)
        {
            return answer;
        }
        for _ in 0..ATTEMPTS {
            let kept = self.store.load().await?;
            let world = self.world(&kept).await?;
            let (answer, document) = self.act(caller, action, form, (&kept.document, &world))?;
            let Some(document) = document.filter(|document| *document != *kept.document) else {
                return Ok(answer);
            };
            entry.change(kept.revision, &kept.document, &document);
            let swap = Swap {
                from: kept.revision,
                document,
                way_in: way_in(caller),
            };
            match self.store.swap(swap).await {
                Ok(revision) => {
                    entry.done(revision);
                    if let Some(token) = token {
                        lock(&self.recent).keep(&caller.key, token, form, &answer);
                    }
                    return Ok(answer);
                }
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Refusal::unavailable(
            "Others change the rules all the time; try again",
        ))
    }

    /// Carries an action out on a copy; returns the copy if it was changed.
    fn act(
        &self,
        caller: &Caller,
        action: Action,
        form: &Form,
        (document, world): (&Document, &World),
    ) -> Result<(Node, Option<Document>), Refusal> {
        let mut failed = None;
        let mut fresh = || match bits() {
            Ok(bytes) => u128::from_be_bytes(bytes),
            Err(refusal) => {
                failed = Some(refusal);
                0
            }
        };
        let is_dry = form.flag("DryRun");
        let mut call = Call {
            document: Cow::Borrowed(document),
            world,
            tokens: &self.tokens,
            caller: &caller.name,
            fresh: &mut fresh,
        };
        let answer = action.run(&mut call, form)?;
        let document = match call.document {
            Cow::Owned(document) => Some(document),
            Cow::Borrowed(_) => None,
        };
        if let Some(refusal) = failed {
            return Err(refusal);
        }
        if is_dry {
            return Err(Refusal::dry_run());
        }
        Ok((answer, document))
    }

    /// What surrounds groups, as it was a moment ago at most.
    async fn world(&self, kept: &Kept) -> Result<Arc<World>, Refusal> {
        if let Some((at, of, world)) = &*lock(&self.world)
            && *of == kept.revision
            && at.elapsed() < FRESH
        {
            return Ok(Arc::clone(world));
        }
        let Setup { paths, place, .. } = self.setup.clone();
        let claimed = self.store.claimed().await?;
        let document = Arc::clone(&kept.document);
        let look = move || World::of(&Host::open(&paths)?, place, &document, claimed);
        let world = spawn_blocking(look).await;
        let world = world.map_err(|ended| Refusal::internal(ended.to_string()))?;
        let world = Arc::new(world?);
        *lock(&self.world) = Some((Instant::now(), kept.revision, Arc::clone(&world)));
        Ok(world)
    }
}

/// The connection that a change must not shut out.
fn way_in(caller: &Caller) -> Option<SshConnection> {
    let (client, server) = caller.peer.filter(|_| !caller.may_lock_out)?;
    SshConnection::of_peer(client, server)
}

/// An id in the form of AWS's.
fn request_id(bytes: [u8; 16]) -> String {
    let hex = sigv4::hex(&bytes);
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    parts.join("-")
}
