// SPDX-License-Identifier: MIT OR Apache-2.0
//! Debian's packages, downloaded with apt and unpacked in the cache; nothing
//! here installs anything.

mod apt;
mod emulator;
mod foreign;

pub(crate) use apt::{Apt, Suite};
pub(crate) use emulator::{Emulator, emulator};
pub(crate) use foreign::{linux_std, promtool, stress_ng, userland};

use crate::arch::Arch;
use crate::command::stdout_of;
use crate::paths::Paths;
use crate::terminal::{Work, remark};
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{self, Command};

/// Unpacks packages over each other into `root`.
pub(crate) fn unpack(apt: &Apt, packages: &[String], root: &Path) -> Result<()> {
    fs::create_dir_all(root).with_context(|| format!("making {}", root.display()))?;
    let _work = Work::begin(&format!("downloading and unpacking {}", packages.join(" ")));
    let archives = root.with_extension("archives");
    for archive in apt.download(packages, &archives)? {
        stdout_of(Command::new("dpkg").arg("-x").arg(&archive).arg(root))?;
    }
    fs::remove_dir_all(&archives).with_context(|| format!("removing {}", archives.display()))
}

/// Waits until no other rig fetches into this folder, and clears away what
/// interrupted ones left: hidden folders.
pub(crate) fn alone(folder: &Path) -> Result<File> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let path = folder.join(".lock");
    let lock = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    lock.lock()
        .with_context(|| format!("locking {}", path.display()))?;
    for entry in fs::read_dir(folder)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with('.') && entry.path().is_dir() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(lock)
}

/// `debian/<name>/root` in the cache, with the packages that `pick` chooses.
fn unpacked(
    paths: &Paths,
    suite: Suite,
    arch: Arch,
    name: &str,
    pick: impl FnOnce(&Apt) -> Result<Vec<String>>,
) -> Result<PathBuf> {
    let all = paths.cache.join("debian");
    let folder = all.join(name);
    let complete = || folder.is_dir().then(|| folder.join("root"));
    if let Some(root) = complete() {
        return Ok(root);
    }
    let _alone = alone(&all)?;
    if let Some(root) = complete() {
        return Ok(root);
    }
    let apt = Apt::new(&paths.cache, suite, arch)?;
    let packages = pick(&apt)?;
    remark(&format!(
        "downloading {} (unpacked in the cache, not installed)",
        packages.join(" ")
    ));
    let new = all.join(format!(".{name}.{}", process::id()));
    unpack(&apt, &packages, &new.join("root"))?;
    fs::rename(&new, &folder).with_context(|| format!("moving {} into place", folder.display()))?;
    Ok(folder.join("root"))
}
