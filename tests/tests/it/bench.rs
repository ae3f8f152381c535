//! The benchmark measures what it says: every row's frames take the stated path.

use sg_tests::bench::{
    Options, TINY, control, cost,
    veth::{self, attack, flood},
};

#[test]
fn every_row_of_the_benchmark_takes_its_path() {
    let options = Options {
        scale: TINY,
        only: Vec::new(),
    };
    // Each run compares all counters, the verdict and the log with what its row claims.
    let rows = cost::measure(&options).unwrap_or_else(|error| panic!("{error:#}"));
    for row in &rows {
        assert!(row.refused.is_none(), "{row:?}");
        let quiet = row.quiet.expect("it was measured");
        assert!(quiet.min >= 0.0 && quiet.median >= quiet.min, "{row:?}");
        assert_eq!(row.logged.is_some(), row.reason.is_some(), "{row:?}");
    }
    assert!(rows.len() > 50, "{} rows", rows.len());
}

#[test]
fn frames_of_the_benchmark_vary_as_stated() {
    let varied = cost::frames_vary_as_stated();
    assert!(varied.unwrap_or_else(|error| panic!("{error:#}")));
}

#[test]
fn packets_of_the_benchmark_fare_as_stated_between_namespaces() {
    let options = Options {
        scale: TINY,
        only: Vec::new(),
    };
    // Each round compares what was delivered and what sg counted with what was sent.
    let rows = veth::measure(&options).unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(rows.len(), TINY.firewalls.len());
    for row in rows {
        assert!(row.established > 0.0 && row.connections > 0.0, "{row:?}");
    }
}

#[test]
fn a_flood_of_the_benchmark_ends_no_flow_and_takes_no_memory() {
    let options = Options {
        scale: TINY,
        only: Vec::new(),
    };
    let rows = flood::measure(&options).unwrap_or_else(|error| panic!("{error:#}"));
    for row in rows {
        assert_eq!((row.established, row.lost), (2000, 0), "{row:?}");
        let Some(told) = row.told else { continue };
        assert_eq!(told.memory[0], told.memory[1]);
        // What the other side sent meanwhile is established; a random source may come twice.
        let opened = told.inbound["new"];
        assert!((990..=1000).contains(&opened), "{told:?}");
        // Hosts announce themselves when they like.
        let names = told.inbound.keys().copied();
        let names: Vec<_> = names.filter(|name| !name.starts_with("infra")).collect();
        assert_eq!(names, ["established", "new"]);
    }
}

#[test]
fn attacks_of_the_benchmark_meet_connections_that_are_served_before() {
    let options = Options {
        scale: TINY,
        only: Vec::new(),
    };
    // An attack begins when live connections have carried data both ways.
    let rows = attack::measure(&options).unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(rows.len(), 6, "{rows:?}");
    for row in &rows {
        assert!(row.rate > 0 && row.live == 3, "{row:?}");
        assert_eq!(row.lost, 0, "{row:?}");
    }
}

#[test]
fn changes_of_the_benchmark_come_into_force_as_stated() {
    let options = Options {
        scale: TINY,
        only: Vec::new(),
    };
    // Each step compares the image in force, and the flows that are listed, with what they should be.
    let control = control::measure(&options).unwrap_or_else(|error| panic!("{error:#}"));
    let [one, many] = &control.changes[..] else {
        panic!("{control:?}");
    };
    assert!(one.apply.is_some() && one.change.is_some(), "{one:?}");
    assert!(many.compile > 0.0 && many.image > 0, "{many:?}");
    assert_eq!(control.flows.len(), 1);
    assert!(control.memory[0].table < control.memory[0].maps);
}
