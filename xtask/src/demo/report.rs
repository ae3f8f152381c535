//! What the demo prints: a table of the connections, and the log lines that prove it.

use anyhow::{Result, bail};
use console::{pad_str, style};

use super::{
    Logs,
    host::Attempt,
    story::{CONNECTIONS, Connection, Fate, Proof},
};

/// A connection with what became of it.
pub(super) struct Row<'a> {
    connection: &'static Connection,
    attempt: &'a Attempt,
    /// The log lines that prove it, as far as they were found.
    lines: Vec<Option<&'a str>>,
}

impl<'a> Row<'a> {
    /// Joins attempts with the lines of the log that speak of them.
    pub(super) fn all(attempts: &'a [Attempt], logs: &'a Logs) -> Vec<Self> {
        CONNECTIONS
            .iter()
            .zip(attempts)
            .map(|(connection, attempt)| Self {
                connection,
                attempt,
                lines: connection
                    .proofs
                    .iter()
                    .map(|proof| find(logs, connection, proof))
                    .collect(),
            })
            .collect()
    }

    /// What the client saw, `None` when it was neither the one nor the other.
    const fn seen(&self) -> Option<Fate> {
        match self.attempt {
            Attempt::Answered(_) => Some(Fate::Allow),
            Attempt::Silence => Some(Fate::Deny),
            Attempt::Failed(_) => None,
        }
    }

    /// Whether the client saw what it should, and the logs prove it.
    fn is_as_expected(&self) -> bool {
        self.seen() == Some(self.connection.expected) && self.lines.iter().all(Option::is_some)
    }

    /// What the client got.
    fn got(&self) -> String {
        match self.attempt {
            Attempt::Answered(text) => format!("“{text}”"),
            Attempt::Silence => "no answer".to_owned(),
            Attempt::Failed(text) => text.clone(),
        }
    }
}

/// The first line in the log of the proof's host that says what it should.
fn find<'a>(logs: &'a Logs, connection: &Connection, proof: &Proof) -> Option<&'a str> {
    let from = format!(" {}:", connection.from.address);
    let to = format!(" -> {}:{} ", connection.to.address, connection.port);
    let direction = format!(" {} ", proof.direction);
    let verdict = format!(" {} ", proof.verdict.word());
    let reason = format!(" {} ", proof.reason);
    let words = [&from, &to, &direction, &verdict, &reason];
    let (_, log) = logs.iter().find(|(host, _)| *host == proof.host)?;
    log.lines()
        .find(|line| words.iter().all(|word| line.contains(word.as_str())))
}

/// Prints the table.
pub(super) fn table(rows: &[Row<'_>]) {
    let width = rows
        .iter()
        .map(|row| row.connection.title().chars().count());
    let width = width.max().unwrap_or(0);
    let title = pad_str("CONNECTION", width, console::Alignment::Left, None);
    println!(
        "{}",
        style(format!(" #  {title}  EXPECTED  SEEN   CLIENT GOT")).bold()
    );
    let mut last = 0;
    for row in rows {
        let connection = row.connection;
        let number = if connection.number == last {
            " ".to_owned()
        } else {
            connection.number.to_string()
        };
        last = connection.number;
        let title = connection.title();
        let title = pad_str(&title, width, console::Alignment::Left, None);
        println!(
            " {number}  {title}  {}  {}  {}",
            paint(connection.expected, 8),
            match row.seen() {
                Some(fate) if fate == connection.expected => paint(fate, 5),
                Some(fate) => style(format!("{:5}", fate.word())).red().reverse(),
                None => style("?    ".to_owned()).red().reverse(),
            },
            row.got()
        );
        let because = style(connection.because).dim();
        println!("    {because}");
    }
}

fn paint(fate: Fate, width: usize) -> console::StyledObject<String> {
    let word = style(format!("{:width$}", fate.word()));
    match fate {
        Fate::Allow => word.green(),
        Fate::Deny => word.red(),
    }
}

/// Prints the log lines that prove each connection's fate.
pub(super) fn proofs(rows: &[Row<'_>]) {
    for row in rows {
        for (proof, line) in row.connection.proofs.iter().zip(&row.lines) {
            let number = row.connection.number;
            let host = style(format!("{number}  {:10}", proof.host.title)).bold();
            match line {
                Some(line) => println!(" {host}  {}", coloured(line)),
                None => println!(
                    " {host}  {}",
                    style(format!(
                        "no line says {} {} {}",
                        proof.direction,
                        proof.verdict.word(),
                        proof.reason
                    ))
                    .red()
                ),
            }
        }
    }
}

/// A line of the log with its verdict in colour, as sg-ctl shows it on a terminal.
fn coloured(line: &str) -> String {
    let mut line = line.to_owned();
    for fate in [Fate::Allow, Fate::Deny] {
        line = line.replacen(fate.word(), &paint(fate, 0).to_string(), 1);
    }
    line
}

/// Succeeds if each connection fared as its rules say.
///
/// # Errors
/// Names those that did not.
pub(super) fn conclude(rows: &[Row<'_>]) -> Result<()> {
    let mut others: Vec<_> = rows
        .iter()
        .filter(|row| !row.is_as_expected())
        .map(|row| row.connection.number.to_string())
        .collect();
    others.dedup();
    if !others.is_empty() {
        bail!(
            "not as the rules say, or not proven: connections {}",
            others.join(", ")
        );
    }
    println!(
        "{}",
        style("All four connections fared as their rules say.").green()
    );
    Ok(())
}
