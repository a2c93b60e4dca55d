// SPDX-License-Identifier: MIT OR Apache-2.0
//! CPUs go offline and come back.

use super::{Act, Disturbance, Place, Prepared, cannot, ready};
use crate::machine;
use anyhow::{Context, Result};
use fastrand::Rng;
use std::io::{Error, ErrorKind};
use std::path::Path;

struct Hotplug {
    going: Vec<u32>,
}

/// EBUSY: hot-plug is off while the machine goes to sleep. ENOMEM: somebody has
/// taken all memory.
fn not_now(error: &anyhow::Error) -> bool {
    let cause = error.root_cause().downcast_ref::<Error>();
    cause.is_some_and(|error| {
        matches!(
            error.kind(),
            ErrorKind::ResourceBusy | ErrorKind::OutOfMemory
        )
    })
}

fn set(cpu: u32, on: bool) -> Result<bool> {
    match machine::set_online(cpu, on) {
        Ok(()) => Ok(true),
        Err(error) if not_now(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

impl Disturbance for Hotplug {
    fn act(&mut self, draw: &mut Rng) -> Result<Act> {
        let cpu = self.going[draw.usize(..self.going.len())];
        if !set(cpu, false)? {
            return Ok(Act::Refused);
        }
        while !set(cpu, true).with_context(|| format!("CPU {cpu} does not come back"))? {}
        Ok(Act::Done)
    }
}

pub(super) fn prepare(place: &Place) -> Prepared {
    let mut going = place.cpus.clone();
    going.retain(|cpu| Path::new(&format!("/sys/devices/system/cpu/cpu{cpu}/online")).exists());
    if going.is_empty() || place.cpus.len() < 2 {
        return cannot("no CPU that can go offline");
    }
    ready(Hotplug { going })
}
