// SPDX-License-Identifier: MIT OR Apache-2.0
//! `mercury trace record`: reads the rings until a command ends, a time is over, or
//! somebody presses Ctrl-C.
//!
//! The image's ring holds 128 records and is read by hypercall, the module's 1,024. With
//! `--exits` the image fills its ring by itself, so it is read often; the reading's own
//! hypercalls are not recorded, or it would never come to an end.

use super::file::Recording;
use crate::arguments::Record;
use crate::exit::Exit;
use crate::output::Output;
use crate::signals;
use anyhow::{Context, Result};
use mercury_device::Device;
use serde::Serialize;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_OF_EXITS: Duration = Duration::from_millis(10);

#[derive(Debug, Serialize)]
pub(super) struct Answer {
    pub(super) recorded: String,
    pub(super) records: usize,
    pub(super) samples: usize,
    pub(super) lost: u64,
    pub(super) command: Option<i32>,
}

pub(super) fn run(options: &Record, output: Output) -> Result<Exit> {
    let device = Device::open()?;
    let mut recording = Recording::new(&device.info()?);
    // What was before is no part of it.
    let mut next_record = device.log(0)?.next;
    let mut next_sample = device.samples(0)?.next;
    if options.exits {
        device.trace_exits(true)?;
    }
    let watch = signals::Watch::begin();
    let mut child = start(&options.command)?;
    let deadline = options.duration.map(|time| Instant::now() + time);
    let pause = if options.exits { PAUSE_OF_EXITS } else { PAUSE };
    let mut ended = None;
    loop {
        let over = watch.seen() || deadline.is_some_and(|at| Instant::now() >= at);
        if let Some(child) = &mut child {
            ended = child.try_wait().context("waiting for the command")?;
        }
        // Once more after the end: the last records are of interest too.
        let last = over || ended.is_some();
        if last && options.exits {
            device.trace_exits(false)?;
        }
        let (records, samples) = (device.log(next_record)?, device.samples(next_sample)?);
        (next_record, next_sample) = (records.next, samples.next);
        recording.add(&records.items, &samples.items);
        if last {
            break;
        }
        thread::sleep(pause);
    }
    recording.write(&options.output)?;
    let status = ended.map(|status| status.code().unwrap_or(-1));
    let answer = Answer {
        recorded: options.output.display().to_string(),
        records: recording.records.len(),
        samples: recording.samples.len(),
        lost: recording.lost,
        command: status,
    };
    output.answer(&answer, || text(&answer))?;
    Ok(if status.is_some_and(|status| status != 0) {
        Exit::Failure
    } else {
        Exit::Success
    })
}

fn start(words: &[String]) -> Result<Option<Child>> {
    let Some((program, arguments)) = words.split_first() else {
        return Ok(None);
    };
    Command::new(program)
        .args(arguments)
        .spawn()
        .map(Some)
        .with_context(|| format!("starting '{program}'"))
}

fn text(answer: &Answer) -> String {
    let mut text = format!(
        "{}: {} records, {} steps",
        answer.recorded, answer.records, answer.samples
    );
    if answer.lost > 0 {
        text += &format!("; {} were overwritten before they were read", answer.lost);
    }
    if let Some(status) = answer.command.filter(|status| *status != 0) {
        text += &format!("; the command ended with {status}");
    }
    text + "\nmercury trace export makes of it what ui.perfetto.dev opens"
}
