//! Who gets in, and who does not.

use sg_tests::{netns::Namespace, sg_ctl::SgCtl, topology::Network};

use super::{key, request, serve};

const GET: &str = "GET /groups HTTP/1.1\r\nHost: localhost";

/// Signs in with a link; returns the cookie.
fn sign_in(sg: &SgCtl<'_>, namespace: &Namespace) -> (String, String) {
    let link = sg.ok(&["console"]);
    let path = link
        .trim()
        .split_once("8790")
        .map(|(_, path)| path.to_owned());
    let path = path.expect("a link to the console");
    let (status, answer) = request(
        namespace,
        &format!("GET {path} HTTP/1.1\r\nHost: localhost"),
        "",
    );
    assert_eq!(status, 303, "{answer}");
    let cookie = answer
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "));
    let cookie = cookie.expect("a cookie").to_owned();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let (status, _) = request(
        namespace,
        &format!("GET {path} HTTP/1.1\r\nHost: localhost"),
        "",
    );
    assert_eq!(
        status, 200,
        "a link works once: the second time is the page to sign in"
    );
    (
        cookie.split(';').next().unwrap_or_default().to_owned(),
        path,
    )
}

#[test]
fn without_session_token_or_name_nothing_is_shown_and_nothing_changes() {
    let network = Network::new(&["app", "db"]);
    let namespace = &network.router;
    let sg = SgCtl::new(namespace);
    let _serving = serve(&sg);
    let browser = "GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html,*/*";
    let (status, answer) = request(namespace, browser, "");
    assert!(
        status == 303 && answer.contains("location: /groups"),
        "{answer}"
    );
    let (status, answer) = request(namespace, GET, "");
    assert_eq!(status, 303);
    assert!(answer.contains("location: /sign-in"));
    for part in [
        "default-src 'none'",
        "frame-ancestors 'none'",
        "nosniff",
        "no-store",
    ] {
        assert!(answer.contains(part), "{part}: {answer}");
    }
    let (cookie, _) = sign_in(&sg, namespace);
    let (status, page) = request(namespace, &format!("{GET}\r\nCookie: {cookie}"), "");
    assert_eq!(status, 200);
    let token = page
        .split("name=\"csrf\" value=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let token = token.expect("forms have a token").to_owned();

    let form = |token: &str| format!("csrf={token}&name=made&description=d&step=save");
    let post = |host: &str, more: &str, token: &str| {
        let head = format!("POST /groups/new HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}{more}");
        request(namespace, &head, &form(token)).0
    };
    let own = "\r\nOrigin: http://localhost";
    assert_eq!(post("localhost", own, "wrong"), 403, "another token");
    assert_eq!(post("localhost", "", &token), 403, "no origin");
    assert_eq!(
        post("localhost", "\r\nOrigin: http://evil.example", &token),
        403,
        "another origin"
    );
    assert_eq!(
        post("localhost", "\r\nOrigin: null", &token),
        403,
        "an origin without a name"
    );
    assert_eq!(
        post(
            "localhost",
            "\r\nOrigin: http://localhost\r\nSec-Fetch-Site: cross-site",
            &token
        ),
        403
    );
    assert_eq!(
        post("evil.example", "\r\nOrigin: http://evil.example", &token),
        403,
        "a rebound name"
    );
    assert!(!sg.ok(&["show", "groups"]).contains("made"));
    assert_eq!(post("localhost", own, &token), 303);
    assert!(sg.ok(&["show", "groups"]).contains("made"));

    let head = format!("POST /sign-out HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}{own}");
    assert_eq!(request(namespace, &head, &format!("csrf={token}")).0, 303);
    assert_eq!(
        request(namespace, &format!("{GET}\r\nCookie: {cookie}"), "").0,
        303
    );
    assert_eq!(
        post("localhost", own, &token),
        303,
        "to the page to sign in"
    );
}

#[test]
fn wrong_secrets_have_to_wait_and_keys_that_only_read_change_nothing() {
    let network = Network::new(&["app", "db"]);
    let namespace = &network.router;
    let sg = SgCtl::new(namespace);
    let serving = serve(&sg);
    let (id, _) = key(&sg);
    let head = "POST /sign-in HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost";
    let tries = (0..6).map(|_| request(namespace, head, &format!("key={id}&secret=wrong")).0);
    let tries: Vec<_> = tries.collect();
    assert_eq!(tries[..5], [401; 5]);
    // The wait after the fifth is a second, which a busy machine may take for the sixth.
    assert!([401, 429].contains(&tries[5]), "{tries:?}");

    let path = sg.directory().join("state/keys.json");
    let text = std::fs::read_to_string(&path).expect("keys");
    std::fs::write(&path, text.replace("\"admin\"", "\"read\"")).expect("the file is ours");
    drop(serving);
    let _serving = serve(&sg);
    let (cookie, _) = sign_in(&sg, namespace);
    let (_, page) = request(namespace, &format!("{GET}\r\nCookie: {cookie}"), "");
    assert!(page.contains("read only") && !page.contains("Create security group"));
    let token = page
        .split("name=\"csrf\" value=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let head = format!(
        "POST /groups/new HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nOrigin: http://localhost"
    );
    let body = format!(
        "csrf={}&name=made&description=d&step=save",
        token.unwrap_or_default()
    );
    let (_, page) = request(namespace, &head, &body);
    assert!(page.contains("You are not authorized"), "{page}");
    assert!(!sg.ok(&["show", "groups"]).contains("made"));
}

#[test]
fn secrets_are_printed_on_a_terminal_and_kept_out_of_a_journal() {
    let network = Network::new(&["app", "db"]);
    let sg = SgCtl::new(&network.router);
    // As a service manager starts them: one says it on standard output, the other beside its log.
    let mut serving = sg.start(&["serve"]);
    let said: Vec<_> = (0..3).map(|_| serving.line()).collect();
    let (id, secret) = key(&sg);
    let said = said.join("\n");
    for part in ["EC2 endpoint", "/groups", "`sg-ctl console --key`"] {
        assert!(said.contains(part), "{said}");
    }
    assert!(!said.contains(&secret) && !said.contains("link="), "{said}");
    drop(serving);

    let path = sg.directory().join("state/keys.json");
    std::fs::remove_file(&path).expect("it is ours");
    let mut agent = sg.start_for_notes(&["agent", "--api", "127.0.0.1:8790"]);
    let mut said = Vec::new();
    while !said
        .last()
        .is_some_and(|line: &String| line.starts_with("keys"))
    {
        said.push(agent.line());
    }
    let (_, other) = key(&sg);
    assert_ne!(other, secret, "another key was made");
    let said = said.join("\n");
    assert!(!said.contains(&other) && !said.contains("link="), "{said}");
    drop(agent);

    // Root has it when he asks.
    std::fs::remove_file(&path).expect("it is ours");
    let told = sg.fails(1, &["console", "--key"]);
    assert!(told.contains("makes the first key"), "{told}");
    let mut serving = sg.start_on_terminal(200, &["serve"]);
    serving.shows("link=");
    serving.shows("describe-security-groups");
    let (_, secret) = key(&sg);
    let told = sg.ok(&["console", "--key", "--url", "http://127.0.0.1:1"]);
    for part in [
        id.get(..4).unwrap_or_default(),
        &secret,
        "http://127.0.0.1:1 --profile sg",
    ] {
        assert!(told.contains(part), "{told}");
    }
}
