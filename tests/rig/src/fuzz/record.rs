// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a long run came to, kept in docs/results/fuzz.json.

use super::Trial;
use crate::command::{cargo, stdout_of};
use crate::paths::Paths;
use anyhow::{Context, Result};
use serde_json::json;
use std::fs;
use std::process::Command;

/// Writes it down, with all that is needed to do it again.
pub(crate) fn write(paths: &Paths, trials: &[Trial], seconds: u64, seed: u32) -> Result<()> {
    let mut git = Command::new("git");
    git.current_dir(&paths.repository)
        .args(["describe", "--always", "--dirty", "--abbrev=40"]);
    let commit = stdout_of(&mut git)?;
    let compiler = stdout_of(cargo(paths).args(["rustc", "--version"]))
        .or_else(|_| stdout_of(cargo(paths).arg("--version")))?;
    let library = locked(paths, "libfuzzer-sys")?;
    let record = json!({
        "command": "make record WHAT=fuzz",
        "commit": commit.trim(),
        "seed": seed,
        "cpu_seconds_each": seconds,
        "versions": { "cargo": compiler.trim(), "libfuzzer-sys": library },
        "targets": trials,
    });
    let folder = paths.source("docs/results");
    fs::create_dir_all(&folder)?;
    let file = folder.join("fuzz.json");
    let text = serde_json::to_string_pretty(&record)? + "\n";
    fs::write(&file, text).with_context(|| format!("writing {}", file.display()))
}

/// The version of a package in Cargo.lock.
fn locked(paths: &Paths, package: &str) -> Result<String> {
    let lock = fs::read_to_string(paths.source("Cargo.lock"))?;
    let lock: toml::Table = lock.parse()?;
    let version = lock
        .get("package")
        .and_then(|packages| packages.as_array())
        .and_then(|packages| {
            let named = |one: &&toml::Value| {
                one.get("name").and_then(|name| name.as_str()) == Some(package)
            };
            packages.iter().find(named)?.get("version")?.as_str()
        });
    Ok(version.unwrap_or("unknown").to_owned())
}
