//! What is wrong with texts, where, and what to do about it.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

use super::Source;
use super::document::Span;

/// Bytes of a source line that are shown before and after its marked part: JSON may be one line.
const CONTEXT_BYTES: usize = 80;

/// Whether a diagnostic stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The files cannot be used.
    Error,
    /// The files can be used, but probably not as meant.
    Warning,
}

/// One finding in one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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

/// Everything found in a set of files, in the order of the files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Report {
    /// The findings.
    pub diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// The number of errors.
    pub fn errors(&self) -> usize {
        self.diagnostics
            .iter()
            .filter(|found| found.severity == Severity::Error)
            .count()
    }
}

impl Report {
    /// The report with the colours of a terminal.
    pub fn styled(&self) -> String {
        self.render(&Renderer::styled())
    }

    /// Every finding, and a last line that counts the errors if there are any.
    fn render(&self, renderer: &Renderer) -> String {
        let mut blocks: Vec<String> = self
            .diagnostics
            .iter()
            .map(|found| found.render(renderer))
            .collect();
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
    /// The beginning of a source, for what concerns all of it.
    pub(crate) const fn of_file(file: usize) -> Self {
        Self::outside_keys(Span {
            file,
            line: 1,
            column: 1,
            start: 0,
            end: 0,
        })
    }

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
    found: Vec<Diagnostic>,
}

impl<'a> Problems<'a> {
    /// Nothing found yet.
    pub(crate) const fn new(sources: &'a [Source]) -> Self {
        Self {
            sources,
            found: Vec::new(),
        }
    }

    /// Whether nothing was found.
    pub(crate) const fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Reports an error.
    pub(crate) fn error(&mut self, at: &At, message: impl Into<String>, help: impl Into<String>) {
        self.report(Severity::Error, at, message.into(), help.into());
    }

    /// Reports a warning.
    pub(crate) fn warning(&mut self, at: &At, message: impl Into<String>, help: impl Into<String>) {
        self.report(Severity::Warning, at, message.into(), help.into());
    }

    /// The place as other messages name it: `web.yaml:3:5`.
    pub(crate) fn place(&self, at: &At) -> String {
        format!("{}:{}:{}", self.file(at), at.span.line, at.span.column)
    }

    /// The name of the file of a place.
    pub(crate) fn file(&self, at: &At) -> &str {
        self.sources
            .get(at.span.file)
            .map_or("", |source| &source.name)
    }

    /// Ends the collection: the findings in the order of their places.
    pub(crate) fn finish(mut self) -> Report {
        let order = |name: &str| self.sources.iter().position(|source| source.name == name);
        self.found
            .sort_by_key(|found| (order(&found.file), found.line, found.column));
        Report {
            diagnostics: self.found,
        }
    }

    fn report(&mut self, severity: Severity, at: &At, message: String, help: String) {
        let (excerpt, marked) = match self.sources.get(at.span.file) {
            Some(source) => excerpt(&source.text, &at.span),
            None => (String::new(), 0..0),
        };
        self.found.push(Diagnostic {
            severity,
            file: self.file(at).to_owned(),
            line: at.span.line,
            column: at.span.column,
            field: at.field.clone(),
            message,
            help,
            excerpt,
            marked,
        });
    }
}

/// The line of `text` in which `span` begins, cut to the neighbourhood of the span, and the part
/// of it that the span marks.
fn excerpt(text: &str, span: &Span) -> (String, Range<usize>) {
    // YAML ends lines with either sign, or with both.
    const LINE_ENDS: [char; 2] = ['\n', '\r'];
    let start = text.floor_char_boundary(span.start);
    let line_start = text[..start].rfind(LINE_ENDS).map_or(0, |end| end + 1);
    let line_end = text[start..]
        .find(LINE_ENDS)
        .map_or(text.len(), |length| start + length);
    let end = text.floor_char_boundary(span.end.clamp(start, line_end));
    let from = text.ceil_char_boundary(line_start.max(start.saturating_sub(CONTEXT_BYTES)));
    let to = text.floor_char_boundary(line_end.min(end.saturating_add(CONTEXT_BYTES)));
    (text[from..to].to_owned(), start - from..end - from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: usize, end: usize) -> Span {
        Span {
            file: 0,
            line: 1,
            column: 1,
            start,
            end,
        }
    }

    #[test]
    fn an_excerpt_is_the_line_of_the_span() {
        assert_eq!(
            excerpt("a: 1\nb: 22\nc: 3\n", &span(8, 10)),
            ("b: 22".to_owned(), 3..5)
        );
        assert_eq!(
            excerpt("a: 1\nb: [\n1]\n", &span(8, 12)),
            ("b: [".to_owned(), 3..4)
        );
        assert_eq!(excerpt("a: 1", &span(4, 4)), ("a: 1".to_owned(), 4..4));
        assert_eq!(
            excerpt("a\rb: 1\r\n", &span(2, 8)),
            ("b: 1".to_owned(), 0..4)
        );
    }

    #[test]
    fn an_excerpt_of_a_long_line_is_short() {
        let text = format!("{}é1{}", "é".repeat(500), "é".repeat(500));
        let (line, marked) = excerpt(&text, &span(1002, 1003));
        assert_eq!(&line[marked], "1");
        assert!(line.len() <= 2 * CONTEXT_BYTES + 1, "{}", line.len());
    }
}
