// SPDX-License-Identifier: MIT OR Apache-2.0
//! NMIs from outside, by the emulator's monitor, many at a time: they cannot be
//! aimed. The test module, which claims them, notes the moment at which one
//! reaches the first CPU. (So it does with those of Linux's own, of backtraces.)
//! Whether all arrive is the suite `nmi`'s matter: there they come one by one,
//! here two may become one while the CPU waits for the host.

use super::{Act, Disturbance, Place, Prepared, cannot, ready};
use crate::probe::Probe;
use crate::rig;
use crate::torture::switches::Span;
use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use std::thread;
use std::time::Instant;

/// How many at a time, and microseconds between them.
const COUNT: &str = "500";
const GAP: &str = "1000";

#[derive(Default)]
struct Monitor {
    seen: u64,
}

/// How many the first CPU has seen, and when those from `from` on came.
fn others(from: u64) -> Result<(u64, Vec<Span>)> {
    let said = Probe.say(&format!("nmi others {from}"))?;
    let mut numbers = Vec::new();
    for line in said.lines() {
        numbers.push(
            line.parse()
                .with_context(|| format!("'{line}' is no number"))?,
        );
    }
    let (count, moments) = numbers
        .split_first()
        .context("no answer from the test module")?;
    let spans = moments.iter().map(|&at| Span { begin: at, end: at });
    Ok((*count, spans.collect()))
}

impl Disturbance for Monitor {
    fn act(&mut self, _: &mut Rng) -> Result<Act> {
        let (before, _) = others(u64::MAX)?;
        let began = Instant::now();
        rig::ask(&["nmi", COUNT, GAP])?;
        let took = began.elapsed();
        let (after, moments) = others(before)?;
        ensure!(
            after > before,
            "the monitor raised {COUNT} NMIs, and the first CPU saw none"
        );
        self.seen += after - before;
        // They come in the host's time: on a busy host a guest would do nothing
        // else than take them. So it has half of its time for itself.
        thread::sleep(took);
        Ok(Act::At(moments))
    }

    fn finish(&mut self) -> Result<Option<String>> {
        Ok(Some(format!("{} reached the first CPU", self.seen)))
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
    ready(Monitor::default())
}
