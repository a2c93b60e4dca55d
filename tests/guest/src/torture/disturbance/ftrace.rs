// SPDX-License-Identifier: MIT OR Apache-2.0
//! The function tracer, switched on and off: the kernel's text is patched at
//! thousands of places, Mercury's module among them.

use super::{Act, Disturbance, Place, Prepared, cannot, ready};
use crate::machine;
use anyhow::Result;
use fastrand::Rng;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

const FOLDER: &str = "/sys/kernel/tracing";
const FILTERS: [&str; 4] = ["vfs_*", "smp_call_*", ":mod:mercury", "*hrtimer*"];
const LENGTH: Duration = Duration::from_millis(5);
/// A CPU's buffer: nobody reads it.
const BUFFER_KIB: &str = "64";

struct Ftrace;

fn set(name: &str, value: &str) -> Result<()> {
    machine::write(&format!("{FOLDER}/{name}"), &format!("{value}\n"))
}

impl Disturbance for Ftrace {
    fn act(&mut self, draw: &mut Rng) -> Result<Act> {
        let filter = FILTERS[draw.usize(..FILTERS.len())];
        // A module that is away just now has no functions.
        if let Err(error) = set("set_ftrace_filter", filter) {
            return if filter.starts_with(":mod:") {
                Ok(Act::Refused)
            } else {
                Err(error)
            };
        }
        set("current_tracer", "function")?;
        sleep(LENGTH);
        set("current_tracer", "nop")?;
        Ok(Act::Done)
    }

    fn finish(&mut self) -> Result<Option<String>> {
        set("set_ftrace_filter", "")?;
        Ok(None)
    }
}

pub(super) fn prepare(_: &Place) -> Prepared {
    if !Path::new(FOLDER).join("set_ftrace_filter").exists() {
        return cannot("this kernel has no function tracer");
    }
    set("buffer_size_kb", BUFFER_KIB)?;
    ready(Ftrace)
}
