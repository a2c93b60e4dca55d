// SPDX-License-Identifier: MIT OR Apache-2.0
//! The static programs: the tool `mercury`, and the guest's judges.

use crate::arch::Arch;
use crate::command::{cargo, output, shown};
use crate::debian::linux_std;
use crate::paths::Paths;
use crate::terminal::Work;
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

/// Package and program.
const TOOL: (&str, &str) = ("mercury-cli", "mercury");
const JUDGE: (&str, &str) = ("mercury-guest", "mercury-judge");

/// Builds them, statically linked so that they run in any initramfs.
pub(super) fn build(paths: &Paths, arch: Arch) -> Result<Vec<PathBuf>> {
    linux_std(paths, arch)?;
    // A target directory of their own: other RUSTFLAGS would rebuild everything
    // in the common one at each change of mind.
    let directory = paths.target("static");
    cargo_build(paths, arch, &directory, &[TOOL, JUDGE])
}

fn cargo_build(
    paths: &Paths,
    arch: Arch,
    directory: &Path,
    programs: &[(&str, &str)],
) -> Result<Vec<PathBuf>> {
    let mut command = cargo(paths);
    command.args(["build", "--quiet", "--release"]);
    for (package, _) in programs {
        command.args(["--package", package]);
    }
    command
        .args(["--target", arch.linux()])
        .arg("--target-dir")
        .arg(directory)
        .env(
            "RUSTFLAGS",
            "-C target-feature=+crt-static -C strip=debuginfo",
        )
        // Optimisation across crates pays in the image, which a CPU's
        // blackout hangs on; here it would only make each build wait.
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    if !arch.is_ours() {
        let target = arch.linux().to_uppercase().replace('-', "_");
        command.env(format!("CARGO_TARGET_{target}_LINKER"), arch.tool("gcc"));
    }
    let built = {
        let _work = Work::begin(&format!("building the programs for {arch}"));
        output(&mut command)?
    };
    let text = String::from_utf8_lossy(&built.stderr);
    if !built.status.success() {
        bail!(
            "building programs for the guest: '{}' ended with {}:\n{text}",
            shown(&command),
            built.status
        );
    }
    eprint!("{text}");
    let folder = directory.join(arch.linux()).join("release");
    let mut paths = Vec::new();
    for (package, name) in programs {
        let path = folder.join(name);
        if !path.is_file() {
            bail!(
                "cargo built no {}: expected a binary '{name}' in {package}",
                path.display()
            );
        }
        paths.push(path);
    }
    Ok(paths)
}
