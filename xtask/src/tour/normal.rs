//! Replaces what differs from walk to walk: times of day, spans of time, clients' ports.

use std::fmt::Write as _;

/// Clients' ports are at least this (`net.ipv4.ip_local_port_range`).
const FIRST_CLIENT_PORT: u32 = 32_768;

/// What has been replaced, so that the same is replaced by the same.
#[derive(Default)]
pub(super) struct Normal {
    ports: Vec<u32>,
}

impl Normal {
    /// Returns the text with other times and ports.
    pub(super) fn text(&mut self, text: &str) -> String {
        let text = ages(text);
        let mut out = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let taken = time(rest, &mut out)
                .or_else(|| self.port(rest, &mut out))
                .or_else(|| span(rest, &mut out));
            let taken = taken.unwrap_or_else(|| {
                let first = rest.chars().next();
                out.extend(first);
                first.map_or(1, char::len_utf8)
            });
            rest = &rest[taken..];
        }
        out
    }

    /// A client's port, behind its address and a colon, or in words.
    fn port(&mut self, rest: &str, out: &mut String) -> Option<usize> {
        let length = digits(rest);
        let port: u32 = rest[..length].parse().ok()?;
        let is_port = out.ends_with(':') || out.ends_with("port ");
        if !is_port || length != 5 || port < FIRST_CLIENT_PORT {
            return None;
        }
        let known = self.ports.iter().position(|known| *known == port);
        let index = known.unwrap_or_else(|| {
            self.ports.push(port);
            self.ports.len() - 1
        });
        let _ = write!(out, "{}", 40_001 + index);
        Some(length)
    }
}

/// `2026-11-23T15:12:19.455+00:00`, also with six digits: always the same moment, for whether two
/// packets come in one millisecond is chance.
fn time(rest: &str, out: &mut String) -> Option<usize> {
    const SHAPE: &str = "0000-00-00T00:00:00.";
    if !has_shape(rest, SHAPE) {
        return None;
    }
    let digits = digits(&rest[SHAPE.len()..]);
    let end = SHAPE.len() + digits + "+00:00".len();
    let zone = rest.get(end - "+00:00".len()..end)?;
    let _ = write!(out, "2026-01-01T12:00:00.{}{zone}", "0".repeat(digits));
    Some(end)
}

/// How long a command took.
fn span(rest: &str, out: &mut String) -> Option<usize> {
    if !out.ends_with(" took ") && !out.ends_with(" in ") {
        return None;
    }
    let length = digits(rest);
    let unit = ["ms", "s"]
        .into_iter()
        .find(|unit| length > 0 && rest[length..].starts_with(unit))?;
    out.push_str("5ms");
    Some(length + unit.len())
}

/// The columns that say how long ago something was, or for how long it has been: a second each.
fn ages(text: &str) -> String {
    let mut out = String::new();
    let mut ends = Vec::new();
    for line in text.split_inclusive('\n') {
        let mut line = line.to_owned();
        if line.starts_with("INTERFACE ") {
            ends = [" AGE ", " IDLE ", " LAST-HIT ", " COUNTED "]
                .into_iter()
                .filter_map(|title| Some(line.find(title)? + title.len() - 1))
                .collect();
        }
        for end in &ends {
            let Some(cell) = line.get(..*end) else {
                continue;
            };
            let start = cell.rfind("  ").map_or(0, |blanks| blanks + 2);
            let words = cell[start..].split(' ').map(|word| {
                let is_span = word.starts_with(|first: char| first.is_ascii_digit());
                if is_span { "1s" } else { word }
            });
            let words: Vec<_> = words.collect();
            line.replace_range(
                start..*end,
                &format!("{:>1$}", words.join(" "), end - start),
            );
        }
        out.push_str(&line);
    }
    out
}

/// Whether a text begins like the shape, where 0 stands for any digit.
fn has_shape(text: &str, shape: &str) -> bool {
    let same = |(byte, shape): (u8, u8)| match shape {
        b'0' => byte.is_ascii_digit(),
        _ => byte == shape,
    };
    text.len() >= shape.len() && text.bytes().zip(shape.bytes()).all(same)
}

/// How many digits a text begins with.
fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_ports_are_replaced_by_the_same_each_time() {
        let mut normal = Normal::default();
        assert_eq!(
            normal.text(
                "2026-11-23T15:12:19.455+00:00 vb 192.0.2.1:47818 -> 192.0.2.2:80\n\
                 2026-11-23T15:12:20.000001+00:00 vb 192.0.2.2:80 -> 192.0.2.1:47818, “ü”\n"
            ),
            "2026-01-01T12:00:00.000+00:00 vb 192.0.2.1:40001 -> 192.0.2.2:80\n\
             2026-01-01T12:00:00.000000+00:00 vb 192.0.2.2:80 -> 192.0.2.1:40001, “ü”\n"
        );
        let again = "at 2026-11-23T15:12:19.455+00:00 from 192.0.2.1:33528, took 412ms";
        assert_eq!(
            normal.text(again),
            "at 2026-01-01T12:00:00.000+00:00 from 192.0.2.1:40002, took 5ms"
        );
    }

    #[test]
    fn ages_of_flows_are_replaced_where_they_stand() {
        assert_eq!(
            ages("INTERFACE  AGE  IDLE  EXPIRES\neth0       12s    3s    4d23h\n"),
            "INTERFACE  AGE  IDLE  EXPIRES\neth0        1s    1s    4d23h\n"
        );
    }

    #[test]
    fn ages_of_rules_are_replaced_where_they_stand() {
        assert_eq!(
            ages(
                "INTERFACE  LAST-HIT  COUNTED  GROUP\neth0        12s ago  for 35s  shop\neth0          never  for 35s  shop\n"
            ),
            "INTERFACE  LAST-HIT  COUNTED  GROUP\neth0         1s ago   for 1s  shop\neth0          never   for 1s  shop\n"
        );
    }

    #[test]
    fn other_numbers_stay() {
        let text = "tcp 8000-8100, 10.0.0.0/8, :8080, 47818 packets, in 1m00s, 2026-11-23, 90ms";
        assert_eq!(Normal::default().text(text), text);
    }
}
