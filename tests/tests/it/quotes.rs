//! What ICMP errors quote: proof enough, or not, in both directions and families.

use rstest_reuse::template;
use sg_common::flow::Direction;
use sg_tests::packet::patched;

use crate::prelude::*;

/// Every program in every role, packets of both families, flows opened by either side.
#[template]
#[rstest]
fn both_ways(
    #[values(NIC_XDP, NIC_TC, WORKLOAD_XDP, WORKLOAD_TC)] place: Place,
    #[values(V4, V6)] family: Family,
    #[values(Direction::Inbound, Direction::Outbound)] direction: Direction,
) {
}

/// A live UDP flow, and an error on its way to the flow's opener.
struct Story {
    filter: Filter,
    /// The direction of the flow's first packet; the error goes the other way.
    opened: Direction,
    packet: Frame,
    family: Family,
}

impl Story {
    fn new(place: Place, family: Family, opened: Direction) -> Self {
        let (local, remote) = (family.local(), family.remote());
        let bits = if remote.is_ipv4() { 32 } else { 128 };
        let rule = |peer| {
            format!(
                "[{{ protocol: udp, ports: 9000, {peer}: '{remote}/{bits}', description: udp }}]"
            )
        };
        let (rules, from, to) = match opened {
            Direction::Inbound => (
                format!("inbound: {}\noutbound: []", rule("source")),
                remote,
                local,
            ),
            Direction::Outbound => (format!("outbound: {}", rule("destination")), local, remote),
        };
        let filter = Filter::with_group(place, &rules);
        let packet = udp((from, 40000), (to, 9000)).payload(100);
        filter.judge(opened, &packet.bytes()).passes(Reason::New);
        Self {
            filter,
            opened,
            packet,
            family,
        }
    }

    /// Bytes of the IP header.
    fn header(&self) -> usize {
        if self.family == V4 { 20 } else { 40 }
    }

    /// An error, from a router, about a packet, quoted so far.
    fn error(&self, about: &Frame, quoted: usize) -> Frame {
        let time_exceeded = if self.family == V4 { (11, 0) } else { (3, 0) };
        icmp_error(self.family.router(), about, time_exceeded, quoted)
    }

    /// Judges an error on its way to the opener.
    #[track_caller]
    fn is_related(&self, error: &Frame, expected: bool) {
        let seen = self.filter.judge(self.opened.reverse(), &error.bytes());
        if expected {
            seen.passes(Reason::Related).by_rule("udp");
        } else {
            seen.drops(Reason::NoRule).by_no_rule();
        }
        assert_eq!(self.filter.only_flow().1.packets, [1, 0]);
    }
}

#[apply(both_ways)]
fn a_quote_counts_from_the_ports_on(place: Place, family: Family, direction: Direction) {
    let story = Story::new(place, family, direction);
    let ports = story.header() + 4;
    for quoted in 0..story.packet.packet().len() {
        story.is_related(&story.error(&story.packet, quoted), quoted >= ports);
    }
}

#[apply(both_ways)]
fn a_quote_that_is_cut_by_the_errors_own_length_ends_there(
    place: Place,
    family: Family,
    direction: Direction,
) {
    let story = Story::new(place, family, direction);
    let header = story.header();
    let error = story.error(&story.packet, header + 8);
    // Its IP header says so many bytes; the rest of the frame is padding.
    let claims = |quoted: usize| {
        let (at, length) = match family {
            V4 => (14 + 2, 20 + 8 + quoted),
            V6 => (14 + 4, 8 + quoted),
        };
        patched(&error.bytes(), at, &(length as u16).to_be_bytes())
    };
    let back = direction.reverse();
    for quoted in 0..header + 4 {
        story
            .filter
            .judge(back, &claims(quoted))
            .drops(Reason::NoRule);
    }
    for quoted in header + 4..=header + 8 {
        story
            .filter
            .judge(back, &claims(quoted))
            .passes(Reason::Related);
    }
}

#[apply(both_ways)]
fn a_quoted_first_fragment_has_ports_and_a_later_one_has_none(
    place: Place,
    family: Family,
    direction: Direction,
) {
    let story = Story::new(place, family, direction);
    for (index, fragment) in story.packet.fragments(1, 40).iter().enumerate() {
        let mut error = story.error(&story.packet, 0);
        error.data = fragment[14..].to_vec();
        story.is_related(&error, index == 0);
    }
}

#[apply(both_ways)]
fn a_quote_with_translated_addresses_or_ports_is_about_another_flow(
    place: Place,
    family: Family,
    direction: Direction,
) {
    let story = Story::new(place, family, direction);
    let change = |change: fn(&mut Frame, Family)| {
        let mut packet = story.packet.clone();
        change(&mut packet, family);
        let mut error = story.error(&packet, 1000);
        error.to = story.packet.from;
        error
    };
    story.is_related(&change(|_, _| {}), true);
    // As outside of a translator, which has not translated the quote back.
    story.is_related(
        &change(|packet, family| packet.from.address = family.router()),
        false,
    );
    story.is_related(
        &change(|packet, family| packet.to.address = family.router()),
        false,
    );
    story.is_related(&change(|packet, _| packet.from.port += 1), false);
    story.is_related(&change(|packet, _| packet.to.port += 1), false);
}

