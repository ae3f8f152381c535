//! Pictures as they are drawn and printed.

use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use sg_ctl::host::dataplane::ImageInfo;
use sg_ctl::host::state::State;
use sg_ctl::host::{Occupancy, Status};

use super::*;
use crate::verb::output::event::tests::view;
use crate::verb::output::flow::tests::{flow, key};
use crate::verb::output::names::tests::numbers;
use crate::verb::status::view::tests::{interface, status};
use crate::verb::top::picture::sheets::scaled;

fn rate(packets: f64, bits: f64) -> Rate {
    Rate {
        packets_per_second: packets,
        bits_per_second: bits,
    }
}

/// Policy 7 on these interfaces.
fn in_force(interfaces: Vec<InterfaceStatus>) -> Status {
    Status {
        image: Some(ImageInfo {
            generation: 7,
            words: 0,
            bytes: 0,
            size_class: 0,
            checksum: 0,
        }),
        ..status(interfaces)
    }
}

/// eth0 with an established flow, and one that has just ended.
fn snapshot() -> Snapshot {
    let mut old = flow(6);
    old.key = key(6, 443, 50000);
    old.entry.bytes = [1, 1];
    let flows = vec![old, flow(6)];
    let mut status = in_force(vec![interface()]);
    status.occupancy = Occupancy::of(&status, &flows);
    Snapshot {
        at: Instant::now(),
        state: State {
            numbers: numbers(),
            ..State::default()
        },
        status,
        flows,
        flow_slots: 524_288,
    }
}

fn rates() -> Rates {
    Rates {
        seconds: 1.0,
        interfaces: vec![InterfaceRates {
            passed: [rate(1500.0, 12_340_000.0), rate(2.0, 960.0)],
            dropped: [rate(0.5, 240.0), Rate::default()],
            audited: [rate(1.0, 480.0), Rate::default()],
            reasons: vec![rate(7.0, 0.0); 4],
        }],
        flows: vec![[Rate::default(); 2], [rate(10.0, 8000.0), rate(1.0, 500.0)]],
    }
}

const ALL: Wanted<'_> = Wanted {
    interface: None,
    flows: 10,
    order: FlowsBy::Bits,
};

fn picture<'a>(snapshot: &'a Snapshot, rates: Option<&Rates>, wanted: &Wanted<'_>) -> Picture<'a> {
    let time = "2026-03-01T12:00:09.000+00:00".to_owned();
    Picture::new(time, snapshot, rates, Some((vec![view()], 0)), wanted)
}

/// What stands on a screen of so many columns and rows after these keys.
fn drawn(picture: &Picture<'_>, keys: &[KeyCode], (width, height): (u16, u16)) -> Vec<String> {
    let mut screen = Screen::default();
    for key in keys {
        screen.press(KeyEvent::from(*key));
    }
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("memory");
    let drawn = terminal.draw(|frame| draw(frame, picture, &screen));
    let buffer = drawn.expect("memory").buffer;
    let row = |row: u16| {
        let cells = (0..width).map(|column| buffer[(column, row)].symbol());
        cells.collect::<String>().trim_end().to_owned()
    };
    (0..height).map(row).collect()
}

#[test]
fn the_screen_shows_interfaces_flows_and_drops() {
    let snapshot = snapshot();
    let picture = picture(&snapshot, Some(&rates()), &ALL);
    let expected = "\
2026-03-01T12:00:09.000+00:00  policy 7, flows: 2 of 262144 (0 %), events lost: 0, suppressed: 5
── interfaces
INTERFACE  STATE      DIRECTION  PASS/S  DROP/S  AUDIT/S  BIT/S  PASSED  DROPPED
eth0       enforcing  inbound     1.50k     0.5      1.0  12.3M      10        6
eth0       enforcing  outbound      2.0       0        0    960       8        4
── flows by bits per second
INTERFACE  PROTOCOL  LOCAL         REMOTE             STATE        BIT/S-IN  BIT/S-OUT  PACKETS/S-IN
eth0       tcp       10.0.1.5:443  203.0.113.7:40000  established     8.00k        500            10
eth0       tcp       10.0.1.5:443  203.0.113.7:50000  established         0          0             0
── latest drops
TIME          INTERFACE  DIRECTION  REASON   PROTOCOL  SOURCE             DESTINATION   LENGTH
12:00:01.500  eth0       inbound    no-rule  tcp       203.0.113.7:40000  10.0.1.5:443      74

1 everything  2 verdicts  3 flows  4 drops  s order  p pause  ? help  q quit";
    let expected: Vec<_> = expected.lines().collect();
    assert_eq!(drawn(&picture, &[], (100, 14)), expected);
}

