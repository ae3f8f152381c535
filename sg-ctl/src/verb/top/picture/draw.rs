//! Draws a picture on a screen of any size.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::verb::output::Tone;
use crate::verb::output::table::{Sheet, Word};
use crate::verb::top::picture::screen::{Pane, Screen};
use crate::verb::top::picture::{FlowsBy, Picture};

/// Blanks between columns.
const GAP: usize = 2;
/// Rows of notes at most.
const NOTES: usize = 4;

const HELP: &str = "\
1  everything           s          flows by bits or packets
2  verdicts by reason   p          pause
3  flows                up, down   look further down
4  drops                q          quit
tab  the next of them   ?          close this help

Rates are of the last interval. PASSED and DROPPED count since attach.
All drops are counted; those listed come from the agent.";

/// Draws the picture as it was chosen.
pub(crate) fn draw(frame: &mut Frame<'_>, picture: &Picture<'_>, screen: &Screen) {
    let mut notes = picture.notes();
    notes.truncate(NOTES);
    let [top, middle, body, bottom] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(notes.len() as u16),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let paused = if screen.is_paused { "  PAUSED" } else { "" };
    let head = Line::from(vec![
        Span::raw(picture.summary()),
        Span::styled(paused, style(Tone::Notable)),
    ]);
    frame.render_widget(Paragraph::new(head), top);
    let notes = notes
        .into_iter()
        .map(|note| Line::styled(note, style(Tone::Notable)));
    frame.render_widget(Paragraph::new(notes.collect::<Vec<_>>()), middle);
    frame.render_widget(Paragraph::new(keys(screen)), bottom);
    if screen.is_helping {
        return frame.render_widget(Paragraph::new(HELP), body);
    }
    if picture.is_empty() {
        return frame.render_widget(Paragraph::new("no interface is attached: waiting"), body);
    }
    match screen.pane {
        Pane::Everything => {
            let interfaces = picture.interfaces();
            // A title, headings and rows, and half of the room at most.
            let wanted = (interfaces.rows.len() + 2).min(usize::from(body.height / 2));
            let [above, flows, drops] = Layout::vertical([
                Constraint::Length(wanted as u16),
                Constraint::Fill(1),
                Constraint::Fill(1),
            ])
            .areas(body);
            list(frame, above, "interfaces", &interfaces, 0);
            list(frame, flows, flows_title(screen), &picture.flows(), 0);
            list(frame, drops, "latest drops", &picture.drops(), 0);
        }
        Pane::Verdicts => {
            let sheet = picture.verdicts();
            list(frame, body, "verdicts by reason", &sheet, screen.above);
        }
        Pane::Flows => {
            let sheet = picture.flows();
            list(frame, body, flows_title(screen), &sheet, screen.above);
        }
        Pane::Drops => {
            let sheet = picture.drops();
            list(frame, body, "latest drops", &sheet, screen.above);
        }
    }
}

const fn flows_title(screen: &Screen) -> &'static str {
    match screen.order {
        FlowsBy::Bits => "flows by bits per second",
        FlowsBy::Packets => "flows by packets per second",
    }
}

/// The line that tells the keys; the pane that is shown stands out.
fn keys(screen: &Screen) -> Line<'static> {
    let panes = Pane::ALL.into_iter().enumerate().flat_map(|(index, pane)| {
        let text = format!("{} {}", index + 1, pane.name());
        let tone = if pane == screen.pane {
            Tone::Heading
        } else {
            Tone::Quiet
        };
        [Span::styled(text, style(tone)), Span::raw("  ")]
    });
    let rest = Span::styled("s order  p pause  ? help  q quit", style(Tone::Quiet));
    panes.chain([rest]).collect()
}

/// Draws a title, headings, and as many rows as there is room for.
fn list(frame: &mut Frame<'_>, area: Rect, title: &'static str, sheet: &Sheet, above: usize) {
    let room = usize::from(area.height).saturating_sub(2);
    // The last page is as far as one can go.
    let above = above.min(sheet.rows.len().saturating_sub(room));
    let rows = &sheet.rows[above..sheet.rows.len().min(above + room)];
    let headings: Vec<_> = sheet
        .headings
        .iter()
        .map(|heading| Word::new(heading.trim_start_matches('>')).in_tone(Tone::Heading))
        .collect();
    let widths: Vec<usize> = (0..headings.len())
        .map(|column| {
            let words = rows.iter().chain([&headings]).map(|row| &row[column]);
            words.map(width).max().unwrap_or(0)
        })
        .collect();
    let line = |row: &Vec<Word>| -> Line<'static> {
        let cells = row.iter().zip(sheet.headings).zip(&widths);
        let spans = cells.flat_map(|((word, heading), width_of_column)| {
            let blanks = width_of_column - width(word);
            let (before, after) = if heading.starts_with('>') {
                (blanks, GAP)
            } else {
                (0, blanks + GAP)
            };
            let text = Span::styled(word.text.clone(), word.tone.map_or(Style::new(), style));
            [
                Span::raw(" ".repeat(before)),
                text,
                Span::raw(" ".repeat(after)),
            ]
        });
        spans.collect()
    };
    let title = Line::styled(format!("── {title} "), style(Tone::Quiet));
    let lines = [title, line(&headings)];
    let lines: Vec<_> = lines.into_iter().chain(rows.iter().map(line)).collect();
    frame.render_widget(Paragraph::new(lines), area);
}

fn width(word: &Word) -> usize {
    Span::raw(word.text.as_str()).width()
}

/// The colours of a tone on the screen.
const fn style(tone: Tone) -> Style {
    let style = Style::new();
    match tone {
        Tone::Good => style.fg(Color::Green),
        Tone::Bad => style.fg(Color::Red).add_modifier(Modifier::BOLD),
        Tone::Notable => style.fg(Color::Yellow),
        Tone::Quiet => style.add_modifier(Modifier::DIM),
        Tone::Heading => style.add_modifier(Modifier::BOLD),
    }
}
