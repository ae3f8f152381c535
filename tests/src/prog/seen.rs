//! What became of a frame, and assertions about it.

use std::fmt::Write as _;

use sg_common::{
    counters::{Tally, ZoneCounters},
    event::{EVENT_AUDITED, Event},
    flow::Direction,
    reason::{Reason, Verdict},
};

use super::{Filter, ZONE};

/// The verdict on one frame and all that it changed in counters and log.
#[must_use = "say what should have become of the frame"]
pub struct Seen<'a> {
    pub(super) filter: &'a Filter,
    pub(super) direction: Direction,
    pub(super) length: u64,
    pub(super) verdict: Verdict,
    pub(super) before: ZoneCounters,
    pub(super) after: ZoneCounters,
    pub(super) events: Vec<Event>,
}

impl Seen<'_> {
    /// Asserts that the frame passed for `reason`, that nothing but this reason's counter moved,
    /// and that the log says so if it should.
    #[track_caller]
    pub fn passes(&self, reason: Reason) -> &Self {
        assert_eq!(
            reason.verdict(),
            Verdict::Pass,
            "{reason:?} is a reason to drop"
        );
        self.came_out(reason, Verdict::Pass, false)
    }

    /// Asserts that the frame was dropped for `reason`, with the same care.
    #[track_caller]
    pub fn drops(&self, reason: Reason) -> &Self {
        assert_eq!(
            reason.verdict(),
            Verdict::Drop,
            "{reason:?} is a reason to pass"
        );
        self.came_out(reason, Verdict::Drop, false)
    }

    /// Asserts that the frame would have been dropped for `reason` but passed an interface that
    /// only audits.
    #[track_caller]
    pub fn passes_audit(&self, reason: Reason) -> &Self {
        assert_eq!(
            reason.verdict(),
            Verdict::Drop,
            "{reason:?} is a reason to pass"
        );
        self.came_out(reason, Verdict::Pass, true)
    }

    /// Asserts that the frame was dropped without any trace, as before an interface is set up.
    #[track_caller]
    pub fn vanishes(&self) {
        assert_eq!(self.verdict, Verdict::Drop);
        assert!(self.before == self.after, "\n{}", self.filter.dump());
        assert!(self.events.is_empty());
    }

    /// Asserts that the rule with this description decided.
    #[track_caller]
    pub fn by_rule(&self, description: &str) -> &Self {
        let number = self.event().rule;
        let rule = self.filter.rule(number);
        let found = rule.map(|rule| rule.description.as_str());
        assert_eq!(found, Some(description), "\n{}", self.filter.dump());
        self
    }

    /// Asserts that no rule decided.
    #[track_caller]
    pub fn by_no_rule(&self) -> &Self {
        assert_eq!(self.event().rule, 0, "\n{}", self.filter.dump());
        self
    }

    /// The reason whose counter moved.
    pub fn reason(&self) -> Option<Reason> {
        let side = self.direction as usize;
        let (before, after) = (&self.before.reasons[side], &self.after.reasons[side]);
        let moved = before.iter().zip(after).position(|(a, b)| a != b)?;
        Reason::from_code(moved as u8)
    }

    /// The frame's log event.
    #[track_caller]
    pub fn event(&self) -> &Event {
        let [event] = &self.events[..] else {
            panic!("not one event: {:#?}\n{}", self.events, self.filter.dump());
        };
        event
    }

    /// The frame's log events, none or one.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    #[track_caller]
    fn came_out(&self, reason: Reason, verdict: Verdict, audited: bool) -> &Self {
        let mut expected = self.before;
        let side = self.direction as usize;
        let tally = Tally {
            packets: 1,
            bytes: self.length,
        };
        add(&mut expected.reasons[side][reason as usize], tally);
        if audited {
            add(&mut expected.audited[side], tally);
        }
        assert!(
            verdict == self.verdict && expected == self.after,
            "expected {verdict:?} for {}, found {:?}; counters that moved:\n{}\nall {}",
            reason.name(),
            self.verdict,
            describe(&difference(&self.after, &self.before)),
            self.filter.dump()
        );
        if self.filter.settings().log_reasons >> reason as u8 & 1 != 0 {
            let event = self.event();
            assert_eq!(
                (event.reason, event.direction, event.zone, event.flags),
                (
                    reason as u8,
                    self.direction as u8,
                    ZONE as u16,
                    if audited { EVENT_AUDITED } else { 0 }
                ),
                "the log agrees with the counters: {event:?}"
            );
            assert_eq!(u64::from(event.length), self.length);
        }
        self
    }
}

fn add(tally: &mut Tally, more: Tally) {
    tally.packets += more.packets;
    tally.bytes += more.bytes;
}

/// What moved between two readings of the counters.
pub(crate) fn difference(after: &ZoneCounters, before: &ZoneCounters) -> ZoneCounters {
    let mut difference = *after;
    let mine = difference.reasons.iter_mut().flatten();
    let theirs = before.reasons.iter().flatten();
    for (a, b) in mine
        .chain(&mut difference.audited)
        .zip(theirs.chain(&before.audited))
    {
        a.packets -= b.packets;
        a.bytes -= b.bytes;
    }
    difference.events_lost -= before.events_lost;
    let suppressed = difference.events_suppressed.iter_mut();
    for (a, b) in suppressed.zip(before.events_suppressed) {
        *a -= b;
    }
    difference
}

/// The counters that are not zero, one a line.
pub(crate) fn describe(counters: &ZoneCounters) -> String {
    let mut text = String::new();
    for direction in Direction::ALL {
        let reasons = &counters.reasons[direction as usize];
        for (code, tally) in reasons.iter().enumerate().filter(|(_, t)| t.packets != 0) {
            let name = Reason::from_code(code as u8).map_or("unknown reason", Reason::name);
            let Tally { packets, bytes } = tally;
            let direction = direction.name();
            let _ = writeln!(
                text,
                "  {direction} {name}: {packets} packets, {bytes} bytes"
            );
        }
        let audited = counters.audited[direction as usize].packets;
        if audited != 0 {
            let _ = writeln!(text, "  {} audited: {audited} packets", direction.name());
        }
    }
    if counters.events_lost != 0 {
        let _ = writeln!(text, "  events lost: {}", counters.events_lost);
    }
    let suppressed = counters.events_suppressed.iter().sum::<u64>();
    if suppressed != 0 {
        let _ = writeln!(text, "  events suppressed: {suppressed}");
    }
    text
}
