//! The console in a browser: what people do there, and what the kernel does then.

mod foreign;
mod gate;
mod pages;
mod traffic;
mod walk;

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use serde_json::Value;
use sg_tests::{
    browser::Browser,
    netns::Namespace,
    sg_ctl::{Running, SgCtl},
    topology::{Host, Network},
};

/// Where the console is, in the namespace of its host.
const URL: &str = "http://127.0.0.1:8790";

/// Starts API and console; they answer when this returns.
fn serve(sg: &SgCtl<'_>) -> Running {
    let mut serving = sg.start(&["serve"]);
    serving.line_with(&["EC2 endpoint"]);
    serving
}

/// The id and the secret of the first key.
fn key(sg: &SgCtl<'_>) -> (String, String) {
    let path = sg.directory().join("state/keys.json");
    let text = std::fs::read_to_string(path).expect("keys were made");
    let keys: Value = serde_json::from_str(&text).expect("keys are JSON");
    let field = |name: &str| keys[0][name].as_str().unwrap_or_default().to_owned();
    (field("id"), field("secret"))
}

/// A browser that is signed in.
fn browser<'n>(sg: &SgCtl<'_>, namespace: &'n Namespace) -> Browser<'n> {
    let browser = Browser::start(namespace);
    let (id, secret) = key(sg);
    browser.open(&format!("{URL}/groups"));
    assert_eq!(browser.text("h1"), "Sign in to sg");
    browser.fill("#key", &id);
    browser.fill("#secret", &secret);
    browser.follow("button.primary");
    assert_eq!(browser.text("h1"), "Security groups");
    browser
}

/// Two hosts behind a router that guards both.
fn guarded(sg: &SgCtl<'_>, network: &Network) {
    let [app, db] = network.hosts();
    for Host { name, v4, .. } in [app, db] {
        sg.ok(&[
            "attach",
            name,
            "--side",
            "workload",
            "--address",
            &v4.to_string(),
        ]);
    }
}

/// Sends a request as it stands; returns status and the whole answer.
fn request(namespace: &Namespace, head: &str, body: &str) -> (u16, String) {
    let stream = namespace.enter(|| TcpStream::connect("127.0.0.1:8790"));
    let mut stream = stream.expect("the console listens");
    let text = format!(
        "{head}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (status.unwrap_or_default(), answer)
}
