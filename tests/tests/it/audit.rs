//! Audit: everything is judged, counted and logged, and nothing is dropped.

use sg_common::settings::MODE_ENFORCE;

use crate::prelude::*;

fn filter(place: Place) -> Filter {
    Filter::new(
        place,
        "
        security_groups:
          tested: { inbound: [{ type: SSH, source: 203.0.113.0/24 }], outbound: [] }
        interfaces: { eth0: { groups: [tested], audit: true } }
        ",
    )
}

#[apply(everywhere)]
fn what_would_be_dropped_passes_and_is_counted(place: Place) {
    let filter = filter(place);
    let denied = tcp("203.0.113.7:40000", "192.0.2.10:80").syn();
    filter.inbound(&denied).passes_audit(Reason::NoRule);
    filter
        .outbound(&denied.reply().syn_ack())
        .passes_audit(Reason::NoRule);
    filter
        .inbound(&denied.vlan(1).vlan(2).vlan(3))
        .passes_audit(Reason::VlanDepth);
    assert!(filter.flows().is_empty());
}

#[apply(everywhere)]
fn what_passes_passes_as_ever(place: Place) {
    let filter = filter(place);
    let admitted = tcp("203.0.113.7:40000", "192.0.2.10:22").syn();
    filter.inbound(&admitted).passes(Reason::New);
    filter
        .outbound(&admitted.reply().syn_ack())
        .passes(Reason::Established);
}

#[apply(everywhere)]
fn a_switch_to_enforcing_holds_from_the_next_packet_on(place: Place) {
    let mut filter = filter(place);
    let denied = tcp("203.0.113.7:40000", "192.0.2.10:80").syn();
    filter.inbound(&denied).passes_audit(Reason::NoRule);
    filter.change_settings(|settings| settings.mode = MODE_ENFORCE);
    filter.inbound(&denied).drops(Reason::NoRule);
}
