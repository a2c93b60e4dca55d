// SPDX-License-Identifier: MIT OR Apache-2.0
//! The two programs: instrumented, without and with the planted defects.

use crate::command::{cargo, pass_through};
use crate::paths::Paths;
use crate::terminal::remark;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::PathBuf;

/// Named so that the wrapper, which acts on `rustc` for this machine, and not on
/// build scripts, gets a folder of its own for what it built.
const HOST: &str = "x86_64-unknown-linux-gnu";

/// Where they are.
#[derive(Debug)]
pub(crate) struct Programs {
    /// Mercury's decoders as they are.
    pub(crate) sound: PathBuf,
    /// With one defect each.
    pub(crate) planted: PathBuf,
}

fn host() -> String {
    HOST.replace("x86_64", std::env::consts::ARCH)
}

fn build(paths: &Paths, features: &str, name: &str) -> Result<PathBuf> {
    remark(&format!("building the fuzzer ({name})"));
    let mut command = cargo(paths);
    command
        // Whole-program optimization takes functions apart from the tables that
        // the instrumentation made for them.
        .args(["--config", "profile.release.lto=false"])
        .args(["--config", "profile.release.codegen-units=4"])
        .args(["build", "--quiet", "--release", "--package", "mercury-fuzz"])
        .args(["--features", features, "--target", &host()])
        .arg("--target-dir")
        .arg(paths.target("fuzz"))
        .env("RUSTC_WRAPPER", paths.source("tests/fuzz/instrument.sh"))
        // Functions of Mercury that only bare machines can have are never called
        // here; the instrumentation's tables must not keep them.
        .env("RUSTFLAGS", "-C link-arg=-Wl,-z,start-stop-gc");
    pass_through(&mut command)?;
    let built = paths
        .target("fuzz")
        .join(host())
        .join("release/mercury-fuzz");
    let kept = paths.target("fuzz").join(name);
    fs::copy(&built, &kept).with_context(|| format!("keeping {}", kept.display()))?;
    Ok(kept)
}

/// Builds both.
pub(crate) fn programs(paths: &Paths) -> Result<Programs> {
    Ok(Programs {
        planted: build(paths, "engine,planted", "planted")?,
        sound: build(paths, "engine", "sound")?,
    })
}

/// Names of the targets, from the list in tests/fuzz/src/lib.rs.
pub(crate) fn targets(paths: &Paths) -> Result<Vec<String>> {
    let source = paths.source("tests/fuzz/src/lib.rs");
    let text =
        fs::read_to_string(&source).with_context(|| format!("reading {}", source.display()))?;
    let names: Vec<String> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("name: \"")?.strip_suffix("\","))
        .map(str::to_owned)
        .collect();
    ensure!(!names.is_empty(), "{} lists no target", source.display());
    Ok(names)
}
