//! What the user has chosen to see, by keys.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::verb::top::picture::FlowsBy;

/// Rows of a page.
const PAGE: usize = 20;

/// What fills the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Pane {
    /// Interfaces, flows and drops.
    #[default]
    Everything,
    /// Verdicts by reason.
    Verdicts,
    /// Flows.
    Flows,
    /// Drops.
    Drops,
}

impl Pane {
    /// All, in the order of their keys.
    pub(super) const ALL: [Self; 4] = [Self::Everything, Self::Verdicts, Self::Flows, Self::Drops];

    /// Its name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Everything => "everything",
            Self::Verdicts => "verdicts",
            Self::Flows => "flows",
            Self::Drops => "drops",
        }
    }

    /// The one that is so many further.
    const fn further(self, by: usize) -> Self {
        Self::ALL[(self as usize + by) % Self::ALL.len()]
    }
}

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pressed {
    /// To end.
    Quit,
    /// To draw anew, or nothing at all.
    Other,
}

/// What the user has chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Screen {
    /// What fills the screen.
    pub(super) pane: Pane,
    /// Which flows come first.
    pub(crate) order: FlowsBy,
    /// Whether the picture stands still.
    pub(crate) is_paused: bool,
    /// Whether the help is shown.
    pub(super) is_helping: bool,
    /// Rows of a list that are above the screen.
    pub(super) above: usize,
}

impl Screen {
    /// Takes a key.
    pub(crate) fn press(&mut self, key: KeyEvent) -> Pressed {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if is_control => return Pressed::Quit,
            KeyCode::Esc if self.is_helping => self.is_helping = false,
            KeyCode::Esc | KeyCode::Char('q') => return Pressed::Quit,
            KeyCode::Char('?' | 'h') => self.is_helping = !self.is_helping,
            KeyCode::Char('p' | ' ') => self.is_paused = !self.is_paused,
            KeyCode::Char('s') => {
                self.order = match self.order {
                    FlowsBy::Bits => FlowsBy::Packets,
                    FlowsBy::Packets => FlowsBy::Bits,
                }
            }
            KeyCode::Char(digit @ '1'..='4') => {
                self.show(Pane::ALL[digit as usize - '1' as usize]);
            }
            KeyCode::Tab => self.show(self.pane.further(1)),
            KeyCode::BackTab => self.show(self.pane.further(Pane::ALL.len() - 1)),
            KeyCode::Down | KeyCode::Char('j') => self.above += 1,
            KeyCode::Up | KeyCode::Char('k') => self.above = self.above.saturating_sub(1),
            KeyCode::PageDown => self.above += PAGE,
            KeyCode::PageUp => self.above = self.above.saturating_sub(PAGE),
            KeyCode::Home => self.above = 0,
            _ => {}
        }
        Pressed::Other
    }

    const fn show(&mut self, pane: Pane) {
        self.pane = pane;
        self.above = 0;
        self.is_helping = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pressed(keys: &[KeyCode]) -> Screen {
        let mut screen = Screen::default();
        for key in keys {
            assert_eq!(screen.press(KeyEvent::from(*key)), Pressed::Other);
        }
        screen
    }

    #[test]
    fn keys_choose_what_is_shown() {
        assert_eq!(pressed(&[KeyCode::Char('3')]).pane, Pane::Flows);
        assert_eq!(pressed(&[KeyCode::Tab, KeyCode::Tab]).pane, Pane::Flows);
        assert_eq!(pressed(&[KeyCode::BackTab]).pane, Pane::Drops);
        assert_eq!(pressed(&[KeyCode::Char('s')]).order, FlowsBy::Packets);
        assert!(pressed(&[KeyCode::Char('p')]).is_paused);
        assert_eq!(pressed(&[KeyCode::Char('p'); 2]), Screen::default());
        let down = [KeyCode::Char('2'), KeyCode::PageDown, KeyCode::Up];
        assert_eq!(pressed(&down).above, PAGE - 1);
        assert_eq!(pressed(&[KeyCode::Down, KeyCode::Char('4')]).above, 0);
    }

    #[test]
    fn some_keys_end_it_and_esc_ends_the_help_first() {
        let press = |screen: &mut Screen, key| screen.press(key);
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        for key in [KeyCode::Char('q').into(), KeyCode::Esc.into(), control_c] {
            assert_eq!(press(&mut Screen::default(), key), Pressed::Quit);
        }
        let mut screen = pressed(&[KeyCode::Char('?')]);
        assert!(screen.is_helping);
        assert_eq!(press(&mut screen, KeyCode::Esc.into()), Pressed::Other);
        assert!(!screen.is_helping);
    }
}
