// SPDX-License-Identifier: MIT OR Apache-2.0
//! kexec: another kernel is loaded, to be started one day, and unloaded.

use super::{Act, Disturbance, Place, Prepared, cannot, ready};
use anyhow::{Context, Result, bail};
use fastrand::Rng;
use std::path::Path;
use std::process::Command;

const PROGRAM: &str = "/sbin/kexec";
const KERNEL: &str = "/boot/vmlinuz";

struct NextKernel;

/// False if there was no memory.
fn kexec(words: &[&str]) -> Result<bool> {
    let output = Command::new(PROGRAM)
        .args(words)
        .output()
        .context("running kexec")?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        return Ok(true);
    }
    if said.contains("Cannot allocate memory") || said.contains("Could not find a free area") {
        return Ok(false);
    }
    bail!(
        "'kexec {}' ended with {}: {}",
        words.join(" "),
        output.status,
        said.trim()
    )
}

impl Disturbance for NextKernel {
    fn act(&mut self, _: &mut Rng) -> Result<Act> {
        let mut words = vec!["-l", KERNEL, "--command-line=panic=-1"];
        if cfg!(target_arch = "aarch64") {
            // Or the next kernel would be summed up with the MMU off.
            words.push("--no-checks");
        }
        let loaded = kexec(&words)?;
        if loaded {
            kexec(&["-u"])?;
        }
        Ok(if loaded { Act::Done } else { Act::Refused })
    }
}

pub(super) fn prepare(_: &Place) -> Prepared {
    if !Path::new(PROGRAM).exists() || !Path::new(KERNEL).exists() {
        return cannot("no kexec, or no kernel to load, in this guest");
    }
    ready(NextKernel)
}
