//! What every request passes, and what every answer carries.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::header::{
    CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderName, LOCATION, ORIGIN, SET_COOKIE,
};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Response, StatusCode};
use maud::{Markup, html};

use super::look::{self, Page};
use super::{Hosts, Scene};
use crate::api::form::Form;
use crate::api::refusal::Refusal;

/// Most bytes of a form.
const MOST_BYTES: usize = 1 << 20;
/// Time in which a form must come.
const PATIENCE: Duration = Duration::from_secs(10);
/// What pages may load: what comes from here.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// An answer.
pub(super) struct Reply {
    status: StatusCode,
    kind: &'static str,
    body: Body,
    location: Option<String>,
    cookie: Option<String>,
}

impl Reply {
    /// A page.
    pub(super) fn page(status: StatusCode, page: Markup) -> Self {
        Self {
            status,
            kind: "text/html;charset=UTF-8",
            body: Body::from(page.into_string()),
            location: None,
            cookie: None,
        }
    }

    /// What goes on and on.
    pub(super) fn stream(body: Body) -> Self {
        Self {
            kind: "text/event-stream;charset=UTF-8",
            body,
            ..Self::page(StatusCode::OK, html! {})
        }
    }

    /// Another address to look at.
    pub(super) fn to(address: &str) -> Self {
        Self {
            location: Some(address.to_owned()),
            ..Self::page(StatusCode::SEE_OTHER, html! {})
        }
    }

    /// Sets the session's cookie, or ends it when it is empty.
    pub(super) fn with_cookie(mut self, value: &str, is_plain: bool) -> Self {
        let name = cookie_name(is_plain);
        let secure = if is_plain { "" } else { "; Secure" };
        let age = if value.is_empty() { "; Max-Age=0" } else { "" };
        self.cookie = Some(format!(
            "{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{age}"
        ));
        self
    }

    /// The answer as HTTP has it.
    pub(super) fn response(self) -> Response<Body> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let fixed = [
            (CONTENT_TYPE, self.kind),
            (HeaderName::from_static("cache-control"), "no-store"),
            (HeaderName::from_static("content-security-policy"), POLICY),
            (
                HeaderName::from_static("cross-origin-opener-policy"),
                "same-origin",
            ),
            (HeaderName::from_static("referrer-policy"), "same-origin"),
            (HeaderName::from_static("x-content-type-options"), "nosniff"),
        ];
        for (name, value) in fixed {
            headers.insert(name, HeaderValue::from_static(value));
        }
        for (name, value) in [(LOCATION, self.location), (SET_COOKIE, self.cookie)] {
            if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
                headers.insert(name, value);
            }
        }
        response
    }
}

/// `__Host-` wants encryption.
const fn cookie_name(is_plain: bool) -> &'static str {
    if is_plain { "sg" } else { "__Host-sg" }
}

/// What the session's cookie holds.
pub(super) fn cookie(headers: &HeaderMap, is_plain: bool) -> String {
    let name = cookie_name(is_plain);
    let texts = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut pairs = texts
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    let found = pairs.find(|(key, _)| *key == name);
    found.map(|(_, value)| value.to_owned()).unwrap_or_default()
}

/// Refuses what no page of this console sends.
pub(super) fn check(head: &Parts, hosts: &Hosts, is_plain: bool) -> Result<(), Refusal> {
    let text = |name: HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(HOST).unwrap_or_default();
    if !hosts.has(host) {
        return Err(Refusal::foreign(
            "This console has another name: add it with --name",
        ));
    }
    if head.method == Method::GET || head.method == Method::HEAD {
        return Ok(());
    }
    if head.method != Method::POST {
        return Err(Refusal::foreign(
            "Pages are read with GET and changed with POST",
        ));
    }
    let scheme = if is_plain { "http" } else { "https" };
    let site = text(HeaderName::from_static("sec-fetch-site"));
    let is_own = text(ORIGIN) == Some(&format!("{scheme}://{host}"));
    if !is_own || site.is_some_and(|site| site != "same-origin") {
        return Err(Refusal::foreign(
            "Other web pages may not change anything here",
        ));
    }
    Ok(())
}

/// Reads a form.
pub(super) async fn form(body: Body) -> Result<Form, Refusal> {
    match tokio::time::timeout(PATIENCE, to_bytes(body, MOST_BYTES)).await {
        Ok(Ok(bytes)) => Form::parse("", &bytes),
        Ok(Err(_)) => Err(Refusal::too_large()),
        Err(_) => Err(Refusal::bad("The form did not come in time.")),
    }
}

/// The parts of a path.
pub(super) fn segments(path: &str) -> Vec<&str> {
    path.split('/').filter(|part| !part.is_empty()).collect()
}

/// A file that pages load.
pub(super) fn asset(name: &str) -> Reply {
    let (kind, text) = match name {
        "style.css" => ("text/css;charset=UTF-8", look::STYLE),
        "script.js" => ("text/javascript;charset=UTF-8", look::SCRIPT),
        "icon.svg" => ("image/svg+xml", look::ICON),
        _ => return Reply::page(StatusCode::NOT_FOUND, html! { "There is no such file." }),
    };
    Reply {
        kind,
        body: Body::from(text),
        ..Reply::page(StatusCode::OK, html! {})
    }
}

/// The page on which sessions begin.
pub(super) fn sign_in_page(key: &str, fault: Option<&str>) -> Markup {
    look::bare(
        "Sign in",
        &html! {
            div.sign-in {
                img src="/console/icon.svg" alt="" width="44" height="44";
                h1 { "Sign in to sg" }
                p.quiet { "Security groups of this host" }
                @if let Some(fault) = fault { div.notice.refused role="alert" #fault { (fault) } }
                form.card method="post" action="/sign-in" {
                    div.field { label for="key" { "Key id" }
                        input #key name="key" value=(key) autocomplete="username" spellcheck="false" required placeholder="AKID…"; }
                    div.field { label for="secret" { "Secret" }
                        input #secret name="secret" type="password" autocomplete="current-password" required; }
                    button.primary type="submit" { "Sign in" }
                }
                p.quiet { "The same key as for the API. On the host itself, " code { "sg-ctl console" } " prints a link that needs none." }
            }
        },
    )
}

/// A page for what was never there.
pub(super) fn not_found(scene: &Scene) -> Reply {
    missing(scene, "There is no such page.")
}

/// A page for a group that is gone.
pub(super) fn gone(scene: &Scene, id: &str) -> Reply {
    missing(
        scene,
        &format!("There is no security group {id}. It may have been deleted meanwhile."),
    )
}

fn missing(scene: &Scene, text: &str) -> Reply {
    let page = Page {
        title: "Not found",
        place: "",
        trail: &[],
        acts: html! {},
        notice: None,
        body: look::empty(
            "Nothing is here",
            text,
            &html! { a.button href="/groups" { "Security groups" } },
        ),
    };
    Reply::page(StatusCode::NOT_FOUND, page.html(scene))
}
