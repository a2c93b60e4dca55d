// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the rig says about itself, on standard error, so that standard output
//! stays the guest's. Colour only on a terminal, and never under NO_COLOR.

use std::env;
use std::io::{IsTerminal, stderr, stdout};

/// One line about what the rig is doing.
pub(crate) fn remark(text: &str) {
    eprintln!("{} {text}", paint(stderr().is_terminal(), "36", "rig:"));
}

/// One line about something that went wrong.
pub(crate) fn complain(text: &str) {
    eprintln!("{} {text}", paint(stderr().is_terminal(), "31", "rig:"));
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
