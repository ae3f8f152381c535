//! What is wrong with texts, where, and what to do about it.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use schemars::JsonSchema;
use serde::Serialize;

use super::Source;
use super::places::{Places, Span};

/// Findings that are kept of each severity: nobody reads more, and the first ones tell the rest.
const MAX_FINDINGS: usize = 100;
/// Bytes of a source line that are shown before and after its marked part: JSON may be one line.
const CONTEXT_BYTES: usize = 80;

/// Whether a diagnostic stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The files cannot be used.
    Error = 0,
    /// The files can be used, but probably not as meant.
    Warning = 1,
}

/// One finding in one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// The file as it was named to us.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Path of keys to the place, such as `security_groups.web.inbound[1].ports`.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: String,
    /// The part of the source line that is shown.
    #[serde(skip)]
    excerpt: String,
    /// The bytes of `excerpt` that are marked.
    #[serde(skip)]
    marked: Range<usize>,
}

impl Diagnostic {
    /// The finding as compilers show it: place and message, source line with carets, remedy.
    fn render(&self, renderer: &Renderer) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let field = if self.field.is_empty() { "" } else { ": " };
        let title = format!(
            "{}:{}:{}: {}{field}{}",
            self.file, self.line, self.column, self.field, self.message
        );
        let source = Snippet::source(&self.excerpt)
            .line_start(self.line as usize)
            .annotation(AnnotationKind::Primary.span(self.marked.clone()));
        let group = Group::with_title(level.primary_title(title))
            .element(source)
            .element(Level::HELP.message(self.help.as_str()));
        renderer.render(&[group])
    }
}

/// What was found in a set of files, in the order of the files: of many findings the first ones,
/// errors before warnings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Report {
    /// The findings.
    pub diagnostics: Vec<Diagnostic>,
    /// Errors and warnings, those that are not shown included.
    #[serde(skip)]
    counts: [usize; 2],
}

impl Report {
    /// The number of errors.
    pub const fn errors(&self) -> usize {
        self.counts[Severity::Error as usize]
    }

    /// The number of warnings.
    pub const fn warnings(&self) -> usize {
        self.counts[Severity::Warning as usize]
    }

    /// The number of findings that are not among [`Report::diagnostics`].
    pub const fn omitted(&self) -> usize {
        self.errors() + self.warnings() - self.diagnostics.len()
    }

    /// The report with the colours of a terminal.
    pub fn styled(&self) -> String {
        self.render(&Renderer::styled())
    }

    /// Every finding, and last lines that count what is not shown, and the errors.
    fn render(&self, renderer: &Renderer) -> String {
        let mut blocks: Vec<String> = self
            .diagnostics
            .iter()
            .map(|found| found.render(renderer))
            .collect();
        if self.omitted() > 0 {
            blocks.push(format!("{} more findings are not shown", self.omitted()));
        }
        match self.errors() {
            0 => {}
            1 => blocks.push("1 error; nothing was changed".to_owned()),
            errors => blocks.push(format!("{errors} errors; nothing was changed")),
        }
        blocks.join("\n\n")
    }
}

impl fmt::Display for Report {
    /// Writes the report without colours.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(&Renderer::plain()))
    }
}

impl std::error::Error for Report {}

/// A place in a text: where it is, and which keys lead there.
#[derive(Clone, Debug)]
pub(crate) struct At {
    /// The place in the text.
    pub(crate) span: Span,
    /// The path of keys.
    pub(crate) field: String,
}

impl At {
    /// The beginning of everything.
    pub(crate) const NOWHERE: Self = Self::outside_keys(Span { start: 0, end: 0 });

    /// A place that no key leads to.
    pub(crate) const fn outside_keys(span: Span) -> Self {
        Self {
            span,
            field: String::new(),
        }
    }
}

/// Collects findings, so that one run reports all of them.
#[derive(Debug)]
pub(crate) struct Problems<'a> {
    sources: &'a [Source],
    places: Places<'a>,
    /// Those of each severity that are kept, by [`Severity`].
    found: [Vec<Found>; 2],
    /// How many there were of each severity.
    counts: [usize; 2],
}

/// A finding whose words are not yet put together.
#[derive(Debug)]
struct Found {
    severity: Severity,
    at: At,
    message: String,
    help: String,
    /// Which it is of all: findings of one place stay in their order.
    number: usize,
}

impl Found {
    const fn place(&self) -> (u32, usize) {
        (self.at.span.start, self.number)
    }
}

impl<'a> Problems<'a> {
    /// Nothing found yet.
    pub(crate) fn new(sources: &'a [Source]) -> Self {
        Self {
            sources,
            places: Places::new(sources),
            found: [Vec::new(), Vec::new()],
            counts: [0; 2],
        }
    }

    /// Whether nothing was found.
    pub(crate) const fn is_empty(&self) -> bool {
        self.counts[0] + self.counts[1] == 0
    }

    /// Reports an error.
    pub(crate) fn error(&mut self, at: &At, message: impl Into<String>, help: impl Into<String>) {
        self.report(Severity::Error, at, message.into(), help.into());
    }

    /// Reports a warning.
    pub(crate) fn warning(&mut self, at: &At, message: impl Into<String>, help: impl Into<String>) {
        self.report(Severity::Warning, at, message.into(), help.into());
    }

