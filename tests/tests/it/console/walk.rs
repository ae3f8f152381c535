//! From no group to a group that refers to another, as AWS's console has taught it.

use serde_json::json;
use sg_tests::{
    browser::Browser,
    sg_ctl::SgCtl,
    topology::Network,
    traffic::{Connection, Server, tcp_is_silent},
};

use super::{URL, browser, guarded, serve};

/// Adds a row to the rules of one direction and fills it; empty texts leave a field as it is.
fn add_rule(browser: &Browser<'_>, side: &str, [kind, origin, source, text]: [&str; 4]) {
    browser.click(&format!("[data-add={side}]"));
    let row = format!("[data-rows={side}] .row:last-child");
    browser.fill(&format!("{row} [data-type]"), kind);
    if !origin.is_empty() {
        browser.fill(&format!("{row} [data-origin]"), origin);
    }
    if !source.is_empty() {
        browser.fill(&format!("{row} .source input"), source);
    }
    browser.fill(&format!("{row} .text input"), text);
}

fn create(browser: &Browser<'_>, name: &str, description: &str, rules: &[[&str; 4]]) -> String {
    browser.open(&format!("{URL}/groups"));
    browser.follow("a.primary");
    browser.fill("#name", name);
    browser.fill("#description", description);
    for rule in rules {
        add_rule(browser, "in", *rule);
    }
    browser.click("[data-add=tag]");
    browser.fill("[id='tag.1.key']", "Name");
    browser.fill("[id='tag.1.value']", name);
    browser.follow(".acts.end .primary");
    assert_eq!(browser.text(".notice"), "The security group was created.");
    assert_eq!(browser.text("h1"), name);
    browser.text(".summary code")
}

fn carry(browser: &Browser<'_>, interface: usize, group: &str) {
    browser.open(&format!("{URL}/interfaces"));
    let row = format!("tbody tr:nth-child({interface})");
    browser.click(&format!("{row} summary"));
    let script = format!(
        "for (const box of document.querySelectorAll({}))
            if (box.checked !== (box.value === {})) box.click()",
        json!(format!("{row} input[type=checkbox]")),
        json!(group)
    );
    browser.run(&script);
    browser.follow(&format!("{row} button.primary"));
    assert!(
        browser.text(".notice").contains("They are in force."),
        "{}",
        browser.text("main")
    );
}

#[test]
fn the_walk_ends_with_a_packet_that_passes_after_save_and_not_before() {
    let network = Network::new(&["app", "db"]);
    let [app, db] = network.hosts();
    let sg = SgCtl::new(&network.router);
    guarded(&sg, &network);
    let _serving = serve(&sg);
    let browser = browser(&sg, &network.router);

    let https = [
        ["HTTPS", "Anywhere-IPv4", "", "HTTPS from everywhere"],
        ["HTTP", "Anywhere-IPv4", "", "HTTP from everywhere"],
    ];
    let web = create(
        &browser,
        "our-learning-sg-https",
        "Allows HTTPS and HTTP",
        &https,
    );
    let mysql = [["MySQL/Aurora", "", "10.0.1.0/24", "MySQL from the subnet"]];
    let data = create(&browser, "our-learning-sg-mysql", "Allows MySQL", &mysql);
    let interfaces = browser_interfaces(&browser);
    carry(&browser, interfaces[0], &web);
    carry(&browser, interfaces[1], &data);

    let _server = Server::tcp(&db.namespace, 3306);
    assert!(tcp_is_silent(&app.namespace, db.v4, 3306));
    browser.open(&format!("{URL}/groups/{data}"));
    browser.follow(".bar .primary");
    assert_eq!(browser.text("h1"), "Edit inbound rules");
    // The type has filled and greyed what it settles.
    assert_eq!(
        browser.run("return document.getElementById('in.1.ports').readOnly"),
        true
    );
    assert_eq!(
        browser.run("return document.getElementById('in.1.ports').value"),
        "3306"
    );
    browser.click(".rows .remove");
    // *My IP* is the address that the browser comes from.
    add_rule(&browser, "in", ["MySQL/Aurora", "My IP", "", ""]);
    assert_eq!(
        browser.run("return document.getElementById('in.1.source').value"),
        "127.0.0.1/32"
    );
    browser.click(".rows .remove");
    add_rule(&browser, "in", ["MySQL/Aurora", "", &web, "MySQL"]);
    assert_eq!(browser.text(".rows .known"), "our-learning-sg-https");
    browser.follow(".acts.end button:not(.primary)");
    let preview = browser.text(".preview");
    for part in [
        "Removed MySQL/Aurora 3306",
        "10.0.1.0/24",
        "Added MySQL/Aurora 3306 our-learning-sg-https",
    ] {
        assert!(preview.contains(part), "{preview}");
    }
    assert!(
        tcp_is_silent(&app.namespace, db.v4, 3306),
        "a preview changes nothing"
    );
    browser.follow(".acts.end .primary");
    assert_eq!(
        browser.text(".notice"),
        "The rules were saved. They are in force."
    );
    let mut connection = Connection::open(&app.namespace, db.v4, 3306).expect("it passes now");
    connection.exchange("select 1").expect("both ways");

    browser.open(&format!("{URL}/groups/{data}"));
    let row = browser.text("tbody tr");
    assert!(
        ["just now", "s ago", "min ago"]
            .iter()
            .any(|ago| row.contains(ago)),
        "the rule was hit: {row}"
    );
    browser.open(&format!("{URL}/groups/{web}?tab=references"));
    assert!(browser.text("tbody").contains("our-learning-sg-mysql"));
    browser.open(&format!("{URL}/groups/{data}?tab=changes"));
    assert!(browser.text("tbody").contains("EditSecurityGroupRules"));
}

