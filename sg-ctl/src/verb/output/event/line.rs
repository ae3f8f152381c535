//! A verdict as a line of text.

use std::fmt::{self, Display};

use crate::verb::output::event::EventView;
use crate::verb::output::{Tone, packet};

/// Where the time of day stands in a time, to the second.
const TIME_OF_DAY: std::ops::Range<usize> = 11..19;

impl Display for EventView {
    /// Writes one line without its end: time, interface, direction, verdict, reason, protocol,
    /// source and destination as on the wire, then `name=value` details.
    ///
    /// On a terminal that is too narrow it is shorter: the time of day must do for the time, `in` and
    /// `out` for the direction, flags have no name, and details are left out, but for those that `explain --log` needs.
    /// `{:80}` is as on one of 80 columns.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = self.event.direction.name();
        let full = self.line(&self.time, format_args!("{direction:8}"), None);
        let Some(room) = f.width().or_else(super::super::width) else {
            return f.write_str(&full);
        };
        if length(&full) <= room {
            return f.write_str(&full);
        }
        let time = self.time.get(TIME_OF_DAY).unwrap_or(&self.time);
        let direction = direction.trim_end_matches("bound");
        f.write_str(&self.line(time, direction, Some(room)))
    }
}

/// Columns that a text takes.
fn length(text: &str) -> usize {
    anstream::adapter::strip_str(text).map(str::len).sum()
}

impl EventView {
    /// The line, with as many details as there is room for, and in columns if there is room for all.
    fn line(&self, time: &str, direction: impl Display, room: Option<usize>) -> String {
        let event = &self.event;
        let (tone, verdict) = self.verdict_text();
        let padding = if room.is_none() { 5 } else { 0 };
        let mut line = format!(
            "{} {} {direction} {} {}",
            Tone::Quiet.paint(time),
            event.interface,
            tone.paint(format_args!("{verdict:padding$}")),
            event.reason_name(),
        );
        line.extend(self.protocol().map(|protocol| format!(" {protocol}")));
        let ends = self.ends();
        line.extend(ends.map(|[source, destination]| format!(" {source} -> {destination}")));
        if let Some(flags) = event.tcp_flags {
            let flags = packet::tcp_flag_names(flags);
            let name = if room.is_none() { "flags=" } else { "" };
            line.extend([" ", name, &flags.join(",")]);
        }
        line.extend(
            event
                .icmp
                .map(|(kind, code)| format!(" type={kind} code={code}")),
        );
        let mut more = Vec::new();
        if !event.vlan.is_empty() {
            let ids: Vec<_> = event.vlan.iter().map(u16::to_string).collect();
            more.push(format!(" vlan={}", ids.join(".")));
        }
        more.push(format!(" length={}", event.length));
        more.extend(event.rule.as_ref().map(|rule| format!(" {rule}")));
        for detail in more {
            if room.is_none_or(|room| length(&line) + detail.len() <= room) {
                line += &detail;
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use crate::verb::explain::logline::LogLine;
    use crate::verb::output::event::tests::view;

    #[test]
    fn a_narrow_terminal_gets_what_counts_and_explain_still_reads_it() {
        let plain = |text: String| anstream::adapter::strip_str(&text).to_string();
        let line = plain(format!("{:80}", view()));
        assert_eq!(
            line,
            "12:00:01 eth0 in DENY no-rule tcp 203.0.113.7:40000 -> 10.0.1.5:443 SYN"
        );
        let full = plain(view().to_string());
        assert_eq!(plain(format!("{:200}", view())), full);
        let probe = |line: &str| LogLine::parse(line).and_then(|read| read.probe());
        let [short, long] = [&line, &full].map(|line| probe(line).expect("a packet").to_string());
        assert_eq!(short, long);
    }
}
