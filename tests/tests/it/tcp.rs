//! TCP flows from the first segment to the last, opened by either side.

use sg_common::flow::{Direction, FLOW_OPENED_OUTBOUND};
use sg_tests::{
    packet::flags::{ACK, FIN, PSH, RST, SYN, URG},
    prog::Seen,
};

use crate::prelude::*;

/// Some may enter at port 22 and leave to port 22, and no more than that.
fn rules(family: Family) -> String {
    let remote = family.remote();
    let bits = if remote.is_ipv4() { 32 } else { 128 };
    format!(
        "inbound: [{{ type: SSH, source: '{remote}/{bits}' }}]
outbound: [{{ type: SSH, destination: '{remote}/{bits}' }}]"
    )
}

/// A connection in the making, seen from its opener.
struct Story {
    filter: Filter,
    opened: Direction,
    segment: Frame,
}

impl Story {
    fn new(place: Place, family: Family, opened: Direction) -> Self {
        let (local, remote) = (family.local(), family.remote());
        let segment = match opened {
            Direction::Inbound => tcp((remote, 40000), (local, 22)),
            Direction::Outbound => tcp((local, 40000), (remote, 22)),
        };
        Self {
            filter: Filter::with_group(place, &rules(family)),
            opened,
            segment,
        }
    }

    /// The opener's segment with these flags.
    fn opener(&self, flags: u8, data: usize) -> Seen<'_> {
        let segment = self.segment.clone().tcp_flags(flags).payload(data);
        self.filter.judge(self.opened, &segment.bytes())
    }

    /// The other side's.
    fn answerer(&self, flags: u8, data: usize) -> Seen<'_> {
        let segment = self.segment.reply().tcp_flags(flags).payload(data);
        self.filter.judge(self.opened.reverse(), &segment.bytes())
    }

    fn establish(&self) {
        self.opener(SYN, 0).passes(Reason::New);
        self.answerer(SYN | ACK, 0).passes(Reason::Established);
        self.opener(ACK, 0).passes(Reason::Established);
        self.is(FlowState::TCP_ESTABLISHED);
    }

    #[track_caller]
    fn is(&self, state: FlowState) {
        let found = FlowState(self.filter.only_flow().1.state);
        assert_eq!(found.name(), state.name());
    }

    /// Asserts that the flow lives for so many seconds of silence and no longer. Asks by a segment
    /// with these flags, which should not change its state.
    #[track_caller]
    fn lives_for(mut self, seconds: u64, flags: u8) {
        let before = self.filter.only_flow().1.state;
        self.filter.apply_group("outbound: []");
        self.filter.wait_seconds(seconds);
        self.opener(flags, 0).passes(Reason::Established);
        assert_eq!(self.filter.only_flow().1.state, before);
        self.filter.wait_seconds(seconds + 1);
        self.opener(flags, 0).drops(Reason::NoRule);
    }
}

#[apply(everywhere_in_both_families)]
fn a_handshake_establishes(
    place: Place,
    family: Family,
    #[values(Direction::Inbound, Direction::Outbound)] opened: Direction,
) {
    let story = Story::new(place, family, opened);
    story.opener(SYN, 0).passes(Reason::New);
    story.is(FlowState::TCP_SYN_SENT);
    story.opener(SYN, 0).passes(Reason::Established);
    story.is(FlowState::TCP_SYN_SENT);
    story.answerer(SYN | ACK, 0).passes(Reason::Established);
    story.is(FlowState::TCP_SYN_RECEIVED);
    story.opener(ACK, 0).passes(Reason::Established);
    story.is(FlowState::TCP_ESTABLISHED);

    let (key, flow) = story.filter.only_flow();
    assert_eq!(std::net::IpAddr::from(key.local), family.local());
    assert_eq!(std::net::IpAddr::from(key.remote), family.remote());
    assert_eq!(flow.packets, [3, 1]);
    assert_eq!(
        flow.flags & FLOW_OPENED_OUTBOUND != 0,
        opened == Direction::Outbound
    );
    let frame = story.segment.clone().syn().bytes().len() as u64;
    assert_eq!(flow.bytes, [3 * frame, frame]);
}

