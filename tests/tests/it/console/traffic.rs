//! What moves: verdicts as they fall, and what a change does to flows that are alive.

use sg_tests::{
    sg_ctl::SgCtl,
    topology::Network,
    traffic::{Connection, Server, tcp_is_silent},
};

use super::{URL, browser, guarded, serve};

#[test]
fn traffic_says_when_the_host_is_lost_and_when_the_session_is() {
    let network = Network::new(&["app", "db"]);
    let sg = SgCtl::new(&network.router);
    guarded(&sg, &network);
    let serving = serve(&sg);
    let browser = browser(&sg, &network.router);
    browser.open(&format!("{URL}/traffic"));
    browser.wait("document.querySelector('[data-live]').innerText === 'Live'");
    drop(serving);
    browser.wait("document.querySelector('[data-live]').innerText.includes('does not answer')");
    // Sessions live in memory.
    let _serving = serve(&sg);
    browser.wait("document.querySelector('[data-live]').innerText.includes('session has ended')");
}

#[test]
fn verdicts_are_shown_as_they_fall_and_again_after_the_agent_was_away() {
    let network = Network::new(&["app", "db"]);
    let [app, db] = network.hosts();
    let sg = SgCtl::new(&network.router);
    guarded(&sg, &network);
    // A stranger, whom the default group does not know.
    sg.ok(&["detach", "app"]);
    let _serving = serve(&sg);
    let browser = browser(&sg, &network.router);
    browser.open(&format!("{URL}/traffic"));
    browser.wait("document.querySelector('[data-said]').innerText.includes('No agent runs')");

    let agent = sg.start(&["agent"]);
    browser.wait("document.querySelector('[data-said]').innerText.startsWith('Live')");
    assert!(tcp_is_silent(&app.namespace, db.v4, 3306));
    let shows = |port: u16| {
        let end = format!("{}:{port}", db.v4);
        format!(
            "[...document.querySelectorAll('[data-lines] tr')].find((row) => row.innerText.includes('{end}'))"
        )
    };
    browser.wait(&shows(3306));
    let row = browser.run(&format!("return {}.innerText", shows(3306)));
    let row = row.as_str().unwrap_or_default();
    for part in ["✕ deny", "no-rule", "TCP", &app.v4.to_string(), "inbound"] {
        assert!(row.contains(part), "{part}: {row}");
    }
    // What is filtered away is there again without it.
    let is_hidden = format!("return {}.hidden", shows(3306));
    // Not by keys: a menu takes what follows soon for the same word.
    let choose = |verdict: &str| {
        browser.run(&format!(
            "const menu = document.getElementById('verdict');
             menu.value = '{verdict}';
             menu.dispatchEvent(new Event('change', {{ bubbles: true }}));"
        ));
    };
    choose("allow");
    assert_eq!(browser.run(&is_hidden), true);
    choose("deny");
    assert_eq!(browser.run(&is_hidden), false);
    browser.fill("#q", "nothing has this");
    assert_eq!(browser.run(&is_hidden), true);
    browser.fill("#q", "3306");
    assert_eq!(browser.run(&is_hidden), false);
    browser.fill("#q", "");

    drop(agent);
    browser.wait("document.querySelector('[data-said]').innerText.includes('No agent runs')");
    let _agent = sg.start(&["agent"]);
    browser.wait("document.querySelector('[data-said]').innerText.startsWith('Live')");
    assert!(tcp_is_silent(&app.namespace, db.v4, 3307));
    browser.wait(&shows(3307));

    // A pause misses nothing.
    browser.click("[data-pause]");
    browser.wait("document.querySelector('[data-said]').innerText.startsWith('Paused')");
    assert!(tcp_is_silent(&app.namespace, db.v4, 3308));
    assert_eq!(browser.run(&format!("return !{}", shows(3308))), true);
    browser.click("[data-pause]");
    browser.wait(&shows(3308));
    browser.follow("[data-lines] tr:first-child a[href^='/why']");
    assert!(browser.text(".answer h2").contains("dropped"));
}

#[test]
fn a_preview_names_the_live_flows_that_lose_their_rule() {
    let network = Network::new(&["app", "db"]);
    let [app, db] = network.hosts();
    let sg = SgCtl::new(&network.router);
    guarded(&sg, &network);
    let _serving = serve(&sg);
    let browser = browser(&sg, &network.router);
    let group = super::pages::make(
        &browser,
        "data",
        &[
            ["MySQL/Aurora", "", "198.51.100.0/24", "Queries"],
            ["SSH", "", "198.51.100.0/24", "Operators"],
        ],
        "Data",
    );
    sg.ok(&["detach", "db"]);
    let address = db.v4.to_string();
    sg.ok(&[
        "attach",
        "db",
        "--side",
        "workload",
        "--address",
        &address,
        "--group",
        "data",
    ]);
    let _server = Server::tcp(&db.namespace, 3306);
    // From a side that is not guarded: the rules of one interface alone are asked.
    sg.ok(&["detach", "app"]);
    let mut flow = Connection::open(&app.namespace, db.v4, 3306).expect("a rule admits it");
    flow.exchange("select 1").expect("an answer");

    browser.open(&format!("{URL}/groups/{group}/inbound"));
    let preview = || {
        browser.follow(".acts.end button:not(.primary)");
        browser.text(".preview")
    };
    browser.fill("[id='in.1.text']", "Other words");
    assert!(!preview().contains("live flow"), "words lose no flow");
    browser.click(".rows .row:first-child .remove");
    let said = preview();
    let end = format!("{}:3306", db.v4);
    for part in ["1 live flow loses its rule", &end, "on db"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    browser.follow(".acts.end .primary");
    flow.exchange("select 2")
        .expect("what is open goes on, as the preview says");
}