#[test]
fn each_key_fills_the_screen_with_its_list() {
    let snapshot = snapshot();
    let picture = picture(&snapshot, Some(&rates()), &ALL);
    let title = |key| drawn(&picture, &[KeyCode::Char(key)], (80, 10))[1].clone();
    assert_eq!(title('2'), "── verdicts by reason");
    assert_eq!(title('3'), "── flows by bits per second");
    assert_eq!(title('4'), "── latest drops");
    let order = [KeyCode::Char('3'), KeyCode::Char('s')];
    assert_eq!(
        drawn(&picture, &order, (80, 10))[1],
        "── flows by packets per second"
    );
    assert!(drawn(&picture, &[KeyCode::Char('?')], (80, 12))[1].starts_with("1  everything"));
    assert!(drawn(&picture, &[KeyCode::Char('p')], (120, 10))[0].ends_with("PAUSED"));
}

#[test]
fn one_looks_down_a_list_to_its_end() {
    let snapshot = snapshot();
    let picture = picture(&snapshot, Some(&rates()), &ALL);
    let reasons = |downs: usize| {
        let mut keys = vec![KeyCode::Char('2')];
        keys.extend([KeyCode::Down].repeat(downs));
        // Room for two rows.
        let rows = drawn(&picture, &keys, (80, 6));
        [3, 4].map(|row: usize| rows[row].split_whitespace().nth(3).map(str::to_owned))
    };
    let words = |words: [&str; 2]| words.map(|word| Some(word.to_owned()));
    assert_eq!(reasons(0), words(["established", "no-rule"]));
    assert_eq!(reasons(1), words(["no-rule", "malformed-tcp"]));
    assert_eq!(reasons(9), words(["malformed-tcp", "no-rule"]));
}

#[test]
fn screens_of_all_sizes_are_drawn_on() {
    let snapshot = snapshot();
    let picture = picture(&snapshot, Some(&rates()), &ALL);
    for size in [(1, 1), (10, 3), (80, 5), (200, 60)] {
        for key in ['1', '2', '3', '4', '?'] {
            drawn(&picture, &[KeyCode::Char(key)], size);
        }
    }
}

#[test]
fn without_interfaces_it_waits() {
    let snapshot = Snapshot {
        status: in_force(vec![]),
        flows: vec![],
        ..snapshot()
    };
    let picture = picture(&snapshot, None, &ALL);
    assert!(picture.is_empty());
    assert_eq!(
        drawn(&picture, &[], (80, 5))[1],
        "no interface is attached: waiting"
    );
}

#[test]
fn what_cannot_be_listed_is_told() {
    let mut snapshot = snapshot();
    snapshot.status.interfaces[0].log = LogMode::Off;
    let time = "2026-03-01T12:00:09.000+00:00".to_owned();
    let picture = Picture::new(time, &snapshot, None, None, &ALL);
    let notes = picture.notes().join("\n");
    assert!(
        notes.contains("eth0: drops are counted and not listed"),
        "{notes}"
    );
    assert!(notes.contains("no agent runs here"), "{notes}");
    assert_eq!(drawn(&picture, &[], (80, 9))[1], picture.notes()[0]);
}

