// SPDX-License-Identifier: MIT OR Apache-2.0
//! Suspend to idle; an alarm of the real-time clock ends it. Where no such clock
//! wakes the machine, as far as the devices.
//!
//! A PC's clock did not in QEMU 7.2, natively; probably because Linux has it announce its alarm by ACPI's
//! fixed event, and QEMU's chipset raises none (the clock's own interrupt sleeps
//! with all others). ARM64's PL031 wakes by its interrupt.

use super::{Act, Disturbance, Place, Prepared, cannot, ready};
use crate::torture::switches::Span;
use crate::{machine, ticks};
use anyhow::{Context, Result};
use fastrand::Rng;
use std::fs;
use std::io::{Error, ErrorKind};
use std::path::Path;
use std::time::Duration;

const STATE: &str = "/sys/power/state";
const COUNT: &str = "/sys/power/wakeup_count";
const NAME: &str = "/sys/class/rtc/rtc0/name";
const ALARM: &str = "/sys/class/rtc/rtc0/wakealarm";
const TEST: &str = "/sys/power/pm_test";
const TEST_LENGTH: &str = "/sys/module/suspend/parameters/pm_test_delay";
/// A switch is under way, or something woke the machine.
const REST: Duration = Duration::from_millis(3);

/// Nobody else gets anything done where the machine is always asleep.
const AWAKE: std::ops::RangeInclusive<u64> = 1000..=2000;

struct Sleep {
    alarm: bool,
}

fn refused(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ResourceBusy | ErrorKind::InvalidInput
    )
}

impl Disturbance for Sleep {
    fn act(&mut self, draw: &mut Rng) -> Result<Act> {
        if self.alarm {
            // Whatever wakes the machine from now on, and be it too early, is not missed.
            let count = machine::read(COUNT)?;
            machine::write(ALARM, "0")?;
            machine::write(ALARM, &format!("+{}", draw.u32(2..=3)))?;
            if fs::write(COUNT, &count).is_err() {
                return Ok(Act::Refused);
            }
        }
        let begin = ticks::now();
        match fs::write(STATE, "freeze") {
            Ok(()) => {
                let end = ticks::now();
                std::thread::sleep(Duration::from_millis(draw.u64(AWAKE)));
                Ok(Act::At(vec![Span { begin, end }]))
            }
            Err(error) if refused(&error) => {
                std::thread::sleep(REST);
                Ok(Act::Refused)
            }
            Err(error) => Err(error).context("putting the machine to sleep"),
        }
    }

    fn finish(&mut self) -> Result<Option<String>> {
        if self.alarm {
            machine::write(ALARM, "0")?;
            return Ok(Some("woken by the real-time clock".into()));
        }
        machine::write(TEST, "none")?;
        Ok(Some(
            "as far as the devices: no real-time clock wakes this machine".into(),
        ))
    }
}

pub(super) fn prepare(_: &Place) -> Prepared {
    let ways = machine::read(STATE).unwrap_or_default();
    if !ways.split(' ').any(|way| way == "freeze") {
        return cannot("this kernel has no s2idle");
    }
    let clock = machine::read(NAME).unwrap_or_default();
    let alarm = Path::new(ALARM).exists() && clock.starts_with("rtc-pl031");
    if !alarm {
        machine::write(TEST, "devices")?;
        machine::write(TEST_LENGTH, "0")?;
    }
    ready(Sleep { alarm })
}
