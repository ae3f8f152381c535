//! The console: pages for people, on the same router and the same calls as the API.
//!
//! [`router`] is mounted by [`server`](super::server) beside the API's one path, `/`. Pages change rules
//! through the API's actions with the [`Caller`] of their session, so that
//! they can do no more than the API, and the audit log has them, too; a form that needs several calls is
//! one transaction ([`change`]). Views are pure functions of a [`Scene`].

mod change;
mod changes;
mod create;
mod details;
mod editor;
mod events;
mod forms;
mod gate;
mod groups;
mod hits;
mod interfaces;
mod lists;
mod look;
mod map;
mod names;
mod plan;
mod rows;
mod session;
#[cfg(test)]
mod tests;
mod traffic;
mod why;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, Method, Response, StatusCode};
use axum::routing::any;
use maud::{Markup, html};
use sg_policy::model::{Direction, SecurityGroup};
use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;

use super::audit::{self, Entry};
use super::keys::Role;
use super::refusal::Refusal;
use super::server::{Names as Hosts, Peer, to_its_end};
use super::world::World;
use super::{Api, Caller, lock};
use crate::vpc::{Document, Owned, Store};
use gate::Reply;
use hits::Hits;
use look::Notice;
use session::{Session, Sessions};

pub use session::make_link;

/// Paths that are the console's, with everything below them.
const PATHS: [&str; 10] = [
    "groups",
    "interfaces",
    "lists",
    "traffic",
    "why",
    "map",
    "changes",
    "sign-in",
    "sign-out",
    "console",
];

/// What handlers share.
struct Console<S> {
    api: Arc<Api<S>>,
    hosts: Hosts,
    is_plain: bool,
    sessions: Mutex<Sessions>,
    streams: events::Streams,
}

/// Whether a page asks by itself, without anybody at it.
const ASKED: &str = "x-sg-asked";
/// Calls of the audit log that are looked through, the latest: it may have a million.
const CALLS: usize = 10_000;

/// The console's paths. `is_plain`: connections are not encrypted, which cookies depend on.
pub fn router<S: Store>(api: &Arc<Api<S>>, hosts: Hosts, is_plain: bool) -> Router {
    let console = Arc::new(Console {
        api: Arc::clone(api),
        hosts,
        is_plain,
        sessions: Mutex::default(),
        streams: events::Streams::default(),
    });
    let mut router = Router::new();
    for path in PATHS {
        router = router
            .route(&format!("/{path}"), any(handle::<S>))
            .route(&format!("/{path}/{{*rest}}"), any(handle::<S>));
    }
    router.with_state(console)
}

/// What a browser is answered that asks for `/`.
pub(super) fn welcome() -> Response<Body> {
    Reply::to("/groups").response()
}

/// What a page is made of.
struct Scene {
    document: Arc<Document>,
    world: Arc<World>,
    hits: Hits,
    entries: Vec<Entry>,
    session: Session,
    client: IpAddr,
}

impl Scene {
    /// Whether this session may change anything.
    fn may_change(&self) -> bool {
        self.session.key.role != Role::Read
    }

    /// Whether this session may change a group.
    fn may_change_group(&self, group: &SecurityGroup) -> bool {
        self.may_change() && self.document.file_of(Owned::Group, &group.name).is_none()
    }

    /// The group with an id.
    fn group(&self, id: &str) -> Option<&SecurityGroup> {
        let mut groups = self.document.model().groups.values();
        groups.find(|group| group.id.as_str() == id)
    }
}

/// What stands in an address after the question mark.
#[derive(Default)]
struct Query(BTreeMap<String, String>);

impl Query {
    fn parse(text: &str) -> Self {
        let pairs = form_urlencoded::parse(text.as_bytes()).into_owned();
        Self(pairs.take(100).collect())
    }

    fn get(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }

    fn number(&self, key: &str) -> usize {
        self.get(key).parse().unwrap_or(1)
    }
}

/// What the rules of one direction of a group are, for whoever began to change them.
fn revision(group: &SecurityGroup, direction: Direction) -> String {
    let rules = serde_json::to_vec(group.rules(direction)).unwrap_or_default();
    super::sigv4::hex(&Sha256::digest(rules)[..12])
}