#[test]
fn only_one_interface_is_shown_when_only_one_is_wanted() {
    let mut snapshot = snapshot();
    snapshot.flows[0].interface = "eth1".into();
    let wanted = |interface| Wanted { interface, ..ALL };
    let of_eth1 = picture(&snapshot, Some(&rates()), &wanted(Some("eth1")));
    assert!(of_eth1.is_empty());
    assert_eq!(of_eth1.flows().rows.len(), 1);
    let of_eth0 = picture(&snapshot, Some(&rates()), &wanted(Some("eth0")));
    assert_eq!(of_eth0.flows().rows.len(), 1);
    assert_eq!(of_eth0.interfaces().rows.len(), 2);
}

#[test]
fn of_many_flows_the_first_are_shown() {
    let mut snapshot = snapshot();
    snapshot.flows = (0..100)
        .map(|port| {
            let mut flow = flow(6);
            flow.key = key(6, 443, port);
            flow.age = Duration::from_secs(1);
            flow
        })
        .collect();
    let mut rates = rates();
    rates.flows = (0..100)
        .map(|number| {
            [
                rate(f64::from(100 - number), f64::from(number)),
                Rate::default(),
            ]
        })
        .collect();
    let remotes = |order| {
        let wanted = Wanted {
            flows: 2,
            order,
            ..ALL
        };
        let picture = picture(&snapshot, Some(&rates), &wanted);
        let rows = picture.flows().rows;
        rows.iter()
            .map(|row| row[3].text.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(remotes(FlowsBy::Bits), ["203.0.113.7:99", "203.0.113.7:98"]);
    assert_eq!(
        remotes(FlowsBy::Packets),
        ["203.0.113.7:0", "203.0.113.7:1"]
    );
}

#[test]
fn text_has_everything_and_cuts_nothing_off() {
    let snapshot = snapshot();
    let text = picture(&snapshot, None, &ALL).text();
    let plain = anstream::adapter::strip_str(&text).to_string();
    let lines: Vec<_> = plain.lines().collect();
    // Without a second look there are no rates.
    assert_eq!(
        lines[3],
        "eth0       enforcing  inbound         -       -        -      -      10        6"
    );
    for words in [
        "eth0       outbound   deny     no-rule                -      -        4    240",
        "203.0.113.7:40000  established         -          -             -              -  65200",
        "12:00:01.500  eth0       inbound    no-rule  tcp       203.0.113.7:40000  10.0.1.5:443",
    ] {
        assert!(plain.contains(words), "{words}\n{plain}");
    }
}

#[test]
fn json_has_amounts_and_rates() {
    let snapshot = snapshot();
    let json = serde_json::to_value(picture(&snapshot, Some(&rates()), &ALL)).expect("JSON");
    assert_eq!(json["interval_ms"], 1000);
    assert_eq!(json["flow_table"]["live"], 2);
    assert_eq!(
        json["interfaces"][0]["inbound"]["dropped"],
        serde_json::json!({
            "packets": 6,
            "bytes": 360,
            "packets_per_second": 0.5,
            "bits_per_second": 240.0,
        })
    );
    assert_eq!(json["interfaces"][0]["reasons"][1]["reason"], "no-rule");
    assert_eq!(json["flows"][0]["remote_port"], 40000);
    assert_eq!(json["flows"][0]["in"]["bits_per_second"], 8000.0);
    assert_eq!(json["drops"][0]["reason"], "no-rule");
}

#[test]
fn rates_have_three_digits() {
    for (rate, text) in [
        (0.0, "0"),
        (0.04, "0.0"),
        (0.4, "0.4"),
        (9.97, "10"),
        (12.3, "12"),
        (999.4, "999"),
        (999.6, "1.00k"),
        (1234.0, "1.23k"),
        (99_960.0, "100k"),
        (45_600_000.0, "45.6M"),
        (1.5e9, "1.50G"),
        (2.5e15, "2500T"),
    ] {
        assert_eq!(scaled(Some(rate)), text);
    }
    assert_eq!(scaled(None), "-");
}
