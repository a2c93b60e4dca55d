// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hypervisor's image: an ELF file by cargo, then a flat one by objcopy.

use super::Flavour;
use crate::arch::Arch;
use crate::command::{cargo, pass_through, stdout_of};
use crate::paths::Paths;
use crate::terminal::Work;
use anyhow::{Context, Result};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

fn directory(paths: &Paths, flavour: Flavour) -> PathBuf {
    paths.target("image-build").join(flavour.name())
}

/// Where cargo leaves it.
pub(super) fn elf(paths: &Paths, arch: Arch, flavour: Flavour) -> PathBuf {
    directory(paths, flavour)
        .join(arch.bare_metal())
        .join("release")
        .join(arch.image_package())
}

/// Builds the flavour's image and gives the path of the flat file.
pub(super) fn build(paths: &Paths, arch: Arch, flavour: Flavour) -> Result<PathBuf> {
    let (package, target) = (arch.image_package(), arch.bare_metal());
    // A target directory each, so that going back and forth rebuilds nothing.
    let directory = directory(paths, flavour);
    let mut command = cargo(paths);
    command
        .args([
            "build",
            "--quiet",
            "--release",
            "--package",
            &package,
            "--target",
            target,
        ])
        .arg("--target-dir")
        .arg(&directory);
    if flavour == Flavour::Testing {
        command.args(["--features", "mutants"]);
    }
    let _work = Work::begin(&format!("building the image for {arch}"));
    pass_through(&mut command).context("building the hypervisor's image")?;
    let elf = elf(paths, arch, flavour);
    let folder = paths.target("image").join(flavour.name());
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let image = folder.join(arch.image_file());
    stdout_of(
        Command::new(arch.tool("objcopy"))
            .args(["-O", "binary"])
            .arg(&elf)
            .arg(&image),
    )
    .context("making the flat image")?;
    Ok(image)
}
