// SPDX-License-Identifier: MIT OR Apache-2.0
//! The clock on the wall, set forth and back, and the speed of all clocks,
//! changed a little: nobody who goes by CLOCK_MONOTONIC may see a step.
#![expect(unsafe_code, reason = "adjtimex is not in the safe wrappers")]

use super::{Act, Disturbance, Place, Prepared, ready};
use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime, clock_settime};
use std::io::Error;

/// At most this far, in seconds.
const FARTHEST: i64 = 86_400;
/// Parts in a million, as `adjtimex` has them: with 16 bits behind the point.
const ONE_PART: i64 = 1 << 16;

#[derive(Default)]
struct Time {
    /// How far the clock is from where it would be.
    shift: i64,
}

fn shift(by: i64) -> Result<()> {
    let now = clock_gettime(ClockId::CLOCK_REALTIME)?;
    clock_settime(
        ClockId::CLOCK_REALTIME,
        TimeSpec::new(now.tv_sec() + by, now.tv_nsec()),
    )
    .context("setting the clock")
}

fn speed(parts: i64) -> Result<()> {
    // SAFETY: all zero is a valid timex.
    let mut change: libc::timex = unsafe { std::mem::zeroed() };
    change.modes = libc::ADJ_FREQUENCY;
    change.freq = parts * ONE_PART;
    // SAFETY: the structure is valid.
    let state = unsafe { libc::adjtimex(&raw mut change) };
    ensure!(state >= 0, "adjtimex: {}", Error::last_os_error());
    Ok(())
}

impl Disturbance for Time {
    fn act(&mut self, draw: &mut Rng) -> Result<Act> {
        // Never to before the day of the boot: back by what it was set forth.
        let to = draw.i64(0..FARTHEST);
        shift(to - self.shift)?;
        self.shift = to;
        speed(draw.i64(-400..=400))?;
        Ok(Act::Done)
    }

    fn finish(&mut self) -> Result<Option<String>> {
        shift(-self.shift)?;
        speed(0)?;
        Ok(None)
    }
}

pub(super) fn prepare(_: &Place) -> Prepared {
    ready(Time::default())
}
