//! Terminal rendering, for a person who points a phone at it.

use crate::style::QUIET_ZONES;
use crate::symbol::Symbol;

/// Black on white, from the fixed part of the 256-colour palette: the sixteen colours below it follow the
/// terminal's theme, where "black" may be light.
const BLACK_ON_WHITE: &str = "\x1b[38;5;16;48;5;231m";
const RESET: &str = "\x1b[0m";

impl Symbol {
    /// Draws the symbol with a quiet zone of 4 as lines of half blocks: a character is one module wide and two high.
    ///
    /// Colours are set by ANSI escape sequences and reset at the end of each line, so that it can be scanned on
    /// dark and light terminals alike. Version 3, enough for a short URL, takes 37 columns and 19 lines.
    pub fn terminal(&self) -> String {
        let quiet_zone = i64::from(*QUIET_ZONES.start());
        let beyond = i64::from(self.modules()) + quiet_zone;
        let mut lines = String::new();
        for row in (-quiet_zone..beyond).step_by(2) {
            lines.push_str(BLACK_ON_WHITE);
            for column in -quiet_zone..beyond {
                lines.push(
                    match (self.is_dark(column, row), self.is_dark(column, row + 1)) {
                        (false, false) => ' ',
                        (true, false) => '\u{2580}',
                        (false, true) => '\u{2584}',
                        (true, true) => '\u{2588}',
                    },
                );
            }
            lines.push_str(RESET);
            lines.push('\n');
        }
        lines
    }
}
