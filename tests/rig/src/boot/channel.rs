// SPDX-License-Identifier: MIT OR Apache-2.0
//! The clean channel: what the script prints, and between it the lines that
//! are meant for the rig.
//!
//! Output is passed on as it comes, not line by line, so that a progress bar
//! in the guest moves. Only at the start of a line may something be held back,
//! and only while it could still become one of ours. Our lines come with a line
//! break of their own in front, in case the output before did not end in one;
//! where that break would show as an empty line it is swallowed.

const PREFIX: &[u8] = b"MERCURY-";

/// A line for the rig.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    /// `MERCURY-STATUS n`: the script ended.
    Status(u8),
    /// `MERCURY-RIG verb arguments`: the guest wants something.
    Request(String),
}

/// Takes the stream apart.
#[derive(Debug)]
pub(crate) struct Channel {
    held: Vec<u8>,
    at_line_start: bool,
}

impl Channel {
    /// At the start of the stream.
    pub(crate) fn new() -> Self {
        Self {
            held: Vec::new(),
            at_line_start: true,
        }
    }

    /// Takes more of the stream; gives what is output and what is for the rig.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> (Vec<u8>, Vec<Message>) {
        let mut shown = Vec::new();
        let mut messages = Vec::new();
        for &byte in bytes {
            if !self.held.is_empty() || self.at_line_start {
                self.held.push(byte);
                self.examine(&mut shown, &mut messages);
            } else {
                self.show(byte, &mut shown);
            }
        }
        (shown, messages)
    }

    /// What is still held back when the stream has ended.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    fn show(&mut self, byte: u8, shown: &mut Vec<u8>) {
        shown.push(byte);
        self.at_line_start = byte == b'\n';
    }

    /// Decides about what is held: still open, a message, or plain output.
    fn examine(&mut self, shown: &mut Vec<u8>, messages: &mut Vec<Message>) {
        let line = self.held.strip_prefix(b"\n").unwrap_or(&self.held);
        if line.len() < PREFIX.len() {
            if PREFIX.starts_with(line) {
                return;
            }
        } else if line.starts_with(PREFIX) {
            if line.last() != Some(&b'\n') {
                return;
            }
            if let Some(message) = parse(&line[..line.len() - 1]) {
                messages.push(message);
                self.held.clear();
                self.at_line_start = true;
                return;
            }
        }
        // Plain after all. A second line break may begin a message in turn.
        let held = std::mem::take(&mut self.held);
        for (at, &byte) in held.iter().enumerate() {
            if at > 0 && self.at_line_start {
                self.held.extend(&held[at..]);
                if self.held.len() < held.len() {
                    self.examine(shown, messages);
                    return;
                }
            }
            self.show(byte, shown);
        }
    }
}

fn parse(line: &[u8]) -> Option<Message> {
    let line = std::str::from_utf8(line).ok()?.trim_end_matches('\r');
    if let Some(status) = line.strip_prefix("MERCURY-STATUS ") {
        return status.trim().parse().ok().map(Message::Status);
    }
    line.strip_prefix("MERCURY-RIG ")
        .map(|request| Message::Request(request.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fed whole, and byte by byte: the same must come out.
    fn through(stream: &str) -> (String, Vec<Message>) {
        let mut whole = Channel::new();
        let (mut shown, messages) = whole.feed(stream.as_bytes());
        shown.extend(whole.finish());
        let mut single = Channel::new();
        let mut pieces = (Vec::new(), Vec::new());
        for byte in stream.bytes() {
            let (shown, messages) = single.feed(&[byte]);
            pieces.0.extend(shown);
            pieces.1.extend(messages);
        }
        pieces.0.extend(single.finish());
        assert_eq!((&shown, &messages), (&pieces.0, &pieces.1));
        (String::from_utf8(shown).unwrap(), messages)
    }

    #[test]
    fn the_status_is_taken_out() {
        let (shown, messages) = through("hello\n\nMERCURY-STATUS 3\n");
        assert_eq!(shown, "hello\n");
        assert_eq!(messages, [Message::Status(3)]);
    }

    #[test]
    fn output_without_a_last_line_break_is_kept_apart() {
        let (shown, messages) = through("no end\nMERCURY-STATUS 0\n");
        assert_eq!(shown, "no end\n");
        assert_eq!(messages, [Message::Status(0)]);
    }

    #[test]
    fn requests_stand_between_output() {
        let (shown, messages) = through("a\n\nMERCURY-RIG nmi 10 500\nb\n");
        assert_eq!(shown, "a\nb\n");
        assert_eq!(messages, [Message::Request("nmi 10 500".into())]);
    }

    #[test]
    fn what_only_looks_alike_is_output() {
        for text in [
            "say MERCURY-STATUS 1\n",
            "MERCURY-STATUS many\n",
            "MERCURIAL\n",
            "\n\n\nlines\n",
            "\n\nMERCURY is\n",
            "MERC",
        ] {
            assert_eq!(through(text), (text.to_owned(), Vec::new()));
        }
    }

    #[test]
    fn nothing_else_is_held_back() {
        let mut channel = Channel::new();
        assert_eq!(channel.feed(b"50 %").0, b"50 %");
        assert_eq!(channel.feed(b"\r51 %").0, b"\r51 %");
    }
}
