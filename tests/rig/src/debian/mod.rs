// SPDX-License-Identifier: MIT OR Apache-2.0
//! Debian's packages, downloaded with apt and unpacked in the cache; nothing
//! here installs anything.

mod apt;
mod foreign;

pub(crate) use apt::{Apt, Suite};
pub(crate) use foreign::{linux_std, userland};

use crate::command::stdout_of;
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

/// Unpacks packages over each other into `root`.
pub(crate) fn unpack(apt: &Apt, packages: &[String], root: &Path) -> Result<()> {
    fs::create_dir_all(root).with_context(|| format!("making {}", root.display()))?;
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