#[apply(everywhere)]
fn idle_times_follow_the_state(
    place: Place,
    #[values(Direction::Inbound, Direction::Outbound)] opened: Direction,
) {
    let story = || Story::new(place, V4, opened);

    let half_open = story();
    half_open.opener(SYN, 0).passes(Reason::New);
    half_open.lives_for(60, SYN);

    let half_open = story();
    half_open.opener(SYN, 0).passes(Reason::New);
    half_open.answerer(SYN | ACK, 0).passes(Reason::Established);
    half_open.is(FlowState::TCP_SYN_RECEIVED);
    half_open.lives_for(60, SYN);

    let established = story();
    established.establish();
    established.lives_for(432_000, ACK);

    let half_closed = story();
    half_closed.establish();
    half_closed.opener(FIN | ACK, 0).passes(Reason::Established);
    half_closed.is(FlowState::TCP_HALF_CLOSED);
    half_closed.lives_for(120, ACK);

    let closing = story();
    closing.establish();
    closing.opener(FIN | ACK, 0).passes(Reason::Established);
    closing.answerer(FIN | ACK, 0).passes(Reason::Established);
    closing.is(FlowState::TCP_CLOSING);
    closing.lives_for(10, ACK);

    let reset = story();
    reset.establish();
    reset.answerer(RST, 0).passes(Reason::Established);
    reset.is(FlowState::TCP_CLOSING);
    reset.lives_for(10, ACK);
}

#[apply(everywhere_in_both_families)]
fn a_forged_reset_ends_no_connection_that_both_sides_use(place: Place, family: Family) {
    let mut story = Story::new(place, family, Direction::Inbound);
    story.establish();
    story.opener(RST, 0).passes(Reason::Established);
    story.is(FlowState::TCP_CLOSING);
    story.opener(ACK, 10).passes(Reason::Established);
    story.is(FlowState::TCP_CLOSING);
    story.answerer(ACK, 10).passes(Reason::Established);
    story.is(FlowState::TCP_ESTABLISHED);
    story.filter.apply_group("outbound: []");
    story.filter.wait_seconds(1000);
    story.opener(ACK, 10).passes(Reason::Established);
}

#[apply(everywhere)]
fn a_new_connection_on_the_ports_of_an_old_one_is_judged_anew(place: Place) {
    let mut story = Story::new(place, V4, Direction::Inbound);
    story.establish();
    story.opener(FIN | ACK, 0).passes(Reason::Established);
    story.answerer(FIN | ACK, 0).passes(Reason::Established);
    story.opener(SYN, 0).passes(Reason::New);
    story.is(FlowState::TCP_SYN_SENT);
    assert_eq!(story.filter.only_flow().1.packets, [1, 0]);

    story.answerer(RST | ACK, 0).passes(Reason::Established);
    story.filter.apply_group("outbound: []");
    story.opener(SYN, 0).drops(Reason::NoRule);
}

#[apply(everywhere)]
fn a_connection_that_the_other_side_opens_on_the_same_ports_is_judged_anew(place: Place) {
    let story = Story::new(place, V4, Direction::Inbound);
    story.establish();
    story.opener(RST, 0).passes(Reason::Established);
    // From port 22 to port 40000: no rule says so.
    story.answerer(SYN, 0).drops(Reason::NoRule);
}

