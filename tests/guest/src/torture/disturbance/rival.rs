// SPDX-License-Identifier: MIT OR Apache-2.0
//! A second `mercury`, the tool itself, that attaches and detaches when it likes.

use super::{Act, Disturbance, Place, Prepared, ready};
use crate::tool;
use anyhow::{Result, bail};
use fastrand::Rng;
use mercury_device::Requirement;

#[derive(Default)]
struct Rival {
    won: u64,
    lost: u64,
}

/// It came second; or somebody puts the machine to sleep or takes its memory.
const LOST: [Requirement; 5] = [
    Requirement::Idle,
    Requirement::Native,
    Requirement::Attached,
    Requirement::Uninterrupted,
    Requirement::Memory,
];
/// The module is away just now.
const NO_DEVICE: i32 = 3;

impl Disturbance for Rival {
    fn act(&mut self, draw: &mut Rng) -> Result<Act> {
        let word = ["attach", "detach"][draw.usize(..2)];
        let output = tool::run(&mut tool::mercury(&[word]))?;
        let code = output.status.code().unwrap_or(-1);
        if code == 0 {
            self.won += 1;
        } else if code == NO_DEVICE || LOST.iter().any(|&loss| code == tool::exit_code(loss)) {
            self.lost += 1;
        } else {
            bail!(
                "mercury {word} ended with {}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(Act::Done)
    }

    fn finish(&mut self) -> Result<Option<String>> {
        Ok(Some(format!("{} won, {} lost", self.won, self.lost)))
    }
}

pub(super) fn prepare(_: &Place) -> Prepared {
    ready(Rival::default())
}
