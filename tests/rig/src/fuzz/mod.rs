// SPDX-License-Identifier: MIT OR Apache-2.0
//! `mercury-rig fuzz`, behind `make fuzz` and a step of the host tests: each
//! boundary's decoder under libFuzzer (tests/fuzz), for so many seconds of a CPU.
//!
//! Two programs are built, alike but for one defect in each decoder of the
//! second. The first must find nothing; the second's defect must be found in no
//! more time than the first had. Beside that it is said how many edges of the
//! decoder were reached.

mod build;
mod record;
mod trial;

use crate::arguments;
use crate::paths::Paths;
use crate::terminal::remark;
use anyhow::{Context, Result, bail, ensure};
use std::sync::Mutex;
use std::thread;

pub(crate) use trial::Trial;

/// Seconds of a CPU that the recorded run takes, for each target.
const RECORDED_SECONDS: u64 = 15 * 60;
/// As `make record WHAT=` knows it.
pub(crate) const WHAT: &str = "fuzz";
/// In words.
pub(crate) const ABOUT: &str = "15 minutes of a CPU for each target of tests/fuzz";

/// Fuzzes, and gives the exit code.
pub(crate) fn fuzz(paths: &Paths, arguments: &arguments::Fuzz) -> Result<u8> {
    let (seconds, seed) = (arguments.seconds, arguments.seed);
    let trials = run(paths, &arguments.target, seconds, seed)?;
    Ok(close(&trials, seconds))
}

/// The recorded run.
pub(crate) fn record(paths: &Paths, seed: u64) -> Result<u8> {
    let seed = u32::try_from(seed).context("libFuzzer's seeds have 32 bits")?;
    let trials = run(paths, &[], RECORDED_SECONDS, seed)?;
    record::write(paths, &trials, RECORDED_SECONDS, seed)?;
    Ok(close(&trials, RECORDED_SECONDS))
}

/// Says what came of it.
fn close(trials: &[Trial], seconds: u64) -> u8 {
    for trial in trials {
        println!("{trial}");
    }
    let wrong = trials.iter().filter(|trial| trial.complaint().is_some());
    let wrong = wrong.count();
    println!(
        "fuzz: {} targets, {seconds} s of a CPU each, {wrong} failed",
        trials.len()
    );
    u8::from(wrong > 0)
}

/// Builds both programs and tries the targets of these names, or all.
pub(crate) fn run(paths: &Paths, only: &[String], seconds: u64, seed: u32) -> Result<Vec<Trial>> {
    let programs = build::programs(paths)?;
    let names = build::targets(paths)?;
    if let Some(unknown) = only.iter().find(|name| !names.contains(name)) {
        bail!("'{unknown}' is no target; there are {}", names.join(", "));
    }
    let mut waiting = names;
    waiting.retain(|name| only.is_empty() || only.contains(name));
    waiting.reverse();
    let workers = thread::available_parallelism().map_or(1, usize::from);
    remark(&format!(
        "{} targets, {seconds} s of a CPU each, {workers} at a time, seed {seed}",
        waiting.len()
    ));
    let waiting = Mutex::new(waiting);
    let done = Mutex::new(Vec::new());
    let next = || waiting.lock().ok().and_then(|mut names| names.pop());
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(name) = next() {
                    let trial = Trial::hold(paths, &programs, &name, seconds, seed);
                    if let Ok(mut done) = done.lock() {
                        done.push(trial);
                    }
                }
            });
        }
    });
    let done = done.into_inner().unwrap_or_default();
    let mut trials = done.into_iter().collect::<Result<Vec<Trial>>>()?;
    trials.sort_by(|one, other| one.target.cmp(&other.target));
    ensure!(!trials.is_empty(), "no target was tried");
    Ok(trials)
}
