//! The log: verdicts, losses and the programs' own messages, as lines of text, of JSON, or of AWS
//! flow logs.

use std::io::{self, Write};

use schemars::JsonSchema;
use serde::Serialize;
use sg_common::event::{EVENT_BARE, Record};
use sg_common::flow::Direction;
use sg_common::reason::{Reason, Verdict};
use sg_ctl::record::flowlog::{self, Gap};
use sg_ctl::record::pcapng::{self, Captured};

use crate::verb::output::event::EventView;
use crate::verb::output::time::WallClock;
use crate::verb::output::{Tone, counted, note};

/// The form of the lines.
#[derive(Clone, Debug)]
pub(crate) enum Form {
    /// Text for people.
    Text,
    /// A JSON document each.
    Json,
    /// Columns as AWS VPC Flow Logs have them.
    FlowLog(flowlog::Format),
}

/// One line of the log. `type` of the JSON form tells which.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Entry<'a> {
    Verdict(&'a EventView),
    Lost {
        time: &'a str,
        events: u64,
        total: u64,
    },
    Missed {
        time: &'a str,
        events: u64,
        total: u64,
    },
    Suppressed {
        time: &'a str,
        interface: &'a str,
        reason: &'a str,
        events: u64,
        total: u64,
    },
    Message {
        time: &'a str,
        interface: &'a str,
        level: &'a str,
        text: &'a str,
    },
}

/// Writes the log, and counts what it wrote.
#[derive(Debug)]
pub(crate) struct Log<W> {
    stream: W,
    form: Form,
    verdicts: u64,
}

/// The log as a capture of the packets, and the number of those.
pub(crate) struct Capture {
    writer: pcapng::Writer<Box<dyn Write>>,
    packets: u64,
}

impl Capture {
    /// Begins a capture on a stream.
    ///
    /// # Errors
    /// When the stream cannot be written, as with all of these.
    pub(crate) fn new(stream: Box<dyn Write>) -> io::Result<Self> {
        Ok(Self {
            writer: pcapng::Writer::new(stream, "sg-ctl logs")?,
            packets: 0,
        })
    }

    /// Packets written so far.
    pub(crate) const fn packets(&self) -> u64 {
        self.packets
    }

    /// Adds the packet of a verdict.
    pub(crate) fn packet(
        &mut self,
        record: &Record,
        view: &EventView,
        clock: &WallClock,
    ) -> io::Result<()> {
        self.packets += 1;
        let event = &record.event;
        self.writer.write(&Captured {
            interface: Some(&view.event.interface),
            link: if event.flags & EVENT_BARE == 0 {
                pcapng::ETHERNET
            } else {
                pcapng::RAW
            },
            time: clock.unix_ns(event.time_ns),
            data: record.frame(),
            original: event.length,
            direction: Direction::from_code(event.direction),
            comment: &view.comment(),
        })
    }

    /// Makes sure that everything written so far is seen.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl<W: Write> Log<W> {
    /// A log in a form.
    pub(crate) const fn new(stream: W, form: Form) -> Self {
        Self {
            stream,
            form,
            verdicts: 0,
        }
    }

    /// Verdicts written so far.
    pub(crate) const fn verdicts(&self) -> u64 {
        self.verdicts
    }

    /// Writes a verdict.
    ///
    /// # Errors
    /// When the stream cannot be written, as with all of these.
    pub(crate) fn verdict(&mut self, event: &EventView) -> io::Result<()> {
        self.verdicts += 1;
        self.write(&Entry::Verdict(event))
    }

    /// Writes that `events` more verdicts are missing here, `total` since the interfaces were
    /// attached.
    pub(crate) fn lost(&mut self, time: &str, events: u64, total: u64) -> io::Result<()> {
        self.write(&Entry::Lost {
            time,
            events,
            total,
        })
    }

    /// Writes that `events` more verdicts came too fast for this reader of the agent's events.
    pub(crate) fn missed(&mut self, time: &str, events: u64, total: u64) -> io::Result<()> {
        self.write(&Entry::Missed {
            time,
            events,
            total,
        })
    }

    /// Writes that `events` more verdicts of an interface were not logged, for it has a limit;
    /// `total` since it was attached.
    pub(crate) fn suppressed(
        &mut self,
        time: &str,
        interface: &str,
        reason: &str,
        (events, total): (u64, u64),
    ) -> io::Result<()> {
        self.write(&Entry::Suppressed {
            time,
            interface,
            reason,
            events,
            total,
        })
    }

    /// Writes a message of the programs of an interface.
    pub(crate) fn message(
        &mut self,
        time: &str,
        interface: &str,
        level: &str,
        text: &str,
    ) -> io::Result<()> {
        self.write(&Entry::Message {
            time,
            interface,
            level,
            text,
        })
    }

    /// Makes sure that everything written so far is seen.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }

    fn write(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        match &self.form {
            Form::Text => self.write_text(entry),
            Form::Json => {
                serde_json::to_writer(&mut self.stream, entry)?;
                self.stream.write_all(b"\n")
            }
            Form::FlowLog(format) => match entry {
                Entry::Verdict(event) => match event.event.record() {
                    Some(record) => writeln!(self.stream, "{}", format.line(&record)),
                    None => Ok(()),
                },
                Entry::Lost { .. } | Entry::Missed { .. } => {
                    // Of which interface is not known: the buffer is the host's.
                    let now = jiff::Timestamp::now().as_second();
                    writeln!(self.stream, "{}", format.gap("-", now, now, Gap::SkipData))
                }
                Entry::Suppressed { interface, .. } => {
                    let now = jiff::Timestamp::now().as_second();
                    let line = format.gap(interface, now, now, Gap::SkipData);
                    writeln!(self.stream, "{line}")
                }
                Entry::Message {
                    interface, text, ..
                } => {
                    // The format has no place for it.
                    note(format_args!("{interface}: {text}"));
                    Ok(())
                }
            },
        }
    }

