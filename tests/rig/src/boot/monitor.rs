// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU's monitor, in its JSON form (QMP), over a socket in the run directory.

use super::session::Event;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// A connection that commands can be sent on.
#[derive(Debug)]
pub(crate) struct Monitor {
    stream: UnixStream,
    answers: Receiver<Value>,
}

impl Monitor {
    /// Connects to the QEMU that was just started in `run`; its events go to
    /// `events`, until it ends.
    pub(crate) fn connect(run: &Path, events: Sender<Event>) -> Result<Self> {
        // By way of /proc: a socket's path may not be longer than 107 bytes.
        let folder = File::open(run).with_context(|| format!("opening {}", run.display()))?;
        let path = format!("/proc/self/fd/{}/monitor.sock", folder.as_raw_fd());
        let give_up = Instant::now() + Duration::from_secs(10);
        let stream = loop {
            match UnixStream::connect(&path) {
                Ok(stream) => break stream,
                Err(_) if Instant::now() < give_up => thread::sleep(Duration::from_millis(20)),
                Err(error) => {
                    return Err(error).with_context(|| {
                        format!("connecting to QEMU's monitor in {}", run.display())
                    });
                }
            }
        };
        let reader = stream.try_clone().context("cloning the monitor's socket")?;
        let (sender, answers) = channel();
        thread::spawn(move || read(reader, &sender, &events));
        let mut monitor = Self { stream, answers };
        monitor.execute("qmp_capabilities")?;
        Ok(monitor)
    }

    /// Runs one command of the monitor that people type at, and gives what it
    /// said; a line that begins with `Error` is one.
    pub(crate) fn human(&mut self, line: &str) -> Result<String> {
        let asked = json!({
            "execute": "human-monitor-command",
            "arguments": { "command-line": line },
        });
        let answer = self.send(&asked, line)?;
        let said = answer["return"].as_str().unwrap_or_default().trim();
        match said.lines().find(|line| line.starts_with("Error")) {
            Some(error) => bail!("QEMU refused '{line}': {error}"),
            None => Ok(said.to_owned()),
        }
    }

    /// Runs one command and waits for its answer.
    pub(crate) fn execute(&mut self, command: &str) -> Result<Value> {
        self.send(&json!({ "execute": command }), command)
    }

    fn send(&mut self, asked: &Value, command: &str) -> Result<Value> {
        let mut line = asked.to_string();
        line.push('\n');
        self.stream
            .write_all(line.as_bytes())
            .with_context(|| format!("sending '{command}' to QEMU's monitor"))?;
        let answer = self
            .answers
            .recv_timeout(Duration::from_secs(60))
            .with_context(|| format!("waiting for QEMU's answer to '{command}'"))?;
        match answer.get("error") {
            Some(error) => bail!("QEMU refused '{command}': {error}"),
            None => Ok(answer),
        }
    }
}

fn read(stream: UnixStream, answers: &Sender<Value>, events: &Sender<Event>) {
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { break };
        let Ok(value) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        if value.get("return").is_some() || value.get("error").is_some() {
            if answers.send(value).is_err() {
                break;
            }
        } else if value["event"] == "SHUTDOWN" {
            let reason = value["data"]["reason"]
                .as_str()
                .unwrap_or("unknown")
                .to_owned();
            if events.send(Event::Shutdown(reason)).is_err() {
                break;
            }
        }
    }
    let _ = events.send(Event::MonitorEnded);
}
