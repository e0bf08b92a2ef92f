//! What has happened last, in words, for a schedule that has failed and is run again.

use std::collections::VecDeque;

/// How much is kept.
const LAST: usize = 400;

/// The last events. They are put into words only while somebody wants to read them.
#[derive(Default)]
pub struct Trace {
    wanted: bool,
    step: u64,
    last: VecDeque<String>,
}

impl Trace {
    pub fn new(wanted: bool) -> Self {
        Self {
            wanted,
            ..Self::default()
        }
    }

    pub fn next_step(&mut self) {
        self.step += 1;
    }

    pub fn note(&mut self, what: impl FnOnce() -> String) {
        if self.wanted {
            if self.last.len() == LAST {
                self.last.pop_front();
            }
            self.last.push_back(format!("{:>6}  {}", self.step, what()));
        }
    }

    pub fn lines(&self) -> String {
        self.last
            .iter()
            .fold(String::new(), |lines, line| lines + line + "\n")
    }
}
