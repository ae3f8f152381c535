//! Where bytes are: a place is one number through all sources, its line and column are looked up.
//!
//! A tree of millions of nodes keeps two numbers for each; only what is reported needs more.

use std::cell::OnceCell;

use super::Source;

/// Bytes from one mark to the next: so many are counted, at most, for one place.
const STEP: usize = 4096;

/// A stretch of all sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Where it begins: bytes of the sources before its own, and of its own.
    pub(crate) start: u32,
    /// Where the byte past its last one is.
    pub(crate) end: u32,
}

/// A place as people name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Index of the source.
    pub(crate) file: usize,
    /// Bytes of the source before it.
    pub(crate) byte: usize,
    /// Line, from 1.
    pub(crate) line: u32,
    /// Column in characters, from 1.
    pub(crate) column: u32,
}

/// The places of all sources.
#[derive(Debug)]
pub(crate) struct Places<'a> {
    sources: &'a [Source],
    /// Where each source begins; the places past its end are its own, too. Whatever lies beyond
    /// 4 GiB has no place.
    starts: Vec<Option<u32>>,
    /// Line and column at every [`STEP`] of each source that was asked for.
    marks: Vec<OnceCell<Vec<Mark>>>,
}

/// What was counted so far.
#[derive(Clone, Copy, Debug)]
struct Mark {
    line: u32,
    column: u32,
    /// Whether the last sign was a carriage return, which a line feed belongs to.
    after_return: bool,
}

impl Mark {
    const BEGIN: Self = Self {
        line: 1,
        column: 1,
        after_return: false,
    };

    /// Goes on over `bytes`.
    fn over(mut self, bytes: &[u8]) -> Self {
        for byte in bytes {
            match byte {
                b'\n' if self.after_return => {}
                b'\n' | b'\r' => {
                    self.line += 1;
                    self.column = 1;
                }
                // Only the first byte of a character counts.
                0x80..=0xbf => {}
                _ => self.column += 1,
            }
            self.after_return = *byte == b'\r';
        }
        self
    }
}

impl<'a> Places<'a> {
    pub(crate) fn new(sources: &'a [Source]) -> Self {
        let mut next = 0_usize;
        let start = |source: &Source| {
            let start = next;
            next += source.text.len() + 1;
            u32::try_from(next)
                .ok()
                .and_then(|_| u32::try_from(start).ok())
        };
        Self {
            sources,
            starts: sources.iter().map(start).collect(),
            marks: vec![OnceCell::new(); sources.len()],
        }
    }

    /// Where a source begins; `None` if the sources are too long to number all of it.
    pub(crate) fn start_of(&self, file: usize) -> Option<u32> {
        self.starts.get(file).copied().flatten()
    }

    /// The source that a place is in, and the bytes of it before the place.
    pub(crate) fn source(&self, place: u32) -> (usize, usize) {
        let begun = |start: &Option<u32>| start.is_some_and(|start| start <= place);
        let file = self.starts.partition_point(begun).saturating_sub(1);
        let start = self.start_of(file).unwrap_or_default();
        (file, (place - start) as usize)
    }

    /// A place with its line and column.
    pub(crate) fn find(&self, place: u32) -> Place {
        let (file, byte) = self.source(place);
        let bytes = self
            .sources
            .get(file)
            .map_or(&b""[..], |source| source.text.as_bytes());
        let marks = self
            .marks
            .get(file)
            .map(|marks| marks.get_or_init(|| count(bytes)));
        let byte = byte.min(bytes.len());
        let before = marks.and_then(|marks| marks.get(byte / STEP));
        let mark = before
            .copied()
            .unwrap_or(Mark::BEGIN)
            .over(&bytes[byte / STEP * STEP..byte]);
        Place {
            file,
            byte,
            line: mark.line,
            column: mark.column,
        }
    }
}

/// The marks of a text: one at each [`STEP`], the first byte and the end included.
fn count(bytes: &[u8]) -> Vec<Mark> {
    let mut marks = vec![Mark::BEGIN];
    let mut mark = Mark::BEGIN;
    for step in bytes.chunks(STEP) {
        mark = mark.over(step);
        marks.push(mark);
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(texts: &[&str]) -> Vec<Source> {
        let source = |text: &&str| Source {
            name: "x.yaml".to_owned(),
            text: (*text).to_owned(),
        };
        texts.iter().map(source).collect()
    }

    #[test]
    fn a_place_is_in_its_source_and_line() {
        let sources = sources(&["", "a: 1\nb: é2\r\nc: 3\rd", "x"]);
        let places = Places::new(&sources);
        let of = |place| {
            let Place {
                file,
                byte,
                line,
                column,
            } = places.find(place);
            (file, byte, line, column)
        };
        assert_eq!(of(0), (0, 0, 1, 1));
        let second = places.start_of(1).expect("it is short");
        assert_eq!(of(second), (1, 0, 1, 1));
        assert_eq!(of(second + 5), (1, 5, 2, 1));
        assert_eq!(of(second + 10), (1, 10, 2, 5), "é is one column");
        assert_eq!(of(second + 13), (1, 13, 3, 1));
        assert_eq!(of(second + 18), (1, 18, 4, 1));
        assert_eq!(of(second + 19), (1, 19, 4, 2), "its end is its own");
        assert_eq!(of(second + 20), (2, 0, 1, 1));
    }

    #[test]
    fn places_far_behind_are_counted_from_a_mark_nearby() {
        let text = "é\r\n".repeat(3 * STEP);
        let sources = sources(&[&text]);
        let places = Places::new(&sources);
        for byte in [0, STEP - 1, STEP, STEP + 1, 2 * STEP + 2, 4 * STEP] {
            let line = text[..text.floor_char_boundary(byte)].matches('\n').count() as u32;
            assert_eq!(places.find(byte as u32 / 4 * 4).line, line + 1);
        }
    }
}
