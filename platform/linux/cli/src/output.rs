// SPDX-License-Identifier: MIT OR Apache-2.0
//! How an answer leaves the program: as text or as JSON, never both.
//!
//! Colour is written into the text always and taken out again by `anstream`
//! where the stream is no terminal (or NO_COLOR is set); nothing is said by
//! colour alone.

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use std::io::Write;

/// Text or JSON.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// JSON was asked for.
    pub(crate) json: bool,
}

/// All is well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// Look at this.
pub(crate) const DOUBTFUL: Style = AnsiColor::Yellow.on_default();
/// Something is wrong.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// A heading.
pub(crate) const STRONG: Style = Style::new().bold();

/// Text in a style.
pub(crate) fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

impl Output {
    /// Prints an answer: `value` as JSON over several lines, or the text.
    pub(crate) fn answer<T: Serialize>(
        self,
        value: &T,
        text: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        let text = if self.json {
            serde_json::to_string_pretty(value)?
        } else {
            text()
        };
        self.print(&text)
    }

    /// Prints one entry of an endless list: JSON on one line, or the text.
    pub(crate) fn entry<T: Serialize>(
        self,
        value: &T,
        text: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        let text = if self.json {
            serde_json::to_string(value)?
        } else {
            text()
        };
        self.print(&text)
    }

    /// Prints what has a form of its own, and is neither text for people nor JSON.
    pub(crate) fn plain(self, text: &str) -> anyhow::Result<()> {
        self.print(text)
    }

    fn print(self, text: &str) -> anyhow::Result<()> {
        let mut stream = anstream::stdout().lock();
        writeln!(stream, "{}", text.trim_end_matches('\n'))?;
        stream.flush()?;
        Ok(())
    }
}

/// A register or an address, as JSON writes it: a string, because numbers
/// above 2^53 do not survive every reader.
pub(crate) fn hexadecimal(value: u64) -> String {
    format!("{value:#x}")
}
