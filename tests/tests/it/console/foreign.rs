//! A web page from elsewhere, in the browser of somebody who is signed in.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
};

use sg_tests::{netns::Namespace, sg_ctl::SgCtl, topology::Network};

use super::{URL, browser, serve};

/// What such a page tries. Ports make no other site, so its requests carry the console's cookie.
const PAGE: &str = r#"<!doctype html><title>Elsewhere</title>
<form id="form" method="post" action="http://127.0.0.1:8790/groups/new">
<input name="csrf" value="0"><input name="name" value="made"><input name="description" value="d"><input name="step" value="save"></form>
<script type="module">
const console_ = "http://127.0.0.1:8790";
const post = (path, body) => fetch(console_ + path, { method: "POST", mode: "no-cors", credentials: "include",
    headers: { "Content-Type": "application/x-www-form-urlencoded" }, body });
await post("/", "Action=CreateSecurityGroup&Version=2016-11-15&GroupName=made&GroupDescription=d");
await post("/groups/new", "csrf=0&name=made&description=d&step=save");
await post("/groups/new", "name=made&description=d&step=save");
await post("/sign-out", "csrf=0");
const refused = async (ask) => { try { await ask(); return false; } catch { return true; } };
window.unread = await refused(() => fetch(console_ + "/groups", { credentials: "include" }))
    && await refused(() => fetch(console_ + "/traffic/events", { credentials: "include" }));
window.sent = true;
</script>"#;

/// Answers every request with the page, for as long as the test runs.
fn elsewhere(namespace: &Namespace) {
    let listener = namespace.enter(|| TcpListener::bind("127.0.0.1:8999"));
    let listener = listener.expect("the port is free");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close";
            let length = PAGE.len();
            let answer = format!("{head}\r\nContent-Length: {length}\r\n\r\n{PAGE}");
            // A browser asks for icons, too, and may be gone before they come.
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
}

#[test]
fn a_page_from_elsewhere_reads_nothing_and_changes_nothing() {
    let network = Network::new(&["app", "db"]);
    let namespace = &network.router;
    let sg = SgCtl::new(namespace);
    let _serving = serve(&sg);
    let browser = browser(&sg, namespace);
    elsewhere(namespace);
    browser.open("http://127.0.0.1:8999/");
    browser.wait("window.sent");
    assert_eq!(browser.run("return window.unread"), true);
    // A form needs no script, and takes the browser along.
    browser.run("document.getElementById('form').submit()");
    browser.wait("document.title.startsWith('Refused')");
    assert!(!sg.ok(&["show", "groups"]).contains("made"));
    browser.open(&format!("{URL}/groups"));
    assert_eq!(browser.text("h1"), "Security groups", "still signed in");
}

#[test]
fn a_session_ends_with_its_key() {
    let network = Network::new(&["app", "db"]);
    let sg = SgCtl::new(&network.router);
    let serving = serve(&sg);
    let browser = browser(&sg, &network.router);
    browser.open(&format!("{URL}/groups/new"));
    browser.fill("#name", "late");
    browser.fill("#description", "After the end");
    let path = sg.directory().join("state/keys.json");
    let text = std::fs::read_to_string(&path).expect("keys");
    let ended = text.replace(
        "\"admin\",\n    \"name\"",
        "\"admin\",\n    \"expires\": 1,\n    \"name\"",
    );
    assert_ne!(ended, text, "the key expires now");
    std::fs::write(&path, ended).expect("the file is ours");
    serving.signal(nix::sys::signal::Signal::SIGHUP);
    // It is read when its turn comes.
    let again = "fetch('/groups').then((answer) => { window.ended = answer.redirected })";
    sg_tests::eventually("the end of the session", || {
        browser.run(again);
        (browser.run("return window.ended === true") == true).then_some(())
    });
    browser.follow(".acts.end .primary");
    assert_eq!(browser.text("h1"), "Sign in to sg");
    assert!(!sg.ok(&["show", "groups"]).contains("late"));
}