async fn handle<S: Store>(
    State(console): State<Arc<Console<S>>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response<Body> {
    let reply = match console.answer(request, &peer).await {
        Ok(reply) => reply,
        Err(refusal) => Reply::page(
            StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST),
            look::bare(
                "Refused",
                &html! {
                    h1 { "That was refused" } p { (refusal.message) } p { a.button href="/groups" { "Security groups" } }
                },
            ),
        ),
    };
    reply.response()
}

impl<S: Store> Console<S> {
    async fn answer(self: &Arc<Self>, request: Request, peer: &Peer) -> Result<Reply, Refusal> {
        let (head, body) = request.into_parts();
        gate::check(&head, &self.hosts, self.is_plain)?;
        let path = head.uri.path().to_owned();
        let segments = gate::segments(&path);
        if segments.first() == Some(&"console") {
            return Ok(gate::asset(segments.get(1).copied().unwrap_or_default()));
        }
        let query = Query::parse(head.uri.query().unwrap_or_default());
        let client = peer.client.ip().to_canonical();
        if segments == ["sign-in"] {
            return self.sign_in(&head.method, body, &query, client).await;
        }
        let cookie = gate::cookie(&head.headers, self.is_plain);
        let streams = segments == ["traffic", "events"];
        let is_used = !streams && !head.headers.contains_key(ASKED);
        let Some(session) = self.session(&cookie, is_used) else {
            return Ok(Reply::to("/sign-in"));
        };
        peer.trust();
        if streams && head.method == Method::GET {
            return Ok(self.stream(&head.headers, &query, cookie));
        }
        let caller = Caller::of(&session.key, Some((peer.client, peer.server)), "console");
        if head.method != Method::POST {
            let has_hits = matches!(segments[0], "groups" | "map");
            let has_calls = matches!(segments[..], ["changes", ..] | ["groups", _, ..]);
            let (console, path) = (Arc::clone(self), path.clone());
            let show = async move {
                let scene = console.scene(session, client, (has_hits, has_calls));
                console
                    .show(&scene.await?, &gate::segments(&path), &query)
                    .await
            };
            return to_its_end(show).await?;
        }
        let form = gate::form(body).await?;
        if !session::same(form.get("csrf").unwrap_or_default(), &session.csrf) {
            return Err(Refusal::foreign(
                "This form is of another session: open the page again.",
            ));
        }
        if segments == ["sign-out"] {
            lock(&self.sessions).end(&cookie);
            return Ok(Reply::to("/sign-in").with_cookie("", self.is_plain));
        }
        let scene = self.scene(session, client, (false, false)).await?;
        let console = Arc::clone(self);
        let act = async move {
            let segments = gate::segments(&path);
            console.act(&scene, &caller, &segments, &form).await
        };
        to_its_end(act).await?
    }

    /// The session of a cookie, if its key still counts: one that is gone ends its sessions.
    fn session(&self, cookie: &str, is_used: bool) -> Option<Session> {
        let (now, instant) = (jiff::Timestamp::now().as_second(), Instant::now());
        let mut sessions = lock(&self.sessions);
        let found = if is_used {
            sessions.find(cookie, instant)
        } else {
            sessions.peek(cookie, instant).cloned()
        };
        drop(sessions);
        let keys = self.api.keys();
        found.filter(|session| keys.find(&session.key.id, now) == Some(&session.key))
    }

    /// Verdicts as they fall, as long as the session is open.
    fn stream(self: &Arc<Self>, headers: &HeaderMap, query: &Query, cookie: String) -> Reply {
        let last = headers.get("last-event-id");
        let last = last.and_then(|id| id.to_str().ok());
        let last = last.unwrap_or_else(|| query.get("after"));
        let console = Arc::clone(self);
        let body = events::stream(
            &self.streams,
            self.api.paths(),
            last.parse().unwrap_or_default(),
            move || console.session(&cookie, false).is_some(),
        );
        Reply::stream(body)
    }

