//! Prints what is wanted of the log.

use std::collections::BTreeMap;
use std::io::{self, Write};

use sg_common::event::Record;
use sg_common::reason::{Reason, Verdict};
use sg_ctl::host::Suppressed;

use crate::verb::logs::Args;
use crate::verb::logs::lines::{Capture, Log};
use crate::verb::output::event::EventView;
use crate::verb::output::names::Names;
use crate::verb::output::time::WallClock;

/// Prints what is wanted of the log.
pub(crate) struct Printer<'a, W> {
    pub(crate) args: &'a Args,
    pub(crate) clock: WallClock,
    pub(crate) log: Log<W>,
    /// Where packets go in place of lines.
    pub(crate) capture: Option<Capture>,
    /// Events lost since attach, as far as they have been told.
    pub(crate) lost: u64,
    /// Events that came faster than they were read.
    pub(crate) missed: u64,
    /// Events not logged since attach, by zone and reason, as far as they have been told.
    pub(crate) suppressed: BTreeMap<(u32, &'static str), u64>,
}

impl<W: Write> Printer<'_, W> {
    pub(crate) fn event(&mut self, record: &Record, names: &Names) -> io::Result<()> {
        let view = EventView::new(&record.event, &self.clock, names);
        let is_wanted =
            (view.event.is_denied() || !self.args.denied) && self.is_of(&view.event.interface);
        match &mut self.capture {
            _ if !is_wanted => Ok(()),
            Some(capture) => capture.packet(record, &view, &self.clock),
            None => self.log.verdict(&view),
        }
    }

    /// Verdicts shown so far.
    pub(crate) fn shown(&self) -> u64 {
        let captured = self.capture.as_ref();
        captured.map_or(self.log.verdicts(), Capture::packets)
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.log.flush()?;
        self.capture.as_mut().map_or(Ok(()), Capture::flush)
    }

    pub(crate) fn message(&mut self, interface: &str, level: &str, text: &str) -> io::Result<()> {
        if self.is_of(interface) {
            self.log
                .message(&self.clock.now_text(), interface, level, text)?;
        }
        Ok(())
    }

    /// Tells of losses, if `total` is more than has been told.
    pub(crate) fn lost(&mut self, total: u64) -> io::Result<()> {
        let more = total.saturating_sub(self.lost);
        // Counters begin anew when an interface is attached.
        self.lost = total;
        if more > 0 {
            self.log.lost(&self.clock.now_text(), more, total)?;
        }
        Ok(())
    }

    /// Says that so many more events came faster than they were read.
    pub(crate) fn missed(&mut self, more: u64) -> io::Result<()> {
        if more == 0 {
            return Ok(());
        }
        self.missed += more;
        self.log.missed(&self.clock.now_text(), more, self.missed)
    }

    /// Tells how many events of an interface were not logged, as far as it has not been told.
    pub(crate) fn suppressed(
        &mut self,
        zone: u32,
        interface: &str,
        all: &[Suppressed],
    ) -> io::Result<()> {
        let time = self.clock.now_text();
        for Suppressed { reason, events } in all {
            let told = self.suppressed.insert((zone, reason), *events).unwrap_or(0);
            // Counters begin anew when an interface is attached.
            let more = if told > *events {
                *events
            } else {
                *events - told
            };
            let is_wanted = !self.args.denied || is_denied(reason);
            if more > 0 && is_wanted && self.is_of(interface) {
                let counts = (more, *events);
                self.log.suppressed(&time, interface, reason, counts)?;
            }
        }
        Ok(())
    }

    fn is_of(&self, interface: &str) -> bool {
        self.args
            .interface
            .as_ref()
            .is_none_or(|wanted| wanted == interface)
    }
}

/// Whether packets are dropped for a reason of this name.
fn is_denied(name: &str) -> bool {
    let mut reasons = Reason::ALL.iter();
    reasons.any(|reason| reason.name() == name && reason.verdict() == Verdict::Drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sg_common::event::{Event, SNAP};

    use crate::verb::logs::form;
    use crate::verb::output::event::tests::{denied, passed};
    use crate::verb::output::names::tests::names;

    fn written(args: &Args, write: impl FnOnce(&mut Printer<'_, &mut Vec<u8>>)) -> String {
        let mut bytes = Vec::new();
        let mut printer = Printer {
            args,
            clock: WallClock::now().expect("time"),
            log: Log::new(&mut bytes, form(args)),
            capture: None,
            lost: 0,
            missed: 0,
            suppressed: BTreeMap::new(),
        };
        write(&mut printer);
        let text = String::from_utf8(bytes).expect("UTF-8");
        anstream::adapter::strip_str(&text).to_string()
    }

    fn record(event: Event) -> Record {
        Record {
            event,
            captured: 0,
            pad: 0,
            bytes: [0; SNAP],
        }
    }

    fn all() -> Args {
        Args {
            follow: false,
            denied: false,
            interface: None,
            form: None,
            fields: None,
            pcapng: None,
            json: false,
        }
    }

    #[test]
    fn filters_leave_out_what_is_not_asked_for() {
        let lines = |args: &Args| {
            let text = written(args, |printer| {
                printer.event(&record(denied()), &names()).expect("memory");
                printer.event(&record(passed()), &names()).expect("memory");
                printer.message("eth1", "error", "fault").expect("memory");
            });
            text.lines().count()
        };
        assert_eq!(lines(&all()), 3);
        let denied_only = Args {
            denied: true,
            ..all()
        };
        assert_eq!(lines(&denied_only), 2);
        let eth1 = Args {
            interface: Some("eth1".to_owned()),
            ..all()
        };
        assert_eq!(lines(&eth1), 1);
    }

    #[test]
    fn losses_are_told_when_they_grow() {
        let text = written(&all(), |printer| {
            for total in [0, 5, 5, 7, 1] {
                printer.lost(total).expect("memory");
            }
        });
        let told: Vec<_> = text
            .lines()
            .map(|line| line.split_once(' ').expect("time").1)
            .collect();
        assert_eq!(
            told,
            [
                "5 events lost since attach: the buffer was full",
                "2 more events lost: the buffer was full (7 since attach)",
            ]
        );
    }
}