/// The rows of the interfaces `app` and `db` on their page.
fn browser_interfaces(browser: &Browser<'_>) -> [usize; 2] {
    browser.open(&format!("{URL}/interfaces"));
    let first = browser.text("tbody tr:first-child th");
    if first.contains("/app") {
        [1, 2]
    } else {
        [2, 1]
    }
}

#[test]
fn two_tabs_of_one_group_do_not_undo_each_other() {
    let network = Network::new(&["app", "db"]);
    let sg = SgCtl::new(&network.router);
    let _serving = serve(&sg);
    let browser = browser(&sg, &network.router);
    let group = create(
        &browser,
        "shared",
        "Two people edit it",
        &[["SSH", "", "192.0.2.0/24", ""]],
    );
    let editor = format!("{URL}/groups/{group}/inbound");
    browser.open(&editor);
    let first = browser.new_tab();
    browser.open(&editor);
    add_rule(
        &browser,
        "in",
        ["HTTPS", "Anywhere-IPv4", "", "of the second tab"],
    );
    browser.follow(".acts.end .primary");
    browser.turn_to(&first);
    add_rule(
        &browser,
        "in",
        ["HTTP", "Anywhere-IPv4", "", "of the first tab"],
    );
    browser.follow(".acts.end .primary");
    let notice = browser.text(".notice");
    assert!(
        notice.contains("Somebody has changed these rules"),
        "{notice}"
    );
    assert!(notice.contains("tcp 443"), "both are shown: {notice}");
    assert_eq!(
        browser.run("return document.getElementById('in.2.text').value"),
        "of the first tab"
    );
    assert!(browser.text(".preview").contains("Removed HTTPS 443"));
}

#[test]
fn a_group_is_created_by_keyboard_alone() {
    const TAB: &str = "\u{e004}";
    const ENTER: &str = "\u{e007}";
    let network = Network::new(&["app", "db"]);
    let sg = SgCtl::new(&network.router);
    let _serving = serve(&sg);
    let browser = browser(&sg, &network.router);
    browser.open(&format!("{URL}/groups/new"));
    let focus_on = |selector: &str| {
        let is_there = format!("return document.activeElement.matches({})", json!(selector));
        for _ in 0..80 {
            if browser.run(&is_there) == true {
                return;
            }
            browser.press(TAB);
        }
        panic!("Tab never comes to {selector}");
    };
    focus_on("#name");
    browser.press("keys");
    focus_on("#description");
    browser.press("By keyboard");
    focus_on("[data-add=in]");
    browser.press(ENTER);
    // The focus is in the new row.
    browser.press("HTTPS");
    focus_on("[id='in.1.source']");
    browser.press("10.9.0.0/16");
    focus_on(".acts.end .primary");
    browser.press(ENTER);
    browser.wait("document.querySelector('.notice.done')");
    assert_eq!(browser.text("h1"), "keys");
    assert!(browser.text("tbody").contains("10.9.0.0/16"));
}
