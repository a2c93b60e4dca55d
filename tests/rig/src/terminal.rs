// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the rig says about itself, on standard error, so that standard output
//! stays the guest's. Colour only on a terminal, and never under NO_COLOR.

use indicatif::{ProgressBar, ProgressStyle};
use std::env;
use std::io::{IsTerminal, stderr, stdout};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What is under way, if somebody watches: lines go above it.
static WORK: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Long work, as long as this lives: on a terminal a line that moves, with the time that
/// it has taken. Elsewhere nothing at all. Of work within work the outer is shown.
#[derive(Debug)]
pub(crate) struct Work {
    shown: bool,
}

impl Work {
    /// Begins.
    pub(crate) fn begin(text: &str) -> Self {
        let bar = ProgressBar::new_spinner();
        let mut work = WORK.lock().unwrap_or_else(PoisonError::into_inner);
        if bar.is_hidden() || work.is_some() {
            return Self { shown: false };
        }
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.set_message(text.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        *work = Some(bar);
        Self { shown: true }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let mut work = WORK.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = work.take_if(|_| self.shown) {
            bar.finish_and_clear();
        }
    }
}

/// Prints something without the moving line in its way.
pub(crate) fn undisturbed(print: impl FnOnce()) {
    let work = WORK.lock().unwrap_or_else(PoisonError::into_inner);
    match &*work {
        Some(bar) => bar.suspend(print),
        None => print(),
    }
}

/// One line about what the rig is doing.
pub(crate) fn remark(text: &str) {
    undisturbed(|| eprintln!("{} {text}", paint(stderr().is_terminal(), "36", "rig:")));
}

/// One line about something that went wrong.
pub(crate) fn complain(text: &str) {
    undisturbed(|| eprintln!("{} {text}", paint(stderr().is_terminal(), "31", "rig:")));
}

/// A word of a verdict for standard output, green or red on a terminal.
pub(crate) fn judged(word: &str, good: bool) -> String {
    paint(stdout().is_terminal(), if good { "32" } else { "31" }, word)
}

fn paint(terminal: bool, colour: &str, text: &str) -> String {
    if terminal && env::var_os("NO_COLOR").is_none() {
        format!("\x1b[{colour}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tests have no terminal: nothing is shown, and nothing is left behind.
    #[test]
    fn work_is_quiet_without_a_terminal() {
        if stderr().is_terminal() {
            return;
        }
        let outer = Work::begin("outer");
        let inner = Work::begin("inner");
        assert!(!outer.shown && !inner.shown);
        let mut printed = false;
        undisturbed(|| printed = true);
        assert!(printed);
        drop((inner, outer));
        assert!(WORK.lock().unwrap().is_none());
    }
}
