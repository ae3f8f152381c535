//! What is printed, and how: every domain thing has its words, its table row and its JSON here,
//! once.
//!
//! Text is always made with colours; the streams of `anstream` take them out again when they are
//! not wanted. In a pipe nothing is cut off; a terminal shows what it has columns for, unless --wide
//! asks for all.

pub(crate) mod change;
pub(crate) mod deadline;
pub(crate) mod event;
pub(crate) mod flow;
pub(crate) mod names;
pub(crate) mod packet;
pub(crate) mod problem;
pub(crate) mod rule;
pub(crate) mod state;
pub(crate) mod table;
pub(crate) mod time;

use std::fmt::{self, Display};
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use anstyle::{AnsiColor, Effects, Style};
use schemars::JsonSchema;
use serde::Serialize;

/// Whether text is printed in full on a terminal that is too narrow for it.
static WIDE: AtomicBool = AtomicBool::new(false);

/// Asks for text in full, on any terminal.
pub(crate) fn set_wide(wide: bool) {
    WIDE.store(wide, Ordering::Relaxed);
}

/// The columns that there are for text; `None` where it is no terminal that reads it.
pub(crate) fn width() -> Option<usize> {
    if WIDE.load(Ordering::Relaxed) || !io::stdout().is_terminal() {
        return None;
    }
    table::terminal().filter(|columns| *columns > 0)
}

/// What a word says about the state of things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As it should be.
    Good,
    /// Something is refused or broken.
    Bad,
    /// Something deserves a look.
    Notable,
    /// Less important than what stands beside it.
    Quiet,
    /// A heading.
    Heading,
}

impl Tone {
    /// The colours of the tone.
    pub(crate) const fn style(self) -> Style {
        match self {
            Self::Good => AnsiColor::Green.on_default(),
            Self::Bad => AnsiColor::Red.on_default().effects(Effects::BOLD),
            Self::Notable => AnsiColor::Yellow.on_default(),
            Self::Quiet => Style::new().effects(Effects::DIMMED),
            Self::Heading => Style::new().effects(Effects::BOLD),
        }
    }

    /// Writes `text` in the tone.
    pub(crate) fn paint(self, text: impl Display) -> String {
        let style = self.style();
        format!("{style}{text}{style:#}")
    }
}

/// A number with its noun: `1 event`, `2 events`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// Writes a last line, where there is one.
pub(crate) fn last_line(f: &mut fmt::Formatter<'_>, line: Option<&impl Display>) -> fmt::Result {
    match line {
        Some(line) => writeln!(f, "{line}"),
        None => Ok(()),
    }
}

/// The word that a setting has in rule files, and so in JSON.
pub(crate) fn word(setting: &impl Serialize) -> String {
    match serde_json::to_value(setting) {
        Ok(serde_json::Value::String(word)) => word,
        // Settings are enumerations without data.
        Ok(_) | Err(_) => String::new(),
    }
}

/// Prints text to standard output; `text` brings its own line ends. A reader that has gone away
/// (`sg-ctl test | grep -q`) is no reason not to go on, and does not change how the command ends.
///
/// # Errors
/// When the stream cannot be written.
pub(crate) fn text(text: impl Display) -> io::Result<()> {
    let mut stream = anstream::stdout().lock();
    let written = write!(stream, "{text}").and_then(|()| stream.flush());
    although_gone(written)
}

/// What came of writing, where nobody needs to read it.
///
/// # Errors
/// When the stream cannot be written.
pub(crate) fn although_gone(written: io::Result<()>) -> io::Result<()> {
    written.or_else(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    })
}

/// Prints text in place of what stood on the terminal before; below it when it is no terminal.
///
/// # Errors
/// When the stream cannot be written.
pub(crate) fn screen(text: impl Display) -> io::Result<()> {
    let mut stream = anstream::stdout().lock();
    if stream.is_terminal() {
        // Home, and erase what is below (ECMA-48 CUP, ED).
        io::stdout().write_all(b"\x1b[H\x1b[J")?;
    }
    writeln!(stream, "{text}")?;
    stream.flush()
}

/// Prints an answer: as one JSON document, or as text.
///
/// # Errors
/// When the stream cannot be written.
pub(crate) fn print<V: Serialize + JsonSchema + Display>(view: &V, json: bool) -> io::Result<()> {
    if json { self::json(view) } else { text(view) }
}

/// Prints an answer, and beside its text what else the user should know: in JSON the answer has it.
///
/// # Errors
/// When the stream cannot be written.
pub(crate) fn print_with_notes<V: Serialize + JsonSchema + Display>(
    view: &V,
    notes: impl IntoIterator<Item = impl Display>,
    json: bool,
) -> io::Result<()> {
    print(view, json)?;
    for text in notes.into_iter().filter(|_| !json) {
        note(text);
    }
    Ok(())
}

/// Prints one JSON document to standard output, as [`text`] does. An answer of a verb has a schema,
/// which scripts may rely on: `sg-ctl schema --output`.
///
/// # Errors
/// When the stream cannot be written.
pub(crate) fn json(value: &(impl Serialize + JsonSchema)) -> io::Result<()> {
    // Standard output alone would be written line by line.
    let mut stream = io::BufWriter::new(io::stdout().lock());
    let written = serde_json::to_writer_pretty(&mut stream, value).map_err(io::Error::from);
    let written = written.and_then(|()| stream.write_all(b"\n"));
    although_gone(written.and_then(|()| stream.flush()))
}

/// Tells the user something beside the data, on standard error.
pub(crate) fn note(text: impl Display) {
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// What a view prints, without colours.
#[cfg(test)]
pub(crate) fn plain(view: &impl Display) -> String {
    anstream::adapter::strip_str(&view.to_string()).to_string()
}
