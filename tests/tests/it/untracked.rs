//! Untracked flows: no packet of theirs opens an entry, in either direction.

use crate::prelude::*;

/// Anybody may reach port 80, everything may leave.
fn web(family: Family) -> String {
    let all = family.everything();
    format!(
        "inbound: [{{ type: HTTP, source: '{all}', description: http }}]
outbound: [{{ type: All traffic, destination: '{all}', description: out }}]"
    )
}

#[apply(everywhere_in_both_families)]
fn a_whole_untracked_connection_opens_no_flow(place: Place, family: Family) {
    let filter = Filter::with_group(place, &web(family));
    let request = tcp((family.remote(), 40000), (family.local(), 80));
    let answer = request.reply();
    filter
        .inbound(&request.clone().syn())
        .passes(Reason::Untracked);
    for segment in [
        answer.clone().syn_ack(),
        answer.clone().ack().payload(1000),
        answer.clone().fin(),
        answer.clone().rst(),
    ] {
        filter
            .outbound(&segment)
            .passes(Reason::UntrackedReply)
            .by_rule("http");
    }
    for segment in [
        request.clone().ack(),
        request.clone().ack().payload(10),
        request.clone().fin(),
        request.rst(),
    ] {
        filter
            .inbound(&segment)
            .passes(Reason::Untracked)
            .by_rule("http");
    }
    assert!(filter.flows().is_empty());
}

#[apply(everywhere_in_both_families)]
fn a_connection_of_our_own_is_tracked_beside_it(place: Place, family: Family) {
    let filter = Filter::with_group(place, &web(family));
    // Not every port may enter, so what we open is tracked.
    let syn = tcp((family.local(), 40000), (family.remote(), 443)).syn();
    filter.outbound(&syn).passes(Reason::New).by_rule("out");
    filter
        .inbound(&syn.reply().syn_ack())
        .passes(Reason::Established);
    // From our port 80 too: a SYN is no answer.
    let syn = tcp((family.local(), 80), (family.remote(), 443)).syn();
    filter.outbound(&syn).passes(Reason::New).by_rule("out");
}

#[apply(everywhere_in_both_families)]
fn open_in_every_way_needs_no_flow_at_all(place: Place, family: Family) {
    let all = family.everything();
    let filter = Filter::with_group(
        place,
        &format!(
            "inbound: [{{ type: All traffic, source: '{all}' }}]
outbound: [{{ type: All traffic, destination: '{all}' }}]"
        ),
    );
    let (local, remote) = (family.local(), family.remote());
    let syn = tcp((local, 40000), (remote, 443)).syn();
    filter.outbound(&syn).passes(Reason::Untracked);
    filter
        .inbound(&syn.reply().syn_ack())
        .passes(Reason::Untracked);
    let query = udp((local, 40000), (remote, 53));
    filter.outbound(&query).passes(Reason::Untracked);
    filter.inbound(&query.reply()).passes(Reason::Untracked);
    assert!(filter.flows().is_empty());
    // AWS: ICMP is always tracked. So are other protocols.
    filter.outbound(&ping(local, remote, 1)).passes(Reason::New);
    filter.outbound(&ip(local, remote, 47)).passes(Reason::New);
    assert_eq!(filter.flows().len(), 2);
}

#[apply(everywhere_in_both_families)]
fn an_untracked_udp_exchange_opens_no_flow(place: Place, family: Family) {
    let all = family.everything();
    let filter = Filter::with_group(
        place,
        &format!(
            "inbound: [{{ protocol: udp, ports: all, source: '{all}' }}]
outbound: [{{ protocol: udp, ports: 53, destination: '{all}', description: dns }}]"
        ),
    );
    let query = udp((family.local(), 40000), (family.remote(), 53));
    filter
        .outbound(&query)
        .passes(Reason::Untracked)
        .by_rule("dns");
    filter
        .inbound(&query.reply())
        .passes(Reason::UntrackedReply)
        .by_rule("dns");
    // Uninvited from another port it is a flow of its own.
    filter
        .inbound(&udp((family.remote(), 54), (family.local(), 40000)))
        .passes(Reason::New);
}

#[apply(everywhere)]
fn a_narrower_rule_first_does_not_make_a_flow_tracked(place: Place) {
    let filter = Filter::with_group(
        place,
        "
        inbound:
          - { type: HTTP, source: 203.0.113.0/24, description: office }
          - { type: HTTP, source: 0.0.0.0/0, description: world }
        ",
    );
    filter
        .inbound(&tcp("203.0.113.7:40000", "192.0.2.10:80").syn())
        .passes(Reason::Untracked)
        .by_rule("office");
}