    /// Where things are in the sources.
    pub(crate) const fn places(&self) -> &Places<'a> {
        &self.places
    }

    /// The beginning of a source, for what concerns all of it.
    pub(crate) fn start_of(&self, file: usize) -> At {
        let start = self.places.start_of(file).unwrap_or_default();
        At::outside_keys(Span { start, end: start })
    }

    /// The place as other messages name it: `web.yaml:3:5`.
    pub(crate) fn place(&self, at: &At) -> String {
        let place = self.places.find(at.span.start);
        format!("{}:{}:{}", self.file(at), place.line, place.column)
    }

    /// The name of the file of a place.
    pub(crate) fn file(&self, at: &At) -> &str {
        let (file, _) = self.places.source(at.span.start);
        self.sources.get(file).map_or("", |source| &source.name)
    }

    /// The line of a place, from 1.
    pub(crate) fn line(&self, at: &At) -> u32 {
        self.places.find(at.span.start).line
    }

    /// Ends the collection: the findings in the order of their places.
    pub(crate) fn finish(self) -> Report {
        let (sources, places) = (self.sources, self.places);
        let [mut errors, mut warnings] = self.found;
        for found in [&mut errors, &mut warnings] {
            keep_first(found, MAX_FINDINGS);
        }
        warnings.truncate(MAX_FINDINGS - errors.len());
        let mut shown = errors;
        shown.append(&mut warnings);
        shown.sort_by_key(Found::place);
        Report {
            diagnostics: shown
                .into_iter()
                .map(|found| diagnostic(sources, &places, found))
                .collect(),
            counts: self.counts,
        }
    }

    fn report(&mut self, severity: Severity, at: &At, message: String, help: String) {
        let number = self.counts[0] + self.counts[1];
        self.counts[severity as usize] += 1;
        let found = &mut self.found[severity as usize];
        found.push(Found {
            severity,
            at: at.clone(),
            message,
            help,
            number,
        });
        if found.len() == 2 * MAX_FINDINGS {
            keep_first(found, MAX_FINDINGS);
        }
    }
}

/// Keeps the findings that come first in the files, in order.
fn keep_first(found: &mut Vec<Found>, count: usize) {
    found.sort_by_key(Found::place);
    found.truncate(count);
}

fn diagnostic(sources: &[Source], places: &Places<'_>, found: Found) -> Diagnostic {
    let place = places.find(found.at.span.start);
    let length = found.at.span.end.saturating_sub(found.at.span.start) as usize;
    let source = sources.get(place.file);
    let (excerpt, marked) = source.map_or((String::new(), 0..0), |source| {
        excerpt(&source.text, place.byte..place.byte + length)
    });
    Diagnostic {
        severity: found.severity,
        file: source.map_or_else(String::new, |source| source.name.clone()),
        line: place.line,
        column: place.column,
        field: found.at.field,
        message: found.message,
        help: found.help,
        excerpt,
        marked,
    }
}

/// The line of `text` in which `span` begins, cut to the neighbourhood of the span, and the part
/// of it that the span marks.
fn excerpt(text: &str, span: Range<usize>) -> (String, Range<usize>) {
    // YAML ends lines with either sign, or with both.
    const LINE_ENDS: [char; 2] = ['\n', '\r'];
    // What fills a line of megabytes is shown by its beginning.
    let last = span.end.min(span.start.saturating_add(CONTEXT_BYTES));
    let start = text.floor_char_boundary(span.start);
    let nearest = text.ceil_char_boundary(start.saturating_sub(CONTEXT_BYTES));
    let from = text[nearest..start]
        .rfind(LINE_ENDS)
        .map_or(nearest, |end| nearest + end + 1);
    let line_end = text[start..text.floor_char_boundary(last.max(start))]
        .find(LINE_ENDS)
        .map(|length| start + length);
    let end = line_end.unwrap_or_else(|| text.floor_char_boundary(last.max(start)));
    let farthest = text.floor_char_boundary(end.saturating_add(CONTEXT_BYTES));
    let to = text[end..farthest]
        .find(LINE_ENDS)
        .map_or(farthest, |length| end + length);
    (text[from..to].to_owned(), start - from..end - from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_the_line_of_the_span() {
        assert_eq!(
            excerpt("a: 1\nb: 22\nc: 3\n", 8..10),
            ("b: 22".to_owned(), 3..5)
        );
        assert_eq!(
            excerpt("a: 1\nb: [\n1]\n", 8..12),
            ("b: [".to_owned(), 3..4)
        );
        assert_eq!(excerpt("a: 1", 4..4), ("a: 1".to_owned(), 4..4));
        assert_eq!(excerpt("a\rb: 1\r\n", 2..8), ("b: 1".to_owned(), 0..4));
    }

    #[test]
    fn an_excerpt_of_a_long_line_is_short() {
        let text = format!("{}é1{}", "é".repeat(500), "é".repeat(500));
        let (line, marked) = excerpt(&text, 1002..1003);
        assert_eq!(&line[marked], "1");
        assert!(line.len() <= 2 * CONTEXT_BYTES + 1, "{}", line.len());
        let (line, marked) = excerpt(&text, 0..2002);
        assert!(line.len() <= 2 * CONTEXT_BYTES + 1, "{}", line.len());
        assert_eq!(marked, 0..CONTEXT_BYTES);
    }
}
