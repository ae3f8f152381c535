//! Tables: a heading and aligned columns, two blanks between them, nothing else. On a terminal that is
//! too narrow columns give way in the order that the table says, and what still is too wide is wrapped.

use std::fmt;

use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, presets,
};

use crate::verb::output::Tone;

/// Blanks between columns.
const GAP: usize = 2;

/// A table that is being filled.
pub(crate) struct Table {
    inner: comfy_table::Table,
    headings: Vec<String>,
    giving_way: &'static [&'static str],
}

impl Table {
    /// An empty table. A heading that begins with `>` belongs to a column of numbers.
    pub(crate) fn new(headings: &[&str]) -> Self {
        let names = headings.iter();
        let names: Vec<_> = names
            .map(|heading| heading.trim_start_matches('>').to_owned())
            .collect();
        let mut table = comfy_table::Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled)
            .enforce_styling()
            .set_header(names.iter().map(|name| Tone::Heading.cell(name)));
        table.style_text_only();
        for (column, heading) in table.column_iter_mut().zip(headings) {
            column.set_padding((0, GAP as u16));
            if heading.starts_with('>') {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        Self {
            inner: table,
            headings: names,
            giving_way: &[],
        }
    }

    /// The columns that are left out where there is no room for them, the least important first.
    pub(crate) fn giving_way(self, columns: &'static [&'static str]) -> Self {
        Self {
            giving_way: columns,
            ..self
        }
    }

    /// Adds a row.
    pub(crate) fn push<C: Into<Cell>>(&mut self, cells: impl IntoIterator<Item = C>) {
        self.inner
            .add_row(cells.into_iter().map(Into::into).collect::<Vec<Cell>>());
    }

    /// Writes the table as it fits a terminal of so many columns.
    fn fit(&self, f: &mut fmt::Formatter<'_>, room: usize) -> fmt::Result {
        let mut table = self.inner.clone();
        let widths = table.column_max_content_widths();
        let full = |width: &u16| usize::from(*width) + GAP;
        let mut width = widths.iter().map(full).sum::<usize>().saturating_sub(GAP);
        let mut left_out = Vec::new();
        for name in self.giving_way {
            if width <= room {
                break;
            }
            let Some(index) = self.headings.iter().position(|heading| heading == name) else {
                continue;
            };
            if let Some(column) = table.column_mut(index) {
                column.set_constraint(ColumnConstraint::Hidden);
                width -= full(&widths[index]);
                left_out.push(*name);
            }
        }
        if width > room {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(u16::try_from(room).unwrap_or(u16::MAX));
        }
        lines(&table, f)?;
        let names = left_out.join(", ");
        let note = format!("not shown: {names} (--wide)");
        match left_out.len() {
            0 => Ok(()),
            _ if note.len() <= room => writeln!(f, "{}", Tone::Quiet.paint(note)),
            count => writeln!(
                f,
                "{}",
                Tone::Quiet.paint(format!("{count} columns not shown (--wide)"))
            ),
        }
    }
}

/// The columns of the terminal that standard output is.
pub(super) fn terminal() -> Option<usize> {
    comfy_table::Table::new().width().map(usize::from)
}

fn lines(table: &comfy_table::Table, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for line in table.lines() {
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
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
    /// Columns that are left out where there is no room, the least important first.
    pub(crate) giving_way: &'static [&'static str],
    pub(crate) rows: Vec<Vec<Word>>,
}

impl From<&Sheet> for Table {
    fn from(sheet: &Sheet) -> Self {
        let mut table = Self::new(sheet.headings).giving_way(sheet.giving_way);
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
        // `{:80}` is as on a terminal of 80 columns.
        match f.width().or_else(super::width) {
            Some(room) => self.fit(f, room),
            None => lines(&self.inner, f),
        }
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
    fn columns_give_way_in_order_and_the_rest_is_wrapped() {
        let mut table = Table::new(&["NAME", ">COUNT", "NOTE"]).giving_way(&["NOTE", "COUNT"]);
        table.push(["web", "7", "a note of some length"]);
        let at = |room: usize| {
            let text = format!("{table:room$}");
            anstream::adapter::strip_str(&text).to_string()
        };
        let all = "NAME  COUNT  NOTE\nweb       7  a note of some length\n";
        assert_eq!(at(34), all);
        assert_eq!(
            at(33),
            "NAME  COUNT\nweb       7\nnot shown: NOTE (--wide)\n"
        );
        assert_eq!(at(10), "NAME\nweb\n2 columns not shown (--wide)\n");
        let mut table = Table::new(&["NAME", "GROUPS"]);
        table.push(["eth0", "one,two,three four"]);
        let text = anstream::adapter::strip_str(&format!("{table:18}")).to_string();
        assert!(text.lines().all(|line| line.len() <= 18), "{text}");
        assert!(text.contains("four"), "{text}");
    }

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
