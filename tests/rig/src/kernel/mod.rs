// SPDX-License-Identifier: MIT OR Apache-2.0
//! Debian kernels, unpacked in the cache and never installed.
//!
//! A kernel is asked for by the name of a Debian package, as a user would
//! install it (`linux-image-amd64`, `linux-image-rt-amd64`, a full name), or by
//! the word `backports`. The first time it is resolved to a release, downloaded
//! with its headers and unpacked under `kernels/<release>`; from then on the
//! answer stands in the cache and no network is asked.

mod fetch;
mod modules;

pub(crate) use fetch::fetch;
#[cfg(test)]
pub(crate) use fetch::{check_name, is_known};
pub(crate) use modules::with_dependencies;

use crate::arch::Arch;
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

/// An unpacked kernel with its modules and headers.
#[derive(Debug, Clone)]
pub(crate) struct Kernel {
    /// What `uname -r` says in it.
    pub(crate) release: String,
    /// What it runs on.
    pub(crate) arch: Arch,
    root: PathBuf,
}

impl Kernel {
    fn at(release: &str, arch: Arch, folder: &Path) -> Self {
        Self {
            release: release.to_owned(),
            arch,
            root: folder.join("root"),
        }
    }

    /// The kernel as QEMU and kexec load it.
    pub(crate) fn vmlinuz(&self) -> PathBuf {
        self.root.join(format!("boot/vmlinuz-{}", self.release))
    }

    /// `/lib/modules/<release>` of the unpacked package.
    pub(crate) fn modules(&self) -> PathBuf {
        self.root.join("lib/modules").join(&self.release)
    }

    /// A device tree of the package, as board.toml names it.
    pub(crate) fn device_tree(&self, name: &str) -> Result<PathBuf> {
        let folder = self
            .root
            .join(format!("usr/lib/linux-image-{}", self.release));
        let path = folder.join(name);
        if !path.is_file() {
            bail!(
                "kernel {} has no device tree {name}: expected {}",
                self.release,
                path.display()
            );
        }
        Ok(path)
    }

    /// The headers that modules are built against.
    pub(crate) fn headers(&self) -> PathBuf {
        self.root
            .join(format!("usr/src/linux-headers-{}", self.release))
    }
}
