// SPDX-License-Identifier: MIT OR Apache-2.0
//! Interrupts are moved from one CPU to another.

use super::{Act, Disturbance, Place, Prepared, cannot, ready};
use crate::machine;
use anyhow::Result;
use fastrand::Rng;
use std::fs;

struct Affinity {
    cpus: Vec<u32>,
    numbers: Vec<u32>,
    moved: u64,
}

fn file(number: u32) -> String {
    format!("/proc/irq/{number}/smp_affinity_list")
}

impl Disturbance for Affinity {
    fn act(&mut self, draw: &mut Rng) -> Result<Act> {
        let mut moved = 0;
        for &number in &self.numbers {
            let cpu = self.cpus[draw.usize(..self.cpus.len())];
            // Some cannot be moved, and nobody can be moved to a CPU that is off.
            moved += u64::from(machine::write(&file(number), &cpu.to_string()).is_ok());
        }
        self.moved += moved;
        Ok(if moved > 0 { Act::Done } else { Act::Refused })
    }

    fn finish(&mut self) -> Result<Option<String>> {
        let (first, last) = (self.cpus[0], self.cpus[self.cpus.len() - 1]);
        for &number in &self.numbers {
            let _ = machine::write(&file(number), &format!("{first}-{last}"));
        }
        Ok(Some(format!("{} interrupts moved", self.moved)))
    }
}

pub(super) fn prepare(place: &Place) -> Prepared {
    let mut numbers = Vec::new();
    for entry in fs::read_dir("/proc/irq")?.flatten() {
        if let Ok(number) = entry.file_name().to_string_lossy().parse::<u32>() {
            let now = machine::read(&file(number)).unwrap_or_default();
            if machine::write(&file(number), &now).is_ok() {
                numbers.push(number);
            }
        }
    }
    numbers.sort_unstable();
    if numbers.is_empty() || place.cpus.len() < 2 {
        return cannot("no interrupt that can be moved");
    }
    ready(Affinity {
        cpus: place.cpus.clone(),
        numbers,
        moved: 0,
    })
}
