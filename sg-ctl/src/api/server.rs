//! The API over HTTP: one path, form in, XML out. The only file of the API that knows HTTP.

mod listener;
mod tls;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Extension, Request, State};
use axum::http::header::{
    ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, ORIGIN, USER_AGENT,
};
use axum::http::{HeaderValue, Method, Response, StatusCode};
use axum::routing::get;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

pub use listener::{Listener, Peer};
pub use tls::{TlsError, acceptor};

use super::form::Form;
use super::limits::Failures;
use super::refusal::Refusal;
use super::sigv4::{Claim, Request as Signed, Unsigned};
use super::xml::{Node, document};
use super::{Answer, Api, Caller, console};
use crate::vpc::Store;

/// Most bytes of a body.
const MOST_BYTES: usize = 1 << 20;
/// Time in which a body must come.
const BODY: Duration = Duration::from_secs(10);
/// Calls that are carried out at a time, also of clients that have hung up: each has a thread and needs
/// others for what it asks of the host, of the 512 that there are.
static CALLS: Semaphore = Semaphore::const_new(AT_A_TIME as usize);
const AT_A_TIME: u32 = 64;
/// How long is waited for calls that are being carried out when the endpoint is to end: some wait for
/// other hosts.
const LAST_CALLS: Duration = Duration::from_secs(5);
/// How long the answer to the last of them has to leave.
const LAST_ANSWER: Duration = Duration::from_millis(50);
/// The header that names hosts of a VPC which do not enforce a change yet.
const PENDING: HeaderName = HeaderName::from_static("x-sg-pending");
/// Namespace and version of the API of EC2.
const EC2: (&str, &str) = ("http://ec2.amazonaws.com/doc/2016-11-15/", "2016-11-15");
/// Namespace and version of the API of STS.
const STS: (&str, &str) = ("https://sts.amazonaws.com/doc/2011-06-15/", "2011-06-15");

/// What a request may be sent to.
#[derive(Clone, Debug, Default)]
pub struct Names(Vec<String>);

impl Names {
    /// Names beside `localhost` and addresses: no other name leads here by intention, and a web page that
    /// gave this host another one is refused.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().map(|name| name.to_lowercase()).collect())
    }

    /// Whether a request to this `Host` is meant for this one.
    pub fn has(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let name = name.trim_matches(['[', ']']).to_lowercase();
        name == "localhost" || name.parse::<std::net::IpAddr>().is_ok() || self.0.contains(&name)
    }
}

/// What is told of what goes wrong: at most a line a minute.
pub type Tell = Arc<dyn Fn(&str) + Send + Sync>;

/// What handlers share.
struct Endpoint<S> {
    api: Arc<Api<S>>,
    names: Names,
    failures: Mutex<Failures>,
    tell: Tell,
}

/// The router of API and console.
pub fn router<S: Store>(api: &Arc<Api<S>>, names: Names, is_plain: bool, tell: Tell) -> Router {
    let pages = console::router(api, names.clone(), is_plain);
    let endpoint = Arc::new(Endpoint {
        api: Arc::clone(api),
        names,
        failures: Mutex::default(),
        tell,
    });
    Router::new()
        .route("/", get(answer::<S>).post(answer::<S>))
        .with_state(endpoint)
        .merge(pages)
}

/// Which service a request is for: their answers differ in form.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Service {
    Ec2,
    Sts,
}

/// Does something to its end, also if whoever asked for it hangs up: what is changed is written down.
/// On a thread of its own: while it works through a large document or many filters, others are answered.
///
/// # Errors
/// When it panics.
pub(super) async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, Refusal> {
    // Only closing it would fail.
    let turn = CALLS.acquire().await;
    let work = spawn_blocking(move || {
        let _turn = turn;
        Handle::current().block_on(work)
    });
    let done = work.await;
    done.map_err(|ended| Refusal::internal(ended.to_string()))
}

/// Waits until the calls that are being carried out have been, and begins no others meanwhile.
pub async fn finish_calls() {
    let _all = timeout(LAST_CALLS, CALLS.acquire_many(AT_A_TIME)).await;
    sleep(LAST_ANSWER).await;
}