#[apply(everywhere_in_both_families)]
fn a_third_segment_that_acknowledges_something_else_proves_nothing(place: Place, family: Family) {
    let story = Story::new(place, family, Direction::Inbound);
    story.opener(SYN, 0).passes(Reason::New);
    story.answerer(SYN | ACK, 0).passes(Reason::Established);
    for ack in [0, 2, 1 << 31, u32::MAX] {
        let forged = story.segment.clone().ack().numbers(1, ack);
        story
            .filter
            .judge(story.opened, &forged.bytes())
            .passes(Reason::Established);
        story.is(FlowState::TCP_SYN_RECEIVED);
    }
    story.opener(ACK, 0).passes(Reason::Established);
    story.is(FlowState::TCP_ESTABLISHED);
}

#[apply(everywhere_in_both_families)]
fn a_reset_or_fin_that_does_not_fit_changes_nothing(
    place: Place,
    family: Family,
    #[values(Direction::Inbound, Direction::Outbound)] opened: Direction,
) {
    let story = Story::new(place, family, opened);
    story.establish();
    for flags in [RST, RST | ACK, FIN, FIN | ACK] {
        for seq in [0, 65_538, 1 << 31] {
            let forged = story.segment.clone().tcp_flags(flags).numbers(seq, 1);
            let answer = story.segment.reply().tcp_flags(flags).numbers(seq, 1);
            let filter = &story.filter;
            filter
                .judge(opened, &forged.bytes())
                .passes(Reason::Established);
            filter
                .judge(opened.reverse(), &answer.bytes())
                .passes(Reason::Established);
            story.is(FlowState::TCP_ESTABLISHED);
        }
    }
    story.answerer(RST, 0).passes(Reason::Established);
    story.is(FlowState::TCP_CLOSING);
}

#[apply(everywhere_in_both_families)]
fn a_connection_on_the_ports_of_a_live_flow_needs_a_rule(
    place: Place,
    family: Family,
    #[values(Direction::Inbound, Direction::Outbound)] opened: Direction,
) {
    let story = Story::new(place, family, opened);
    story.establish();
    // From port 22 to port 40000: no rule says so.
    story.answerer(SYN, 0).drops(Reason::NoRule);
    story.is(FlowState::TCP_ESTABLISHED);
    // The opener's is admitted, and leaves the live flow as it is.
    story.opener(SYN, 0).passes(Reason::MidStream);
    story.is(FlowState::TCP_ESTABLISHED);
    assert_eq!(story.filter.only_flow().1.packets, [2, 1]);
    story.answerer(ACK, 0).passes(Reason::Established);
}

#[apply(everywhere)]
fn both_may_open_at_once(place: Place) {
    let story = Story::new(place, V4, Direction::Outbound);
    story.opener(SYN, 0).passes(Reason::New);
    story.answerer(SYN, 0).passes(Reason::Established);
    story.opener(SYN | ACK, 0).passes(Reason::Established);
    story.is(FlowState::TCP_SYN_SENT);
    story.answerer(SYN | ACK, 0).passes(Reason::Established);
    story.is(FlowState::TCP_SYN_RECEIVED);
    story.opener(ACK, 0).passes(Reason::Established);
    story.is(FlowState::TCP_ESTABLISHED);
}

#[apply(everywhere)]
fn a_flood_of_one_side_stays_half_open(place: Place) {
    let story = Story::new(place, V4, Direction::Inbound);
    story.opener(ACK, 100).passes(Reason::New);
    for _ in 0..3 {
        story.opener(ACK, 100).passes(Reason::Established);
        story.is(FlowState::TCP_PICKED_UP);
    }
    story.answerer(ACK, 0).passes(Reason::Established);
    story.is(FlowState::TCP_ESTABLISHED);
}

#[apply(everywhere)]
fn an_answer_of_reset_revives_nothing(place: Place) {
    let story = Story::new(place, V4, Direction::Inbound);
    story.opener(ACK, 100).passes(Reason::New);
    story.answerer(RST, 0).passes(Reason::Established);
    story.is(FlowState::TCP_CLOSING);
    story.lives_for(10, ACK);
}

