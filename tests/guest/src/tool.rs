// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tool `mercury` as a user runs it: its exit code and what it says.

use anyhow::{Context, Result, ensure};
use mercury_device::Requirement;
use std::process::{Command, Output};

/// A run of `mercury` that is not started yet.
pub(crate) fn mercury(arguments: &[&str]) -> Command {
    let mut command = Command::new("mercury");
    command.args(arguments);
    command
}

/// Runs it.
pub(crate) fn run(command: &mut Command) -> Result<Output> {
    command.output().context("running the tool mercury")
}

/// A refusal's exit code: 10 and the number of the requirement.
pub(crate) fn exit_code(requirement: Requirement) -> i32 {
    10 + requirement.code() as i32
}

/// Runs it and demands the refusal of one requirement, with words.
pub(crate) fn refuses(command: &mut Command, requirement: Requirement) -> Result<String> {
    let output = run(command)?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    ensure!(
        output.status.code() == Some(exit_code(requirement)),
        "the tool ended with {} where exit code {} ({requirement}) was expected; it said: {said}",
        output.status,
        exit_code(requirement)
    );
    ensure!(
        !said.is_empty(),
        "the tool refused ({requirement}) without a word"
    );
    Ok(said)
}
