// SPDX-License-Identifier: MIT OR Apache-2.0
//! Suspend to idle; an alarm of the real-time clock ends it. Where there is no
//! such clock, as far as the devices.

use super::{Act, Disturbance, Place, Prepared, cannot, ready};
use crate::machine;
use anyhow::{Context, Result};
use fastrand::Rng;
use std::fs;
use std::io::{Error, ErrorKind};
use std::path::Path;
use std::time::Duration;

const STATE: &str = "/sys/power/state";
const COUNT: &str = "/sys/power/wakeup_count";
const ALARM: &str = "/sys/class/rtc/rtc0/wakealarm";
const TEST: &str = "/sys/power/pm_test";
const TEST_LENGTH: &str = "/sys/module/suspend/parameters/pm_test_delay";
/// A switch is under way, or something woke the machine.
const REST: Duration = Duration::from_millis(3);

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
        match fs::write(STATE, "freeze") {
            Ok(()) => Ok(Act::Done),
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
    let alarm = Path::new(ALARM).exists();
    if !alarm {
        machine::write(TEST, "devices")?;
        machine::write(TEST_LENGTH, "1")?;
    }
    ready(Sleep { alarm })
}