    async fn sign_in(
        &self,
        method: &Method,
        body: Body,
        query: &Query,
        client: IpAddr,
    ) -> Result<Reply, Refusal> {
        let now = jiff::Timestamp::now().as_second();
        let keys = self.api.keys();
        let link = query.get("link");
        if *method != Method::POST {
            if !link.is_empty() && session::take_link(&self.api.paths().state, link) {
                let key = keys.first().ok_or_else(Refusal::auth_failure)?;
                return self.begin(key);
            }
            let old = (!link.is_empty()).then_some("This link has been used, or is older than 30 seconds: `sg-ctl console` makes another.");
            return Ok(Reply::page(StatusCode::OK, gate::sign_in_page("", old)));
        }
        let form = gate::form(body).await?;
        let (id, secret) = (
            form.get("key").unwrap_or_default().trim(),
            form.get("secret").unwrap_or_default().trim(),
        );
        if let Some(wait) = lock(&self.sessions).wait(client, Instant::now()) {
            let text = format!(
                "Too many wrong secrets: try again in {} s.",
                wait.as_secs() + 1
            );
            return Ok(Reply::page(
                StatusCode::TOO_MANY_REQUESTS,
                gate::sign_in_page(id, Some(&text)),
            ));
        }
        let known = keys.find(id, now);
        let is_right = session::same(known.map_or("", |key| &key.secret), secret);
        if let Some(key) = known.filter(|_| is_right && !secret.is_empty()) {
            return self.begin(key);
        }
        lock(&self.sessions).failed(client, Instant::now());
        let page = gate::sign_in_page(id, Some("No key has this id and this secret."));
        Ok(Reply::page(StatusCode::UNAUTHORIZED, page))
    }

    fn begin(&self, key: &super::keys::Key) -> Result<Reply, Refusal> {
        let cookie = lock(&self.sessions).begin(key, Instant::now());
        let cookie = cookie.map_err(|error| Refusal::internal(error.to_string()))?;
        Ok(Reply::to("/groups").with_cookie(&cookie, self.is_plain))
    }

    /// Everything that pages show, as it is now; hits of rules and calls where they are shown.
    async fn scene(
        &self,
        session: Session,
        client: IpAddr,
        (has_hits, has_calls): (bool, bool),
    ) -> Result<Scene, Refusal> {
        let kept = self.api.rules().await?;
        let world = self.api.world(&kept).await?;
        let paths = self.api.paths().clone();
        let look = move || {
            // Without counters or calls the rules are shown all the same.
            let hits = has_hits.then(|| Hits::read(&paths).unwrap_or_default());
            let calls = has_calls.then(|| audit::latest(&paths.state, CALLS).unwrap_or_default());
            (hits.unwrap_or_default(), calls.unwrap_or_default())
        };
        let (hits, entries) = spawn_blocking(look)
            .await
            .map_err(|ended| Refusal::internal(ended.to_string()))?;
        Ok(Scene {
            document: kept.document,
            world,
            hits,
            entries,
            session,
            client,
        })
    }

    /// Shows a page.
    async fn show(
        &self,
        scene: &Scene,
        segments: &[&str],
        query: &Query,
    ) -> Result<Reply, Refusal> {
        let notice = match query.get("done") {
            "" => None,
            text => {
                let mut pending = scene.world.hosts();
                let said: Vec<_> = query.get("pending").split(',').collect();
                pending.retain(|host| said.contains(host));
                let pending: Vec<_> = pending.into_iter().collect();
                Some(Notice::Done(forms::done(text, &pending)))
            }
        };
        let page: Markup = match segments {
            ["groups"] => groups::list(scene, query, notice),
            ["groups", "new"] => {
                create::page(scene, &create::Typed::new(), &rows::Faults::new(), notice)
            }
            ["groups", id, rest @ ..] => {
                let Some(group) = scene.group(id) else {
                    return Ok(gate::gone(scene, id));
                };
                match rest {
                    [] => details::page(scene, group, query, notice),
                    ["delete"] => details::delete(scene, group, notice),
                    ["tags"] => {
                        let tags: Vec<_> = group.tags.clone().into_iter().collect();
                        create::tags_page(scene, group, &tags, &rows::Faults::new(), notice)
                    }
                    [direction] => match forms::direction(direction) {
                        Some(direction) => {
                            editor::page(scene, forms::sheet(scene, group, direction))
                        }
                        None => return Ok(gate::not_found(scene)),
                    },
                    _ => return Ok(gate::not_found(scene)),
                }
            }
            ["interfaces"] => interfaces::page(scene, notice),
            ["lists"] => lists::page(scene),
            ["changes"] => changes::page(scene),
            ["map"] => map::page(scene, query),
            ["why"] => why::page(scene, query, self.api.paths()).await,
            ["traffic"] => traffic::page(scene, query, self.api.paths()).await,
            _ => return Ok(gate::not_found(scene)),
        };
        Ok(Reply::page(StatusCode::OK, page))
    }
}
