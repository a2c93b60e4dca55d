// SPDX-License-Identifier: MIT OR Apache-2.0
//! A fork bomb with an end: each process forks two, down to some level.

use super::{Act, Disturbance, Place, Prepared, ready};
use crate::torture::child;
use anyhow::{Result, ensure};
use fastrand::Rng;

#[derive(Default)]
struct Forks {
    processes: u64,
}

impl Disturbance for Forks {
    fn act(&mut self, draw: &mut Rng) -> Result<Act> {
        let levels = draw.u32(3..=6);
        let output = child::start(&["bomb", &levels.to_string()])?.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let expected = (1u64 << (levels + 1)) - 1;
        ensure!(
            output.status.success() && said == expected.to_string(),
            "{levels} levels of forks ended with {} after {said} of {expected} processes",
            output.status
        );
        self.processes += expected;
        Ok(Act::Done)
    }

    fn finish(&mut self) -> Result<Option<String>> {
        Ok(Some(format!("{} processes", self.processes)))
    }
}

pub(super) fn prepare(_: &Place) -> Prepared {
    ready(Forks::default())
}
