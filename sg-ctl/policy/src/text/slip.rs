//! Slips that people make in YAML and JSON, and that parsers explain badly or not at all.

use std::collections::HashMap;

use super::document::{Node, Tags, Value};
use super::places::Span;
use super::report::{At, Problems};

/// Bytes of a line that are looked at on either side: JSON may be one line.
const NEAR: usize = 400;
/// Spaces that are none to YAML: they come from web pages and word processors.
const FALSE_SPACES: [char; 4] = ['\u{a0}', '\u{200b}', '\u{2007}', '\u{202f}'];

/// What to do about a line that cannot be read, if it holds a known slip.
pub(super) fn in_line(text: &str, place: usize) -> Option<&'static str> {
    let place = text.floor_char_boundary(place);
    let from = text.ceil_char_boundary(place.saturating_sub(NEAR));
    let to = text.floor_char_boundary(place.saturating_add(NEAR));
    // The slip may end the line before, where the parser found that something is missing.
    let before = &text[from..place];
    let start = before
        .rfind('\n')
        .map_or(0, |end| before[..end].rfind('\n').map_or(0, |end| end + 1));
    let end = text[place..to].find('\n').unwrap_or(to - place);
    let lines = &text[from + start..place + end];
    if lines.contains(FALSE_SPACES) {
        return Some("there is a no-break space here: write plain spaces in its place");
    }
    let is_comment = |line: &str| {
        let line = line.trim_start();
        line.starts_with("//") || line.starts_with("/*") || line.contains(" // ")
    };
    lines.lines().any(is_comment).then_some(
        "neither JSON nor YAML knows `//`: begin comments with `#` in YAML, leave them out in JSON",
    )
}

/// Reports keys that are not what they seem; `None` if nothing after that would make sense.
pub(super) fn in_keys(
    entries: &[(Node, Node)],
    path: impl Fn() -> String,
    tags: Tags,
    problems: &mut Problems<'_>,
) -> Option<()> {
    let mut first: HashMap<&str, Span> = HashMap::new();
    let mut result = Some(());
    for (key, _) in entries {
        let Value::Scalar(name) = &key.value else {
            continue;
        };
        let at = || At {
            span: key.span,
            field: match path() {
                path if path.is_empty() => name.to_string(),
                path => format!("{path}.{name}"),
            },
        };
        if &**name == "<<" {
            let help = "write the keys out: merging is no part of YAML 1.2, and not done here";
            problems.error(&at(), "the merge key `<<` means nothing here", help);
            result = None;
        }
        if name.contains(FALSE_SPACES) {
            let help = "write plain spaces in its place";
            problems.error(&at(), "there is a no-break space in the key", help);
            result = None;
        }
        // Rule files report these with all the keys that lead there.
        if let (Some(earlier), Tags::Functions) = (first.insert(name, key.span), tags) {
            let line = problems.places().find(earlier.start).line;
            let message = format!("the key stands here twice, first in line {line}");
            problems.error(&at(), message, "keep one of the two");
        }
    }
    result
}