#[apply(both_ways)]
fn an_error_that_goes_the_wrong_way_proves_nothing(
    place: Place,
    family: Family,
    direction: Direction,
) {
    let story = Story::new(place, family, direction);
    // To the opener, about what the opener is to receive.
    let mut error = story.error(&story.packet.reply(), 1000);
    error.to = story.packet.from;
    story.is_related(&error, false);
    // Away from the opener, about what the opener has sent.
    let error = story.error(&story.packet, 1000);
    story
        .filter
        .judge(direction, &error.bytes())
        .drops(Reason::NoRule);
    // About an answer, to who answers: fine.
    let error = story.error(&story.packet.reply(), 1000);
    story
        .filter
        .judge(direction, &error.bytes())
        .passes(Reason::Related);
}

#[apply(both_ways)]
fn an_error_about_an_error_proves_nothing(place: Place, family: Family, direction: Direction) {
    let story = Story::new(place, family, direction);
    let mut inner = story.error(&story.packet.reply(), 1000);
    inner.from = story.packet.from;
    let mut outer = story.error(&inner, 1000);
    outer.to = story.packet.from;
    story.is_related(&outer, false);
}

#[apply(both_ways)]
fn lengths_in_a_quote_may_be_wrong(place: Place, family: Family, direction: Direction) {
    let story = Story::new(place, family, direction);
    let mut error = story.error(&story.packet, 1000);
    let at = if family == V4 { 2 } else { 4 };
    for length in [20, 100, 1500, u16::MAX] {
        error.data[at..at + 2].copy_from_slice(&u16::to_be_bytes(length));
        story.is_related(&error, true);
    }
    // The length of the quoted datagram is not looked at either.
    let at = story.header() + 4;
    error.data[at..at + 2].copy_from_slice(&[0, 1]);
    story.is_related(&error, true);
    // A header that is malformed in another way says nothing.
    error.data[0] = 0x55;
    story.is_related(&error, false);
}

#[apply(both_ways)]
fn a_fragmented_error_passes_with_its_fragments(
    place: Place,
    family: Family,
    direction: Direction,
) {
    let story = Story::new(place, family, direction);
    let error = story.error(&story.packet, 1000);
    let size = (8 + story.header() + 8).next_multiple_of(8);
    let [first, later @ ..] = &error.fragments(5, size)[..] else {
        panic!("several fragments");
    };
    let judge = |frame: &[u8]| story.filter.judge(direction.reverse(), frame);
    judge(&later[0]).drops(Reason::FragmentUnknown);
    judge(first).passes(Reason::Related);
    judge(&later[0]).passes(Reason::Fragment);
    // A first fragment that ends before the quoted ports.
    let short = &error.fragments(6, story.header() + 8 - 8)[..];
    judge(&short[0]).drops(Reason::NoRule);
    judge(&short[1]).drops(Reason::FragmentUnknown);
}

#[apply(both_ways)]
fn errors_about_both_halves_of_an_untracked_pair_pass(
    place: Place,
    family: Family,
    direction: Direction,
) {
    let all = family.everything();
    let (narrow, wide) = ("ports: 9000", "ports: all");
    let (inbound, outbound) = match direction {
        Direction::Inbound => (narrow, wide),
        Direction::Outbound => (wide, narrow),
    };
    let open = format!(
        "inbound: [{{ protocol: tcp, {inbound}, source: '{all}' }}]
outbound: [{{ protocol: tcp, {outbound}, destination: '{all}' }}]"
    );
    let mut filter = Filter::with_group(place, &open);
    let (local, remote) = (family.local(), family.remote());
    let request = match direction {
        Direction::Inbound => tcp((remote, 40000), (local, 9000)),
        Direction::Outbound => tcp((local, 40000), (remote, 9000)),
    };
    let too_big = if family == V4 { (3, 4) } else { (2, 0) };
    let error = |about: &Frame| icmp_error(family.router(), about, too_big, 1000).bytes();
    let (about_request, about_answer) = (error(&request), error(&request.reply()));
    filter
        .judge(direction.reverse(), &about_request)
        .passes(Reason::Related);
    filter
        .judge(direction, &about_answer)
        .passes(Reason::Related);
    assert!(filter.flows().is_empty());
    filter.apply_group("outbound: []");
    filter
        .judge(direction.reverse(), &about_request)
        .drops(Reason::NoRule);
    filter.judge(direction, &about_answer).drops(Reason::NoRule);
}
