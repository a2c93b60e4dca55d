// SPDX-License-Identifier: MIT OR Apache-2.0
//! What only the outside can do: the rig is asked for it (docs/rig.md).

use anyhow::{Context, Result, ensure};
use std::process::Command;

/// One request, by way of `mercury-ask`; its answer.
pub(crate) fn ask(words: &[&str]) -> Result<String> {
    let output = Command::new("mercury-ask")
        .args(words)
        .output()
        .context("asking the rig (mercury-ask)")?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    ensure!(
        output.status.success(),
        "the rig does not grant '{}': {said}",
        words.join(" ")
    );
    Ok(said)
}

/// One command of the emulator's monitor.
pub(crate) fn monitor(command: &str) -> Result<String> {
    ask(&["monitor", command])
}
