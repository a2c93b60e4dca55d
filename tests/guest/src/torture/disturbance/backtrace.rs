// SPDX-License-Identifier: MIT OR Apache-2.0
//! SysRq l: every CPU shows where it is, on x86 out of an NMI.

use super::{Act, Disturbance, Place, Prepared, cannot, ready};
use crate::torture::switches::Span;
use crate::{machine, ticks};
use anyhow::Result;
use fastrand::Rng;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

const FILE: &str = "/proc/sysrq-trigger";
/// It fills the kernel's log, which is read after each round.
const REST: Duration = Duration::from_millis(30);

struct Backtrace;

impl Disturbance for Backtrace {
    fn act(&mut self, _: &mut Rng) -> Result<Act> {
        let begin = ticks::now();
        machine::write(FILE, "l")?;
        let end = ticks::now();
        sleep(REST);
        Ok(Act::At(vec![Span { begin, end }]))
    }
}

pub(super) fn prepare(_: &Place) -> Prepared {
    if !Path::new(FILE).exists() {
        return cannot(format!("this kernel has no {FILE}"));
    }
    ready(Backtrace)
}
