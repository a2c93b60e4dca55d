// SPDX-License-Identifier: MIT OR Apache-2.0
//! NMIs from outside, by the emulator's monitor. The test module, which claims
//! them, notes the moment at which one reaches the first CPU.

use super::{Act, Disturbance, Place, Prepared, cannot, ready};
use crate::probe::Probe;
use crate::rig;
use crate::torture::switches::Span;
use anyhow::{Result, ensure};
use fastrand::Rng;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Past that it is lost.
const ARRIVAL: Duration = Duration::from_secs(20);

struct Monitor;

/// How many the first CPU has seen, and when the last one came.
fn latest() -> Result<(u64, u64)> {
    let answer = Probe.ask("nmi latest")?;
    Ok((answer.number("seen")?, answer.number("latest")?))
}

impl Disturbance for Monitor {
    fn act(&mut self, _: &mut Rng) -> Result<Act> {
        let (before, _) = latest()?;
        rig::ask(&["nmi", "1", "0"])?;
        let start = Instant::now();
        loop {
            let (seen, at) = latest()?;
            if seen > before {
                return Ok(Act::At(vec![Span { begin: at, end: at }]));
            }
            ensure!(
                start.elapsed() < ARRIVAL,
                "an NMI was raised by the monitor, and the first CPU did not see it"
            );
            sleep(Duration::from_micros(200));
        }
    }
}

pub(super) fn prepare(place: &Place) -> Prepared {
    let Some(probe) = &place.probe else {
        return cannot("the test module is not here");
    };
    if cfg!(not(target_arch = "x86_64")) {
        return cannot("this machine has no NMI to inject");
    }
    if place.repeatable {
        return cannot("waits for the host");
    }
    if let Err(error) = rig::ask(&["nmi", "0", "0"]) {
        return cannot(format!("{error:#}"));
    }
    probe.say("nmi off")?;
    probe.say("nmi on")?;
    ready(Monitor)
}
