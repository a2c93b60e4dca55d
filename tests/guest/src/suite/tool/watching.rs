// SPDX-License-Identifier: MIT OR Apache-2.0
//! `mercury metrics` and `mercury top`: what they say, and how they end.

use super::ends;
use crate::tool;
use anyhow::{Context, Result, ensure};
use nix::libc;
use nix::pty::{Winsize, openpty};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

/// Prometheus' text says what `status` says; the file is there at once and whole.
pub(super) fn metrics(state: &str) -> Result<()> {
    const FILE: &str = "/tmp/mercury.prom";
    let said = ends(&["metrics"], 0)?;
    fs::write(FILE, "old").context("writing the file that metrics replace")?;
    ends(&["metrics", "--output", FILE], 0)?;
    for text in [said, fs::read_to_string(FILE)?] {
        let asked = text
            .lines()
            .any(|line| line.starts_with("mercury_exits_total{cpu=\"0\",reason=\"hypercall\"}"));
        ensure!(
            text.contains(&format!("mercury_state{{state=\"{state}\"}} 1\n"))
                && asked == (state == "attached"),
            "{state}, and metrics say: {text}"
        );
    }
    fs::remove_file(FILE).context("removing the file of metrics")?;
    ends(&["metrics", "--json"], 1)?;
    Ok(())
}

/// One picture as text; on a terminal, until somebody presses `q`; and where there is
/// none, a sentence.
pub(super) fn top(state: &str) -> Result<()> {
    let said = ends(&["top", "--once"], 0)?;
    ensure!(
        said.contains(state) && said.contains("by reason") && said.contains("hole "),
        "{state}, and top says: {said}"
    );
    let output = tool::run(&mut tool::mercury(&["top"]))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(1) && complaint.contains("top --once"),
        "without a terminal, top ends with {} and says: {complaint}",
        output.status
    );
    on_a_terminal(state)
}

fn on_a_terminal(state: &str) -> Result<()> {
    let size = Winsize {
        ws_row: 30,
        ws_col: 100,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let pty = openpty(Some(&size), None).context("opening a terminal")?;
    let slave = File::from(pty.slave);
    let child = tool::mercury(&["top"])
        .stdin(Stdio::from(slave.try_clone()?))
        .stdout(Stdio::from(slave))
        .stderr(Stdio::piped())
        .spawn()
        .context("starting mercury top on a terminal")?;
    let mut master = File::from(pty.master);
    let mut keys = master.try_clone()?;
    // Two looks, then the key that ends it.
    let presser = thread::spawn(move || {
        thread::sleep(Duration::from_millis(2500));
        keys.write_all(b"q")
    });
    let mut screen = Vec::new();
    // A terminal that nobody has open any more answers EIO.
    if let Err(error) = master.read_to_end(&mut screen) {
        ensure!(
            error.raw_os_error() == Some(libc::EIO),
            "reading the terminal: {error}"
        );
    }
    let output = child.wait_with_output()?;
    presser
        .join()
        .map_err(|_| anyhow::anyhow!("the thread that presses keys died"))?
        .context("pressing q")?;
    let screen = String::from_utf8_lossy(&screen);
    ensure!(
        output.status.success(),
        "on a terminal, top ends with {} and says: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    // The alternate screen was taken and given back, and the mode stood on it.
    ensure!(
        screen.contains("\x1b[?1049h") && screen.contains("\x1b[?1049l") && screen.contains(state),
        "{state}, and on a terminal top shows: {screen:?}"
    );
    Ok(())
}
