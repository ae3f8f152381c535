//! The lists of a picture: their columns, in words and short numbers.

use sg_ctl::host::Rate;
use sg_policy::model::Direction;

use crate::verb::output::names::RuleRef;
use crate::verb::output::table::{Sheet, Table, Word};
use crate::verb::output::{Tone, word};
use crate::verb::top::picture::{Amount, DirectionPart, Picture};

impl Picture<'_> {
    /// Interfaces and directions.
    pub(crate) fn interfaces(&self) -> Sheet {
        let rows = self.interfaces.iter().flat_map(|part| {
            let row = |direction: Direction, of: &DirectionPart| {
                let DirectionPart {
                    passed,
                    dropped,
                    audited,
                } = of;
                let through = passed.rate.zip(audited.rate);
                vec![
                    Word::new(part.name),
                    Word::new(&word(&part.state)).in_tone(part.state.tone()),
                    Word::new(direction.name()),
                    passed.packets_word(),
                    dropped.packets_word().alarming(Tone::Bad),
                    audited.packets_word().alarming(Tone::Notable),
                    Word::new(&bits(through.map(|(passed, audited)| passed.plus(audited)))),
                    Word::new(&passed.total.packets),
                    Word::new(&dropped.total.packets),
                ]
            };
            [
                row(Direction::Inbound, &part.inbound),
                row(Direction::Outbound, &part.outbound),
            ]
        });
        Sheet {
            headings: &[
                "INTERFACE",
                "STATE",
                "DIRECTION",
                ">PASS/S",
                ">DROP/S",
                ">AUDIT/S",
                ">BIT/S",
                ">PASSED",
                ">DROPPED",
            ],
            giving_way: &["AUDIT/S", "DROPPED", "PASSED", "BIT/S"],
            rows: rows.collect(),
        }
    }

    /// Reasons of verdicts.
    pub(crate) fn verdicts(&self) -> Sheet {
        let rows = self.interfaces.iter().flat_map(|part| {
            part.reasons.iter().map(|reason| {
                let tone = match reason.verdict {
                    "allow" => Tone::Good,
                    _ => Tone::Bad,
                };
                vec![
                    Word::new(part.name),
                    Word::new(reason.direction),
                    Word::new(reason.verdict).in_tone(tone),
                    Word::new(reason.reason),
                    reason.amount.packets_word(),
                    Word::new(&bits(reason.amount.rate)),
                    Word::new(&reason.amount.total.packets),
                    Word::new(&reason.amount.total.bytes),
                ]
            })
        });
        Sheet {
            headings: &[
                "INTERFACE",
                "DIRECTION",
                "VERDICT",
                "REASON",
                ">PACKETS/S",
                ">BIT/S",
                ">PACKETS",
                ">BYTES",
            ],
            giving_way: &["BYTES", "BIT/S", "DIRECTION"],
            rows: rows.collect(),
        }
    }

    /// Flows, those that carry most first.
    pub(crate) fn flows(&self) -> Sheet {
        let rows = self.flows.iter().map(|flow| {
            let packets =
                |rate: Option<Rate>| Word::new(&scaled(rate.map(|rate| rate.packets_per_second)));
            let rule = flow.view.rule.as_ref();
            let group = rule.and_then(|rule| rule.group.as_deref());
            vec![
                Word::new(&flow.view.interface),
                Word::new(&flow.view.protocol),
                Word::new(&flow.view.local_text()),
                Word::new(&flow.view.remote_text()),
                Word::new(flow.view.state),
                Word::new(&bits(flow.inbound)),
                Word::new(&bits(flow.outbound)),
                packets(flow.inbound),
                packets(flow.outbound),
                Word::new(&flow.bytes),
                Word::new(group.unwrap_or("-")),
                Word::new(&rule.map_or("-".to_owned(), RuleRef::id_text)),
            ]
        });
        Sheet {
            headings: &[
                "INTERFACE",
                "PROTOCOL",
                "LOCAL",
                "REMOTE",
                "STATE",
                ">BIT/S-IN",
                ">BIT/S-OUT",
                ">PACKETS/S-IN",
                ">PACKETS/S-OUT",
                ">BYTES",
                "GROUP",
                "RULE",
            ],
            giving_way: &[
                "RULE",
                "BYTES",
                "GROUP",
                "PACKETS/S-OUT",
                "PACKETS/S-IN",
                "INTERFACE",
                "STATE",
            ],
            rows: rows.collect(),
        }
    }

    /// The latest drops.
    pub(crate) fn drops(&self) -> Sheet {
        let rows = self.drops.iter().flatten().map(|view| {
            let [source, destination] = view.ends().unwrap_or(["-", "-"].map(str::to_owned));
            let event = &view.event;
            vec![
                Word::new(self.moment(&view.time)),
                Word::new(&event.interface),
                Word::new(event.direction.name()),
                Word::new(&event.reason_name()).in_tone(Tone::Bad),
                Word::new(view.protocol().as_deref().unwrap_or("-")),
                Word::new(&source),
                Word::new(&destination),
                Word::new(&event.length),
            ]
        });
        Sheet {
            headings: &[
                "TIME",
                "INTERFACE",
                "DIRECTION",
                "REASON",
                "PROTOCOL",
                "SOURCE",
                "DESTINATION",
                ">LENGTH",
            ],
            giving_way: &["LENGTH", "DIRECTION", "INTERFACE"],
            rows: rows.collect(),
        }
    }

    /// All of it as text.
    pub(crate) fn text(&self) -> String {
        let table = |sheet: &Sheet| match sheet.rows.len() {
            0 => String::new(),
            _ => format!("\n{}", Table::from(sheet)),
        };
        format!(
            "{}\n{}{}{}{}",
            self.summary(),
            table(&self.interfaces()),
            table(&self.verdicts()),
            table(&self.flows()),
            table(&self.drops())
        )
    }

    /// A time as it is shown beside the picture's own: without the date when that is the same.
    fn moment<'t>(&self, time: &'t str) -> &'t str {
        match (time.split_once('T'), self.time.split_once('T')) {
            (Some((date, clock)), Some((today, _))) if date == today => {
                clock.get(..12).unwrap_or(clock)
            }
            _ => time.get(..19).unwrap_or(time),
        }
    }
}

impl Amount {
    fn packets_word(&self) -> Word {
        Word::new(&scaled(self.rate.map(|rate| rate.packets_per_second)))
    }
}

impl Word {
    /// The same number in a tone, unless it is none.
    fn alarming(self, tone: Tone) -> Self {
        match self.text.as_str() {
            "0" | "-" => self,
            _ => self.in_tone(tone),
        }
    }
}

fn bits(rate: Option<Rate>) -> String {
    scaled(rate.map(|rate| rate.bits_per_second))
}

/// A rate in three digits: `0`, `0.4`, `12`, `1.23k`, `45.6M`; a dash for none.
pub(super) fn scaled(rate: Option<f64>) -> String {
    let Some(mut rate) = rate else {
        return "-".to_owned();
    };
    let mut units = ["", "k", "M", "G", "T"].into_iter().peekable();
    // What rounds up to four digits has the next unit.
    while rate >= 999.5 && units.len() > 1 {
        rate /= 1000.0;
        units.next();
    }
    let unit = units.next().unwrap_or_default();
    let digits = match (unit, rate) {
        (_, 0.0) => 0,
        ("", ..9.95) => 1,
        (_, ..9.995) if !unit.is_empty() => 2,
        (_, ..99.95) if !unit.is_empty() => 1,
        _ => 0,
    };
    format!("{rate:.digits$}{unit}")
}
