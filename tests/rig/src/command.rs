// SPDX-License-Identifier: MIT OR Apache-2.0
//! Running other programs: one way, so that every failure says which command
//! it was, how it ended, and what it printed.

use crate::paths::Paths;
use anyhow::{Context, Result, bail};
use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

/// The command as one would type it, for messages.
pub(crate) fn shown(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

/// Runs to the end with the output kept; failure to start is the only error.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    command.output().with_context(|| {
        format!(
            "starting '{}'; is it installed? ('make setup' installs what is needed)",
            shown(command)
        )
    })
}

/// Runs to the end, and gives its standard output if it succeeded.
pub(crate) fn stdout_of(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    if !output.status.success() {
        bail!(
            "'{}' ended with {}:\n{}{}",
            shown(command),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs to the end with its output passed through, and wants success.
pub(crate) fn pass_through(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("starting '{}'", shown(command)))?;
    if !status.success() {
        bail!("'{}' ended with {status}", shown(command));
    }
    Ok(())
}

/// `cargo` of the toolchain that set-up chose, with its rustc and rustdoc,
/// whatever rustup or the caller's environment would take.
pub(crate) fn cargo(paths: &Paths) -> Command {
    let mut command = Command::new("cargo");
    if let Some(bin) = toolchain_bin(paths) {
        command = Command::new(bin.join("cargo"));
        let mut search = vec![bin.clone()];
        search.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        if let Ok(joined) = env::join_paths(search) {
            command.env("PATH", joined);
        }
        command.env("RUSTC", bin.join("rustc"));
        command.env("RUSTDOC", bin.join("rustdoc"));
        command.env_remove("RUSTUP_TOOLCHAIN");
    }
    command.current_dir(&paths.repository);
    // Set when the rig itself was started by cargo; not meant for another cargo.
    for name in [
        "CARGO",
        "CARGO_MANIFEST_DIR",
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
    ] {
        command.env_remove(name);
    }
    command
}

/// The toolchain's bin directory as scripts/toolchain.sh wrote it.
pub(crate) fn toolchain_bin(paths: &Paths) -> Option<PathBuf> {
    let text = fs::read_to_string(paths.cache.join("toolchain-bin")).ok()?;
    let bin = PathBuf::from(text.trim());
    bin.join("cargo").exists().then_some(bin)
}