/// The answer to what no action came of.
fn unanswered(refusal: Refusal) -> Answer {
    Answer {
        request: super::bits().map(super::request_id).unwrap_or_default(),
        result: Err(refusal),
        pending: Vec::new(),
    }
}

async fn answer<S: Store>(
    State(endpoint): State<Arc<Endpoint<S>>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response<Body> {
    // Whoever types the address into a browser looks for the console.
    let accepts = request.headers().get(ACCEPT);
    let is_browser = accepts.is_some_and(|kinds| kinds.as_bytes().starts_with(b"text/html"));
    if is_browser && request.method() == Method::GET && request.uri().query().is_none() {
        return console::welcome();
    }
    let mut service = Service::Ec2;
    let refusal = match endpoint.admit(request, &peer, &mut service).await {
        Ok((caller, form)) => {
            let api = Arc::clone(&endpoint.api);
            let call = async move {
                let action = form.get("Action").unwrap_or_default();
                written(api.call(&caller, &form).await, action, service)
            };
            match to_its_end(call).await {
                Ok(response) => return response,
                Err(refusal) => refusal,
            }
        }
        Err(refusal) => {
            endpoint.count_failure(&refusal, &peer);
            refusal
        }
    };
    written(unanswered(refusal), "", service)
}

/// An answer as it is sent.
fn written(answer: Answer, action: &str, service: Service) -> Response<Body> {
    let mut response = match answer.result {
        Ok(node) => respond(StatusCode::OK, done(action, node, &answer.request)),
        Err(refusal) => {
            let status = StatusCode::from_u16(refusal.status);
            let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            respond(status, refused(&refusal, service, &answer.request))
        }
    };
    if !answer.pending.is_empty()
        && let Ok(pending) = HeaderValue::from_str(&answer.pending.join(", "))
    {
        response.headers_mut().insert(PENDING, pending);
    }
    response
}

impl<S: Store> Endpoint<S> {
    /// Reads a request up to where it is known who sends it.
    async fn admit(
        &self,
        request: Request,
        peer: &Peer,
        service: &mut Service,
    ) -> Result<(Caller, Form), Refusal> {
        let (head, body) = request.into_parts();
        self.check_head(&head.method, &head.headers)?;
        let headers: Vec<_> = head
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        let mut signed = Signed {
            method: head.method.as_str(),
            path: head.uri.path(),
            query: head.uri.query().unwrap_or_default(),
            headers: &headers,
            body: &[],
        };
        // Nothing is read, nor kept, of whoever names no key that there is.
        let claim = Claim::of(&signed).map_err(unsigned)?;
        if claim.service == "sts" {
            *service = Service::Sts;
        }
        let now = jiff::Timestamp::now().as_second();
        claim.check_time(now).map_err(unsigned)?;
        let keys = self.api.keys();
        let key = keys
            .find(claim.key, now)
            .ok_or_else(Refusal::auth_failure)?;
        if !matches!(claim.service, "ec2" | "sts") {
            return Err(Refusal::auth_failure());
        }
        let body = read_body(body).await?;
        signed.body = &body;
        claim.verify(&signed, &key.secret).map_err(unsigned)?;
        peer.trust();
        let form = Form::parse(signed.query, &body)?;
        let (_, version) = if *service == Service::Sts { STS } else { EC2 };
        if form.get("Action").is_some() && form.get("Version") != Some(version) {
            return Err(Refusal::new(
                "InvalidAction",
                format!("This web service has the version {version} alone."),
            ));
        }
        let agent = head.headers.get(USER_AGENT).map(HeaderValue::to_str);
        let agent = agent.and_then(Result::ok).unwrap_or_default();
        Ok((
            Caller::of(key, Some((peer.client, peer.server)), agent),
            form,
        ))
    }

    /// Refuses what no client of AWS sends and a web page can.
    fn check_head(&self, method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let host = text(HOST).unwrap_or_default();
        if !self.names.has(host) {
            return Err(Refusal::foreign(
                "This endpoint has another name: add it with --name",
            ));
        }
        let site = text(HeaderName::from_static("sec-fetch-site"));
        let is_own = |site| matches!(site, "none" | "same-origin");
        if headers.contains_key(ORIGIN) || site.is_some_and(|site| !is_own(site)) {
            return Err(Refusal::foreign("Web pages may not call this endpoint"));
        }
        let length = text(CONTENT_LENGTH).and_then(|text| text.parse::<u64>().ok());
        if length.is_some_and(|length| length > MOST_BYTES as u64) {
            return Err(Refusal::too_large());
        }
        let kind = text(CONTENT_TYPE).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if *method == Method::POST
            && !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
        {
            return Err(Refusal::bad(
                "The body is to be a form: application/x-www-form-urlencoded",
            ));
        }
        Ok(())
    }

    /// Tells now and then how often signatures fail.
    fn count_failure(&self, refusal: &Refusal, peer: &Peer) {
        if !matches!(refusal.status, 401 | 403) && refusal.code != "RequestExpired" {
            return;
        }
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = failures.count(Instant::now()) {
            let (client, code) = (peer.client.ip().to_canonical(), refusal.code);
            (self.tell)(&format!(
                "refused for want of a signature: {count}, the last from {client} ({code})"
            ));
        }
    }
}

async fn read_body(body: Body) -> Result<Vec<u8>, Refusal> {
    match tokio::time::timeout(BODY, to_bytes(body, MOST_BYTES)).await {
        Ok(Ok(bytes)) => Ok(bytes.into()),
        Ok(Err(_)) => Err(Refusal::too_large()),
        Err(_) => Err(Refusal::new(
            "RequestTimeout",
            "The body of the request did not come in time.",
        )),
    }
}

fn unsigned(why: Unsigned) -> Refusal {
    match why {
        Unsigned::Missing => Refusal::no_signature(),
        Unsigned::Expired => Refusal::expired(),
        Unsigned::Malformed | Unsigned::Wrong => Refusal::auth_failure(),
    }
}

/// The answer to something done.
fn done(action: &str, node: Node, id: &str) -> String {
    let root = format!("{action}Response");
    let attribute = |(namespace, _): (&str, &str)| format!(" xmlns=\"{namespace}\"");
    if action == "GetCallerIdentity" {
        let content = Node::fields([
            ("GetCallerIdentityResult", node),
            (
                "ResponseMetadata",
                Node::fields([("RequestId", Node::text(id))]),
            ),
        ]);
        return document(&root, &attribute(STS), &content);
    }
    let mut fields = vec![("requestId", Node::text(id))];
    if let Node::Fields(more) = node {
        fields.extend(more);
    }
    document(&root, &attribute(EC2), &Node::Fields(fields))
}

/// The answer to something refused.
fn refused(refusal: &Refusal, service: Service, id: &str) -> String {
    let code = ("Code", Node::text(refusal.code));
    let message = ("Message", Node::text(&refusal.message));
    match service {
        Service::Ec2 => {
            let error = Node::fields([("Error", Node::fields([code, message]))]);
            let content = Node::fields([("Errors", error), ("RequestID", Node::text(id))]);
            document("Response", "", &content)
        }
        Service::Sts => {
            let error = Node::fields([("Type", Node::text("Sender")), code, message]);
            let content = Node::fields([("Error", error), ("RequestId", Node::text(id))]);
            let (namespace, _) = STS;
            document(
                "ErrorResponse",
                &format!(" xmlns=\"{namespace}\""),
                &content,
            )
        }
    }
}

fn respond(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let set = [
        (CONTENT_TYPE, "text/xml;charset=UTF-8"),
        (HeaderName::from_static("cache-control"), "no-store"),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
    ];
    for (name, value) in set {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_to_another_name_is_not_meant_for_this_endpoint() {
        let names = Names::new(["Sg.Example.net".to_owned()]);
        for host in [
            "localhost:8790",
            "127.0.0.1:8790",
            "[::1]:8790",
            "[::1]",
            "10.0.0.1",
            "sg.example.net",
            "sg.example.net:443",
        ] {
            assert!(names.has(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example:8790",
            "sg.example.net.evil:1",
        ] {
            assert!(!names.has(host), "{host}");
        }
    }
}
