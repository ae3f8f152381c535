//! A flow table without room: vector S19. The table of these tests is small, see the harness.

use sg_tests::prog::FLOWS;

use crate::prelude::*;

const RULES: &str = "
    inbound: [{ type: SSH, source: 203.0.113.0/24 }]
    outbound: [{ type: DNS (UDP), destination: 203.0.113.0/24 }]
";

/// A query from a port of its own.
fn query(port: u16) -> Frame {
    udp((V4.local(), port), "203.0.113.7:53")
}

/// Opens flows and has them answered until there is no room for one more; returns how many.
fn fill(filter: &Filter) -> u16 {
    for port in 1..u16::MAX {
        let seen = filter.outbound(&query(port));
        if seen.event().reason == Reason::FlowTableFull as u8 {
            seen.drops(Reason::FlowTableFull);
            return port - 1;
        }
        seen.passes(Reason::New);
        filter
            .inbound(&query(port).reply())
            .passes(Reason::Established);
    }
    panic!("the table has no end");
}

#[apply(everywhere)]
fn s19_a_full_table_refuses_new_flows_and_keeps_the_live_ones(place: Place) {
    let filter = Filter::with_group(place, RULES);
    let flows = fill(&filter);
    assert!(u32::from(flows) >= FLOWS, "only {flows} flows");
    assert_eq!(filter.flows().len(), usize::from(flows));
    for port in 1..=flows {
        filter
            .inbound(&query(port).reply())
            .passes(Reason::Established);
    }
    // Refused again: it left nothing behind.
    filter
        .outbound(&query(flows + 1))
        .drops(Reason::FlowTableFull);
    filter
        .inbound(&query(flows + 1).reply())
        .drops(Reason::NoRule);
}

#[apply(everywhere)]
fn expired_flows_make_room(place: Place) {
    let mut filter = Filter::with_group(place, RULES);
    let flows = fill(&filter);
    filter.wait_seconds(31);
    for port in flows + 1..flows + 100 {
        filter.outbound(&query(port)).passes(Reason::New);
    }
}

#[apply(everywhere)]
fn a_flood_of_half_open_flows_pushes_out_its_own_alone(place: Place) {
    let mut filter = Filter::with_group(place, RULES);
    let live = tcp("203.0.113.7:40000", "192.0.2.10:22");
    filter.inbound(&live.clone().syn()).passes(Reason::New);
    filter
        .outbound(&live.reply().syn_ack())
        .passes(Reason::Established);
    filter
        .inbound(&live.clone().ack())
        .passes(Reason::Established);
    for port in 1..=u16::try_from(4 * FLOWS).expect("a small table") {
        let from = format!("203.0.113.9:{port}");
        filter
            .inbound(&tcp(from.as_str(), "192.0.2.10:22").syn())
            .passes(Reason::New);
    }
    filter.apply_group("outbound: []");
    filter.inbound(&live.ack()).passes(Reason::Established);
}
