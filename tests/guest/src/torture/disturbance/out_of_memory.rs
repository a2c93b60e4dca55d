// SPDX-License-Identifier: MIT OR Apache-2.0
//! A process that takes memory until the kernel kills it. It has asked to be
//! the first to go, so nobody else may be.

use super::{Act, Disturbance, Place, Prepared, ready};
use crate::torture::child;
use anyhow::{Result, ensure};
use fastrand::Rng;
use std::os::unix::process::ExitStatusExt;

struct OutOfMemory;

impl Disturbance for OutOfMemory {
    fn act(&mut self, _: &mut Rng) -> Result<Act> {
        let status = child::start(&["eater"])?.wait()?;
        ensure!(
            status.signal() == Some(libc::SIGKILL),
            "who took all memory ended with {status}, and was not killed"
        );
        Ok(Act::Done)
    }
}

pub(super) fn prepare(_: &Place) -> Prepared {
    ready(OutOfMemory)
}
