// SPDX-License-Identifier: MIT OR Apache-2.0
//! The parameters of mercury.ko that only a build for tests has: values read
//! at the pre-flight that are overridden, failures that are injected, restores
//! that are broken. Each is put back when its guard is dropped, so that one
//! failed check does not spoil the next.

use crate::expect::skip;
use crate::machine;
use anyhow::Result;
use std::path::Path;

const FOLDER: &str = "/sys/module/mercury/parameters";

fn path(name: &str) -> String {
    format!("{FOLDER}/{name}")
}

/// Skips the suite if the module is not one for tests.
pub(crate) fn need_testing() -> Result<()> {
    for name in ["override", "inject", "mutant", "mutants"] {
        if !Path::new(&path(name)).exists() {
            return skip(format!(
                "mercury.ko has no parameter '{name}': not a build for tests"
            ));
        }
    }
    Ok(())
}

/// The mutants that the module knows.
pub(crate) fn mutants() -> Result<Vec<String>> {
    Ok(machine::read(&path("mutants"))?
        .split_whitespace()
        .filter(|name| *name != "none")
        .map(str::to_owned)
        .collect())
}

/// A parameter that is set; cleared when dropped.
#[derive(Debug)]
pub(crate) struct Set {
    name: &'static str,
}

/// Sets a parameter.
pub(crate) fn set(name: &'static str, value: &str) -> Result<Set> {
    // With a line break: an empty write would never reach the kernel.
    machine::write(&path(name), &format!("{value}\n"))?;
    Ok(Set { name })
}

impl Drop for Set {
    fn drop(&mut self) {
        if let Err(error) = machine::write(&path(self.name), "\n") {
            eprintln!("mercury-judge: {error:#}");
        }
    }
}

/// Writes a parameter that is an order.
pub(crate) fn once(name: &str, value: &str) -> Result<()> {
    machine::write(&path(name), &format!("{value}\n"))
}