#[apply(everywhere)]
fn segments_that_open_nothing_pass_by_rule_alone(place: Place) {
    let story = Story::new(place, V4, Direction::Inbound);
    for flags in [
        RST,
        RST | ACK,
        FIN,
        FIN | ACK,
        SYN | FIN,
        SYN | RST,
        FIN | PSH | URG,
    ] {
        story.opener(flags, 0).passes(Reason::MidStream);
    }
    assert!(story.filter.flows().is_empty());
}

#[apply(everywhere)]
fn no_set_of_flags_passes_without_rule_or_flow(place: Place) {
    let filter = Filter::with_group(place, "outbound: []");
    for flags in 0..=255 {
        let segment = tcp("203.0.113.7:40000", "192.0.2.10:22").tcp_flags(flags);
        filter.inbound(&segment).drops(Reason::NoRule);
        filter.outbound(&segment.reply()).drops(Reason::NoRule);
    }
}

#[apply(everywhere_in_both_families)]
fn a_reset_may_answer_what_a_rule_admits(place: Place, family: Family) {
    let other = family.remote();
    let bits = if other.is_ipv4() { 32 } else { 128 };
    let rules = |inbound: &str, outbound: &str| {
        let group = format!("tested: {{ inbound: [{inbound}], outbound: [{outbound}] }}");
        let filter = Filter::new(
            place,
            &format!(
                "security_groups: {{ {group} }}
interfaces: {{ eth0: {{ groups: [tested], tcp_pickup: never }} }}"
            ),
        );
        let segment = tcp((other, 40000), (family.local(), 22));
        (filter, segment)
    };
    let ssh = format!("type: SSH, source: '{other}/{bits}'");
    let (filter, segment) = rules(&format!("{{ {ssh} }}"), "");
    filter
        .inbound(&segment.clone().ack())
        .passes(Reason::MidStream);
    for flags in 0..=255 {
        let answer = filter.outbound(&segment.reply().tcp_flags(flags));
        if flags & (SYN | RST | FIN) == RST {
            answer.passes(Reason::MidStream);
        } else {
            answer.drops(Reason::NoRule);
        }
    }
    let mut elsewhere = segment.reply().rst();
    elsewhere.from.port = 23;
    filter.outbound(&elsewhere).drops(Reason::NoRule);
    // Nobody has asked that side's port 22.
    let mut unasked = segment.clone().rst();
    (unasked.from.port, unasked.to.port) = (22, 40000);
    filter.inbound(&unasked).drops(Reason::NoRule);
    assert!(filter.flows().is_empty());

    let (filter, segment) = rules(
        "",
        "{ type: HTTPS, destination: '0.0.0.0/0' },
        { type: HTTPS, destination: '::/0' }",
    );
    let mut answer = segment.rst();
    answer.from.port = 443;
    filter.inbound(&answer).passes(Reason::MidStream);
    answer.from.port = 444;
    filter.inbound(&answer).drops(Reason::NoRule);
}

#[rstest]
#[case::never("never", Reason::MidStream, Reason::MidStream)]
#[case::for_a_while_after_attach("attach", Reason::New, Reason::MidStream)]
#[case::always("always", Reason::New, Reason::New)]
fn old_connections_are_picked_up(
    #[values(NIC_XDP, NIC_TC, WORKLOAD_XDP, WORKLOAD_TC)] place: Place,
    #[case] pickup: &str,
    #[case] early: Reason,
    #[case] late: Reason,
) {
    let rules = format!(
        "
        security_groups: {{ tested: {{ inbound: [{{ type: SSH, source: 203.0.113.0/24 }}] }} }}
        interfaces: {{ eth0: {{ groups: [tested], tcp_pickup: {pickup} }} }}
        "
    );
    let mut filter = Filter::new(place, &rules);
    filter
        .inbound(&tcp("203.0.113.7:40000", "192.0.2.10:22").ack())
        .passes(early);
    filter.wait_seconds(121);
    filter
        .inbound(&tcp("203.0.113.7:40001", "192.0.2.10:22").ack())
        .passes(late);
}
