// SPDX-License-Identifier: MIT OR Apache-2.0
//! The QEMU that plays a board: this machine's own, or for boards that it does
//! not know yet the one of Debian's backports, unpacked in the cache.
//!
//! The newer one runs beside the installed one. Libraries that it needs and this
//! machine lacks are unpacked with it, and found by LD_LIBRARY_PATH.

use super::apt::{Apt, Suite};
use super::unpacked;
use crate::arch::Arch;
use crate::command::output;
use crate::paths::Paths;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::Command;

/// A QEMU.
#[derive(Debug)]
pub(crate) struct Emulator {
    program: PathBuf,
    root: Option<PathBuf>,
}

impl Emulator {
    /// Its command, without arguments but for where its files are.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        // Some boards have a sound device; no guest here is to be heard, nor
        // QEMU about a missing sound server.
        command.env("QEMU_AUDIO_DRV", "none");
        if let Some(root) = &self.root {
            command.arg("-L").arg(root.join("usr/share/qemu"));
            if let Some(libraries) = libraries(root) {
                command.env("LD_LIBRARY_PATH", libraries);
            }
        }
        command
    }
}

/// The QEMU of this name and suite.
pub(crate) fn emulator(paths: &Paths, program: &str, suite: Option<Suite>) -> Result<Emulator> {
    let Some(suite) = suite else {
        return Ok(Emulator {
            program: program.into(),
            root: None,
        });
    };
    let package = match program {
        "qemu-system-aarch64" => "qemu-system-arm",
        "qemu-system-x86_64" => "qemu-system-x86",
        other => bail!("no package of Debian's is known to have '{other}'"),
    };
    let ours = Arch::ALL
        .into_iter()
        .find(|arch| arch.is_ours())
        .context("this machine's instruction set is not known")?;
    let name = format!("{package}-{}", suite.name());
    let root = unpacked(paths, suite, ours, &name, |apt| {
        let mut packages = Vec::new();
        for package in [package, "qemu-system-data"] {
            if apt.find(package)?.is_none() {
                bail!("Debian's {} have no package '{package}'", suite.name());
            }
            packages.push(package.to_owned());
        }
        for library in apt.depends(package)? {
            missing_libraries(apt, &library, &mut packages)?;
        }
        Ok(packages)
    })?;
    Ok(Emulator {
        program: root.join("usr/bin").join(program),
        root: Some(root),
    })
}

/// The package, if it is a library that is not installed here, and by way of
/// Depends those that it needs in turn.
fn missing_libraries(apt: &Apt, name: &str, packages: &mut Vec<String>) -> Result<()> {
    let library = name.starts_with("lib") || name.starts_with("zlib");
    if !library || packages.iter().any(|known| known == name) || installed(name)? {
        return Ok(());
    }
    if apt.find(name)?.is_none() {
        bail!("the newer QEMU needs the library '{name}', which the mirror does not have");
    }
    packages.push(name.to_owned());
    for next in apt.depends(name)? {
        missing_libraries(apt, &next, packages)?;
    }
    Ok(())
}

fn installed(package: &str) -> Result<bool> {
    let mut command = Command::new("dpkg-query");
    let answer = output(command.args(["-W", "-f=${Status}", package]))?;
    Ok(String::from_utf8_lossy(&answer.stdout).contains("ok installed"))
}

/// The folder of unpacked libraries, if some had to be.
fn libraries(root: &std::path::Path) -> Option<PathBuf> {
    let folders = root.join("usr/lib").read_dir().ok()?;
    folders
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().ends_with("-linux-gnu"))
}
