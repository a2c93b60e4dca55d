// SPDX-License-Identifier: MIT OR Apache-2.0
//! The static programs: the tool `mercury`, and the guest's judges.

use crate::command::{cargo, pass_through};
use crate::paths::Paths;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;

const TARGET: &str = "x86_64-unknown-linux-gnu";
const PROGRAMS: [&str; 2] = ["mercury", "mercury-judge"];

/// Builds them, statically linked so that they run in any initramfs.
pub(super) fn build(paths: &Paths) -> Result<Vec<PathBuf>> {
    // A target directory of their own: other RUSTFLAGS would rebuild everything
    // in the common one at each change of mind.
    let directory = paths.target("static");
    pass_through(
        cargo(paths)
            .args([
                "build",
                "--quiet",
                "--release",
                "--package",
                "mercury-cli",
                "--package",
                "mercury-guest",
            ])
            .args(["--target", TARGET])
            .arg("--target-dir")
            .arg(&directory)
            .env(
                "RUSTFLAGS",
                "-C target-feature=+crt-static -C strip=debuginfo",
            )
            // Optimisation across crates pays in the image, which a CPU's
            // blackout hangs on; here it would only make each build wait.
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    )
    .context("building the tool and the guest's programs")?;
    let folder = directory.join(TARGET).join("release");
    let mut programs = Vec::new();
    for name in PROGRAMS {
        let path = folder.join(name);
        if !path.is_file() {
            bail!(
                "cargo built no {}: expected a binary '{name}' in mercury-cli or mercury-guest",
                path.display()
            );
        }
        programs.push(path);
    }
    Ok(programs)
}
