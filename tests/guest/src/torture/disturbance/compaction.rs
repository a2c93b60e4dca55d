// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compaction of all memory: pages move while others use them.

use super::{Act, Disturbance, Place, Prepared, cannot, ready};
use crate::machine;
use anyhow::Result;
use fastrand::Rng;
use std::path::Path;

const FILE: &str = "/proc/sys/vm/compact_memory";

struct Compaction;

impl Disturbance for Compaction {
    fn act(&mut self, _: &mut Rng) -> Result<Act> {
        machine::write(FILE, "1")?;
        Ok(Act::Done)
    }
}

pub(super) fn prepare(_: &Place) -> Prepared {
    if !Path::new(FILE).exists() {
        return cannot(format!("this kernel has no {FILE}"));
    }
    ready(Compaction)
}
