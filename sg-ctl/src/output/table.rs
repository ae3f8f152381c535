//! Tables: a heading and aligned columns, two blanks between them, nothing else.

use std::fmt;

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, presets};

use super::Tone;

/// A table that is being filled.
pub(crate) struct Table(comfy_table::Table);

impl Table {
    /// An empty table. A heading that begins with `>` belongs to a column of numbers.
    pub(crate) fn new(headings: &[&str]) -> Self {
        let mut table = comfy_table::Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled)
            .enforce_styling()
            .set_header(
                headings
                    .iter()
                    .map(|heading| Tone::Heading.cell(heading.trim_start_matches('>'))),
            );
        table.style_text_only();
        for (column, heading) in table.column_iter_mut().zip(headings) {
            column.set_padding((0, 2));
            if heading.starts_with('>') {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        Self(table)
    }

    /// Adds a row.
    pub(crate) fn push<C: Into<Cell>>(&mut self, cells: impl IntoIterator<Item = C>) {
        self.0
            .add_row(cells.into_iter().map(Into::into).collect::<Vec<Cell>>());
    }
}

/// A word in a tone, or in none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) tone: Option<Tone>,
}

impl Word {
    /// A plain word.
    pub(crate) fn new(text: &(impl ToString + ?Sized)) -> Self {
        Self {
            text: text.to_string(),
            tone: None,
        }
    }

    /// The same in a tone.
    pub(crate) fn in_tone(self, tone: Tone) -> Self {
        Self {
            tone: Some(tone),
            ..self
        }
    }
}

/// The contents of a table that is printed, or drawn on a part of the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sheet {
    /// Those that begin with `>` belong to columns of numbers.
    pub(crate) headings: &'static [&'static str],
    pub(crate) rows: Vec<Vec<Word>>,
}

impl From<&Sheet> for Table {
    fn from(sheet: &Sheet) -> Self {
        let mut table = Self::new(sheet.headings);
        for row in &sheet.rows {
            table.push(row.iter().map(|word| match word.tone {
                Some(tone) => tone.cell(&word.text),
                None => Cell::new(&word.text),
            }));
        }
        table
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.0.lines() {
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

impl Tone {
    /// A table cell in the tone.
    pub(crate) fn cell(self, text: impl ToString) -> Cell {
        let cell = Cell::new(text);
        match self {
            Self::Good => cell.fg(Color::DarkGreen),
            Self::Bad => cell.fg(Color::DarkRed).add_attribute(Attribute::Bold),
            Self::Notable => cell.fg(Color::DarkYellow),
            Self::Quiet => cell.add_attribute(Attribute::Dim),
            Self::Heading => cell.add_attribute(Attribute::Bold),
        }
    }
}

/// A dash for what is empty, so that columns can be told apart by a program.
pub(crate) fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_without_colours() {
        let mut table = Table::new(&["NAME", ">COUNT", "NOTE"]);
        table.push([Cell::new("web"), Cell::new(7), Tone::Bad.cell("down")]);
        table.push([Cell::new("database"), Cell::new(1234), Cell::new("")]);
        let plain = anstream::adapter::strip_str(&table.to_string()).to_string();
        assert_eq!(
            plain,
            "NAME      COUNT  NOTE\n\
             web           7  down\n\
             database   1234\n"
        );
    }
}
