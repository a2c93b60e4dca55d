// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kprobes: breakpoints in the kernel's text come and go, some of them in what
//! a switch calls itself.

use super::{Act, Disturbance, Place, Prepared, cannot, ready};
use crate::machine;
use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

const FOLDER: &str = "/sys/kernel/tracing";
const SYMBOLS: [&str; 6] = [
    "vfs_read",
    "vfs_write",
    "do_sys_openat2",
    "smp_call_function_single_async",
    "mercury:mercury_visit",
    "mercury:mercury_attach",
];
const LENGTH: Duration = Duration::from_millis(5);

#[derive(Default)]
struct Kprobes {
    probes: u64,
    hits: u64,
}

/// A file of tracing's that takes commands, appended to.
fn command(words: &str) -> std::io::Result<()> {
    let path = format!("{FOLDER}/kprobe_events");
    File::options()
        .append(true)
        .open(path)?
        .write_all(words.as_bytes())
}

fn hits() -> Result<u64> {
    let table = fs::read_to_string(format!("{FOLDER}/kprobe_profile"))?;
    let row = table
        .lines()
        .find_map(|line| line.trim().strip_prefix("torture_probe"));
    Ok(row
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0))
}

impl Disturbance for Kprobes {
    fn act(&mut self, draw: &mut Rng) -> Result<Act> {
        let symbol = SYMBOLS[draw.usize(..SYMBOLS.len())];
        // A module that is away just now.
        if let Err(error) = command(&format!("p:mercury_torture/torture_probe {symbol}\n")) {
            ensure!(
                symbol.starts_with("mercury:"),
                "a kprobe at {symbol}: {error}"
            );
            return Ok(Act::Refused);
        }
        let switch = format!("{FOLDER}/events/mercury_torture/torture_probe/enable");
        let on = machine::write(&switch, "1");
        sleep(LENGTH);
        self.hits += hits()?;
        // It goes with the module that it stands in.
        let off = machine::write(&switch, "0");
        let away = command("-:mercury_torture/torture_probe\n");
        if !symbol.starts_with("mercury:") {
            on?;
            off?;
            away.context("taking a kprobe away")?;
        }
        self.probes += 1;
        Ok(Act::Done)
    }

    fn finish(&mut self) -> Result<Option<String>> {
        ensure!(
            self.probes == 0 || self.hits > 0,
            "{} kprobes, and not one was hit",
            self.probes
        );
        Ok(Some(format!(
            "{} probes, hit {} times",
            self.probes, self.hits
        )))
    }
}

pub(super) fn prepare(_: &Place) -> Prepared {
    if !Path::new(FOLDER).join("kprobe_events").exists() {
        return cannot("this kernel has no kprobe events");
    }
    ready(Kprobes::default())
}