    fn write_text(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        match entry {
            Entry::Verdict(event) => writeln!(self.stream, "{event}"),
            Entry::Lost {
                time,
                events,
                total,
            } => {
                let time = Tone::Quiet.paint(time);
                let text = Tone::Notable.paint(lost_text(*events, *total));
                writeln!(self.stream, "{time} {text}")
            }
            Entry::Missed {
                time,
                events,
                total,
            } => {
                let time = Tone::Quiet.paint(time);
                let text = Tone::Notable.paint(missed_text(*events, *total));
                writeln!(self.stream, "{time} {text}")
            }
            Entry::Suppressed {
                time,
                interface,
                reason,
                events,
                total,
            } => {
                let time = Tone::Quiet.paint(time);
                let text = Tone::Notable.paint(suppressed_text(reason, *events, *total));
                writeln!(self.stream, "{time} {interface} … {text}")
            }
            Entry::Message {
                time,
                interface,
                level,
                text,
            } => {
                let time = Tone::Quiet.paint(time);
                let level = Tone::Bad.paint(level.to_ascii_uppercase());
                writeln!(self.stream, "{time} {interface} {level} {text}")
            }
        }
    }
}

/// Says how many events were lost.
fn lost_text(events: u64, total: u64) -> String {
    if events == total {
        let events = counted(total, "event");
        format!("{events} lost since attach: the buffer was full")
    } else {
        let events = counted(events, "more event");
        format!("{events} lost: the buffer was full ({total} since attach)")
    }
}

/// Says how many events this reader missed.
fn missed_text(events: u64, total: u64) -> String {
    let events = counted(events, "event");
    format!("{events} missed: they came faster than they were read ({total} so far)")
}

/// Says how many verdicts were not logged.
fn suppressed_text(reason: &str, events: u64, total: u64) -> String {
    let is_pass = |each: &&Reason| each.name() == reason && each.verdict() == Verdict::Pass;
    let what = match Reason::ALL.iter().find(is_pass) {
        Some(_) => "verdict",
        None => "drop",
    };
    if events == total {
        let events = counted(total, what);
        format!("{events} not logged since attach: {reason}, over log_limit")
    } else {
        let events = counted(events, &format!("more {what}"));
        format!("{events} not logged: {reason}, over log_limit ({total} since attach)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verb::output::event::tests::view;

    fn written(form: Form, write: impl FnOnce(&mut Log<Vec<u8>>) -> io::Result<()>) -> String {
        let mut log = Log::new(Vec::new(), form);
        write(&mut log).expect("memory");
        let text = String::from_utf8(log.stream).expect("UTF-8");
        anstream::adapter::strip_str(&text).to_string()
    }

    #[test]
    fn text_is_one_line_per_entry() {
        let text = written(Form::Text, |log| {
            log.verdict(&view())?;
            assert_eq!(log.verdicts(), 1);
            log.lost("NOW", 1, 1)?;
            log.lost("NOW", 7, 8)?;
            log.suppressed("NOW", "eth0", "no-rule", (7, 7))?;
            log.suppressed("NOW", "eth0", "no-rule", (1, 8))?;
            log.message("NOW", "eth0", "error", "zone 3 has no settings")
        });
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].contains(" DENY  no-rule tcp "), "{text}");
        assert_eq!(
            lines[1],
            "NOW 1 event lost since attach: the buffer was full"
        );
        assert_eq!(
            lines[2],
            "NOW 7 more events lost: the buffer was full (8 since attach)"
        );
        assert_eq!(
            lines[3],
            "NOW eth0 … 7 drops not logged since attach: no-rule, over log_limit"
        );
        assert_eq!(
            lines[4],
            "NOW eth0 … 1 more drop not logged: no-rule, over log_limit (8 since attach)"
        );
        assert_eq!(lines[5], "NOW eth0 ERROR zone 3 has no settings");
    }

    #[test]
    fn json_lines_tell_their_type() {
        let text = written(Form::Json, |log| {
            log.verdict(&view())?;
            log.lost("NOW", 7, 8)?;
            log.message("NOW", "eth0", "error", "zone 3 has no settings")
        });
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        assert_eq!(lines[0]["type"], "verdict");
        assert_eq!(lines[0]["reason"], "no-rule");
        assert_eq!(
            lines[1],
            serde_json::json!({"type": "lost", "time": "NOW", "events": 7, "total": 8})
        );
        assert_eq!(lines[2]["type"], "message");
        assert_eq!(lines[2]["level"], "error");
    }

    #[test]
    fn flow_logs_have_a_line_per_packet_and_tell_of_gaps() {
        let text = written(Form::FlowLog(flowlog::Format::default()), |log| {
            log.verdict(&view())?;
            log.lost("NOW", 7, 8)
        });
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[0],
            "2 - eth0 203.0.113.7 10.0.1.5 40000 443 6 1 74 1772366401 1772366401 REJECT OK"
        );
        assert!(lines[1].starts_with("2 - - - - - - - - - "), "{text}");
        assert!(lines[1].ends_with(" - SKIPDATA"), "{text}");
    }
}
