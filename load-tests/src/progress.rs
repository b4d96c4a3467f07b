//! Progress for a person at a terminal; silent when standard error is not one.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts steps of one stage.
pub(crate) struct Progress {
    stage: &'static str,
    total: usize,
    done: AtomicUsize,
    shown: bool,
}

impl Progress {
    pub(crate) fn new(stage: &'static str, total: usize) -> Self {
        Self {
            stage,
            total,
            done: AtomicUsize::new(0),
            shown: std::io::stderr().is_terminal(),
        }
    }

    /// One more is done.
    pub(crate) fn step(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        // At most a hundred redraws a stage.
        if self.shown && (done == self.total || done.is_multiple_of((self.total / 100).max(1))) {
            eprint!("\r{}: {done} of {}   ", self.stage, self.total);
            let _ = std::io::stderr().flush();
        }
    }

    /// So many are done now.
    pub(crate) fn reach(&self, done: usize) {
        let before = self.done.swap(done, Ordering::Relaxed);
        if self.shown && (done == self.total || done * 100 / self.total > before * 100 / self.total)
        {
            eprint!("\r{}: {done} of {}   ", self.stage, self.total);
            let _ = std::io::stderr().flush();
        }
    }

    /// Ends the line.
    pub(crate) fn end(&self) {
        if self.shown {
            eprintln!();
        }
    }
}
