//! Changes on trial: past the deadline the policy and the settings before them judge.

use sg_tests::packet::arp_request;

use crate::prelude::*;

const BEFORE: &str = "
    security_groups: { tested: { inbound: [{ type: HTTP, source: 203.0.113.0/24 }], outbound: [] } }
    interfaces: { eth0: { groups: [tested] } }
";
const AFTER: &str = "
    security_groups: { tested: { inbound: [{ type: SSH, source: 203.0.113.0/24 }], outbound: [] } }
    interfaces: { eth0: { groups: [tested] } }
";

/// Everything that a minute brings back is another: the mode and what is never filtered.
const OTHER_SETTINGS: &str = "
    security_groups: { tested: { inbound: [{ type: SSH, source: 203.0.113.0/24 }], outbound: [] } }
    interfaces:
      eth0: { groups: [tested], audit: true, infra: { arp: false } }
";

#[apply(everywhere)]
fn past_its_deadline_the_rules_before_a_change_judge(place: Place) {
    let mut filter = Filter::new(place, AFTER);
    filter.on_trial(BEFORE, 60);
    let http = tcp("203.0.113.7:40000", "192.0.2.10:80").syn();
    let ssh = tcp("203.0.113.7:40000", "192.0.2.10:22").syn();
    filter.wait_seconds(60);
    filter.inbound(&http).drops(Reason::NoRule);
    filter.inbound(&ssh).passes(Reason::New);
    filter.wait_seconds(1);
    let other = tcp("203.0.113.7:40001", "192.0.2.10:22").syn();
    filter.inbound(&other).drops(Reason::NoRule);
    filter.inbound(&http).passes(Reason::New);
    // As with any change of rules, a connection that was admitted goes on.
    filter
        .outbound(&ssh.reply().syn_ack())
        .passes(Reason::Established);
}

#[apply(everywhere)]
fn what_is_confirmed_stays(place: Place) {
    let mut filter = Filter::new(place, AFTER);
    filter.on_trial(BEFORE, 60);
    filter.confirm();
    filter.wait_seconds(61);
    let http = tcp("203.0.113.7:40000", "192.0.2.10:80").syn();
    let ssh = tcp("203.0.113.7:40000", "192.0.2.10:22").syn();
    filter.inbound(&http).drops(Reason::NoRule);
    filter.inbound(&ssh).passes(Reason::New);
}

#[apply(everywhere)]
fn past_its_deadline_an_interface_has_all_settings_before_a_change(place: Place) {
    let mut filter = Filter::new(place, AFTER);
    filter.on_trial(OTHER_SETTINGS, 60);
    let denied = tcp("203.0.113.7:40000", "192.0.2.10:80").syn();
    let arp = arp_request([203, 0, 113, 7], [192, 0, 2, 10]);
    filter.inbound(&denied).drops(Reason::NoRule);
    filter.inbound(&arp).passes(Reason::InfraArp);
    filter.wait_seconds(61);
    filter.inbound(&denied).passes_audit(Reason::NoRule);
    filter.inbound(&arp).passes_audit(Reason::NoRule);
}
