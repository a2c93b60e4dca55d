// SPDX-License-Identifier: MIT OR Apache-2.0
//! stress-ng, one of its stressors at a time, which verifies what it does. How
//! much it does is said in its own operations, not in time.

use super::{Act, Disturbance, Place, Prepared, cannot, ready};
use anyhow::{Context, Result, bail};
use fastrand::Rng;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

const PROGRAM: &str = "/bin/stress-ng";
/// Stressors with what they do in a second or two of an emulated machine.
const STRESSORS: [(&str, &str, &[&str]); 9] = [
    ("cpu", "4", &["--cpu-method", "all"]),
    ("vm", "2000", &["--vm-bytes", "4m"]),
    ("hdd", "64", &["--hdd-bytes", "1m"]),
    ("io", "20", &[]),
    ("timer", "200", &[]),
    ("sigq", "500", &[]),
    ("signal", "500", &[]),
    ("futex", "500", &[]),
    ("switch", "1000", &[]),
];
/// It could not have what it needed: memory, processes.
const NO_RESOURCE: i32 = 3;

#[derive(Default)]
struct Stress {
    seen: BTreeSet<&'static str>,
}

impl Disturbance for Stress {
    fn act(&mut self, draw: &mut Rng) -> Result<Act> {
        let (name, operations, more) = STRESSORS[draw.usize(..STRESSORS.len())];
        let output = Command::new(PROGRAM)
            .args(["--quiet", "--verify", "--oomable", "--temp-path", "/tmp"])
            .args(["--timeout", "60s", "--seed", "1"])
            .args([&format!("--{name}"), "1"])
            .args([&format!("--{name}-ops"), operations])
            .args(more)
            .output()
            .context("running stress-ng")?;
        match output.status.code() {
            Some(0) => {
                self.seen.insert(name);
                Ok(Act::Done)
            }
            Some(NO_RESOURCE) => Ok(Act::Refused),
            _ => bail!(
                "stress-ng --{name} ended with {}: {}{}",
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            ),
        }
    }

    fn finish(&mut self) -> Result<Option<String>> {
        let names: Vec<_> = self.seen.iter().copied().collect();
        Ok(Some(format!("stressors {}", names.join(", "))))
    }
}

pub(super) fn prepare(_: &Place) -> Prepared {
    if !Path::new(PROGRAM).exists() {
        return cannot("stress-ng is not in this guest");
    }
    ready(Stress::default())
}
