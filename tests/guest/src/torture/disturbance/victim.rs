// SPDX-License-Identifier: MIT OR Apache-2.0
//! Somebody who attaches and detaches is killed in the middle of a switch, or a
//! signal goes into his call there.
//!
//! A switch is a hundredth of the call, so it is aimed: the victim says on a
//! shared page when it begins a call, and how long after that the switch was in
//! its last one; whoever kills spins until then.

use super::{Act, Disturbance, Place, Prepared, cannot, ready};
use crate::ticks;
use crate::torture::child::{self, Page};
use crate::torture::switches::Span;
use anyhow::{Context, Result, bail, ensure};
use fastrand::Rng;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::sync::atomic::Ordering;
use std::thread::{sleep, yield_now};
use std::time::{Duration, Instant};

/// Without an aim for so long, the victim never came to a switch: then blindly.
const PATIENCE: Duration = Duration::from_secs(5);
/// Signals into one detach, at most.
const BURST: usize = 64;
/// A process starts late where there is no memory, or a machine that sleeps.
const START: Duration = Duration::from_secs(120);

struct Victim {
    page: Page,
    path: &'static str,
    kills: bool,
    blind: u64,
    undone: u64,
}

/// It has started, or says why not.
fn begun(page: &Page, child: &mut Child) -> Result<()> {
    let start = Instant::now();
    while page.ready().load(Ordering::SeqCst) == 0 {
        alive(child)?;
        ensure!(start.elapsed() < START, "a victim does not start");
        sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn alive(child: &mut Child) -> Result<()> {
    if let Some(status) = child.try_wait()? {
        let mut said = String::new();
        if let Some(output) = &mut child.stdout {
            output.read_to_string(&mut said)?;
        }
        bail!("a victim ended by itself with {status}: {}", said.trim());
    }
    Ok(())
}

/// Waits for a call of the victim's, and in it for a moment in the middle of its
/// switch. The call's begin; nothing if there was none.
fn aim(page: &Page, child: &mut Child, detach: bool, draw: &mut Rng) -> Result<Option<u64>> {
    let start = Instant::now();
    let part = draw.u64(0..=100);
    let call = page.call(detach);
    while start.elapsed() < PATIENCE {
        alive(child)?;
        let ends = call.switch_ends.load(Ordering::SeqCst);
        let begun = call.begun.load(Ordering::SeqCst);
        if ends == 0 || begun == 0 {
            yield_now();
            continue;
        }
        let begins = call.switch_begins.load(Ordering::SeqCst).min(ends);
        let at = begun + begins + (ends - begins) * part / 100;
        while ticks::now() < at && call.begun.load(Ordering::Relaxed) == begun {
            core::hint::spin_loop();
        }
        if call.begun.load(Ordering::SeqCst) == begun {
            return Ok(Some(begun));
        }
    }
    Ok(None)
}

fn send(child: &Child, signal: Signal) -> Result<Span> {
    let begin = ticks::now();
    kill(Pid::from_raw(child.id() as i32), signal).context("sending a signal")?;
    Ok(Span {
        begin,
        end: ticks::now(),
    })
}

impl Victim {
    /// One into an attach; or many, one close behind the other, into a detach,
    /// which no signal shortens.
    fn signal(&mut self, child: &mut Child, draw: &mut Rng) -> Result<Vec<Span>> {
        let detach = draw.bool();
        let Some(begun) = aim(&self.page, child, detach, draw)? else {
            self.blind += 1;
            return Ok(vec![send(child, Signal::SIGUSR1)?]);
        };
        let mut moments = vec![send(child, Signal::SIGUSR1)?];
        let call = self.page.call(detach).begun;
        while detach && moments.len() < BURST && call.load(Ordering::SeqCst) == begun {
            moments.push(send(child, Signal::SIGUSR1)?);
        }
        Ok(moments)
    }

    /// The kill lasts until the victim is gone: he dies when his call is over,
    /// and all the time has a deadly signal pending.
    fn kill(&mut self, child: &mut Child, draw: &mut Rng) -> Result<Span> {
        let detach = draw.u8(..4) > 0;
        let aimed = aim(&self.page, child, detach, draw)?;
        let mut span = send(child, Signal::SIGKILL)?;
        let under_way = aimed == Some(self.page.call(detach).begun.load(Ordering::SeqCst));
        child.wait()?;
        if under_way {
            span.end = ticks::now();
        } else {
            self.blind += 1;
        }
        Ok(span)
    }
}

impl Disturbance for Victim {
    fn act(&mut self, draw: &mut Rng) -> Result<Act> {
        self.page.forget();
        let mut child = child::start(&["victim", self.path])?;
        begun(&self.page, &mut child)?;
        let mut moments = Vec::new();
        if self.kills {
            moments.push(self.kill(&mut child, draw)?);
        } else {
            for _ in 0..draw.u64(3..=8) {
                moments.extend(self.signal(&mut child, draw)?);
                // The handler runs, and another call begins.
                sleep(Duration::from_millis(1));
            }
            send(&child, Signal::SIGKILL)?;
        }
        let status = child.wait()?;
        ensure!(
            status.signal() == Some(libc::SIGKILL),
            "a victim ended with {status}, and was not killed"
        );
        self.undone += self.page.undone().load(Ordering::SeqCst);
        Ok(Act::At(moments))
    }

    fn finish(&mut self) -> Result<Option<String>> {
        Ok(Some(format!(
            "{} without an aim; {} attaches undone for a signal",
            self.blind, self.undone
        )))
    }
}

fn prepare_one(place: &Place, path: &'static str, kills: bool) -> Prepared {
    if place.cpus.len() < 2 {
        return cannot("on one CPU nobody else runs in the middle of a switch");
    }
    ready(Victim {
        page: Page::open(path)?,
        path,
        kills,
        blind: 0,
        undone: 0,
    })
}

pub(super) fn prepare_kill(place: &Place) -> Prepared {
    prepare_one(place, "/dev/shm/mercury-killed", true)
}

pub(super) fn prepare_signal(place: &Place) -> Prepared {
    prepare_one(place, "/dev/shm/mercury-signalled", false)
}
