// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fork, exec, pipes: a child process that sends back what it was sent, again
//! and again, every byte compared.

use super::Stop;
use anyhow::{Context, Result, ensure};
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::thread;

/// More than a pipe holds, so that both ends have to wait for each other.
const BYTES: usize = 192 * 1024;

/// The child: every byte comes back, inverted.
pub(super) fn echo() -> Result<()> {
    let (mut input, mut output) = (std::io::stdin(), std::io::stdout());
    let mut buffer = [0; 4096];
    loop {
        let count = input.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        for byte in &mut buffer[..count] {
            *byte = !*byte;
        }
        output.write_all(&buffer[..count])?;
        output.flush()?;
    }
}

pub(super) fn run(stop: Stop) -> Result<String> {
    let mut rounds = 0u64;
    while rounds == 0 || !stop.requested() {
        let sent: Vec<u8> = (0..BYTES)
            .map(|at| (at as u64).wrapping_mul(31).wrapping_add(rounds) as u8)
            .collect();
        let mut child = Command::new("/proc/self/exe")
            .args(["worker", "echo"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the child")?;
        let mut input = child.stdin.take().context("the child has no input")?;
        let mut output = child.stdout.take().context("the child has no output")?;
        let copy = sent.clone();
        let writer = thread::spawn(move || input.write_all(&copy));
        let mut received = Vec::new();
        output
            .read_to_end(&mut received)
            .context("reading from the child")?;
        writer
            .join()
            .map_err(|_| anyhow::anyhow!("the writing thread panicked"))?
            .context("writing to the child")?;
        let status = child.wait()?;
        ensure!(
            status.success(),
            "round {rounds}: the child ended with {status}"
        );
        ensure!(
            received.len() == sent.len()
                && received
                    .iter()
                    .zip(&sent)
                    .all(|(received, sent)| *received == !sent),
            "round {rounds}: {} bytes were sent, {} came back, and not the same ones",
            sent.len(),
            received.len()
        );
        rounds += 1;
    }
    Ok(format!(
        "{rounds} processes, {} KiB through each, every byte right",
        BYTES / 1024
    ))
}
