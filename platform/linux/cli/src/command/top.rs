// SPDX-License-Identifier: MIT OR Apache-2.0
//! `mercury top`: the running system, live.
//!
//! The module is asked once an interval, as `mercury status` asks it; what is shown
//! is the difference of two answers (`history.rs`), drawn by ratatui (`view.rs`). On a
//! terminal it runs until `q`; with `--once` it prints one picture as text and ends,
//! for scripts and for consoles that are no terminal.
//!
//! Raw mode and the alternate screen are the terminal's, not ours: whatever ends the
//! program must put them back, a panic included (ratatui's hook does).

mod histogram;
mod history;
mod view;

use crate::arguments::Top;
use crate::exit::Exit;
use crate::output::Output;
use anyhow::{Context, Result, anyhow, ensure};
use history::History;
use mercury_device::Device;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::{DefaultTerminal, Terminal};
use std::io::{IsTerminal, stdin, stdout};
use std::thread;
use std::time::{Duration, Instant};

/// What `--once` draws on.
const WIDTH: u16 = 100;
const HEIGHT: u16 = 30;

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    End,
    Up,
    Down,
    Nothing,
}

/// Watches, or looks once.
pub(crate) fn run(options: &Top, output: Output) -> Result<Exit> {
    if output.json {
        return Err(anyhow!(
            "`mercury top` is for people: use `mercury status --json` or `mercury metrics`"
        ));
    }
    if !options.once {
        ensure!(
            stdin().is_terminal() && stdout().is_terminal(),
            "`mercury top` needs a terminal and standard input or output is none: \
             use `mercury top --once`, `mercury status` or `mercury metrics`"
        );
    }
    let device = Device::open()?;
    let mut history = History::new(device.info()?);
    history.take(&device, Instant::now())?;
    if options.once {
        thread::sleep(options.interval);
        history.take(&device, Instant::now())?;
        output.plain(&picture(&history, WIDTH, HEIGHT)?)?;
        return Ok(Exit::Success);
    }
    let mut terminal =
        ratatui::try_init().context("taking the terminal: raw mode and the alternate screen")?;
    let ended = watch(&mut terminal, &device, &mut history, options.interval);
    ratatui::restore();
    ended.map(|()| Exit::Success)
}

fn watch(
    terminal: &mut DefaultTerminal,
    device: &Device,
    history: &mut History,
    interval: Duration,
) -> Result<()> {
    let mut first_row = 0usize;
    loop {
        let next = Instant::now() + interval;
        terminal.draw(|frame| view::draw(frame, history, &mut first_row))?;
        loop {
            let left = next.saturating_duration_since(Instant::now());
            if !event::poll(left).context("waiting for a key")? {
                break;
            }
            match wish(&event::read().context("reading a key")?) {
                Wish::End => return Ok(()),
                Wish::Up => first_row = first_row.saturating_sub(1),
                Wish::Down => first_row = first_row.saturating_add(1),
                Wish::Nothing => {}
            }
            terminal.draw(|frame| view::draw(frame, history, &mut first_row))?;
        }
        history.take(device, Instant::now())?;
    }
}

fn wish(event: &Event) -> Wish {
    let Event::Key(key) = event else {
        return Wish::Nothing;
    };
    if key.kind == KeyEventKind::Release {
        return Wish::Nothing;
    }
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('c' | 'd') if control => Wish::End,
        KeyCode::Char('q') | KeyCode::Esc => Wish::End,
        KeyCode::Char('k') | KeyCode::Up => Wish::Up,
        KeyCode::Char('j') | KeyCode::Down => Wish::Down,
        _ => Wish::Nothing,
    }
}

/// One picture as text, without blanks at the ends of lines.
fn picture(history: &History, width: u16, height: u16) -> Result<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height))?;
    terminal.draw(|frame| view::draw(frame, history, &mut 0))?;
    let buffer = terminal.backend().buffer();
    let cells = buffer.content();
    let lines = cells.chunks(usize::from(width)).map(|row| {
        let line: String = row.iter().map(ratatui::buffer::Cell::symbol).collect();
        line.trim_end().to_owned()
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests;
