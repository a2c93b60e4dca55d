// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the guest's ordinary programs come from: this machine, if it can run
//! them itself, else Debian's packages for the guest's instruction set.

use super::cpio::Tree;
use super::libraries;
use crate::arch::Arch;
use crate::command::stdout_of;
use crate::debian;
use crate::paths::Paths;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A root directory with programs for the guest.
#[derive(Debug)]
pub(crate) struct Userland {
    root: PathBuf,
    ours: bool,
}

impl Userland {
    /// This machine's own; for another instruction set one in the cache, which
    /// is downloaded the first time.
    pub(crate) fn of(paths: &Paths, arch: Arch) -> Result<Self> {
        let ours = arch.is_ours();
        let root = if ours {
            PathBuf::from("/")
        } else {
            debian::userland(paths, arch)?
        };
        Ok(Self { root, ours })
    }

    /// kexec(8), if there is one.
    pub(crate) fn kexec(&self) -> Option<PathBuf> {
        self.find(&["sbin/kexec", "usr/sbin/kexec"])
    }

    /// A busybox that is linked statically.
    pub(super) fn busybox(&self) -> Result<PathBuf> {
        self.find(&["bin/busybox", "usr/bin/busybox"])
            .with_context(|| {
                format!(
                    "no busybox below {}: 'make setup' installs busybox-static",
                    self.root.display()
                )
            })
    }

    /// Puts a program of this userland into the guest, and its libraries where
    /// its loader looks for them.
    pub(super) fn copy_with_libraries(
        &self,
        tree: &mut Tree,
        path: &str,
        program: &Path,
    ) -> Result<()> {
        if self.ours {
            libraries::with_libraries(tree, path, program)
        } else {
            libraries::with_foreign_libraries(tree, path, program, &self.root)
        }
    }

    fn find(&self, places: &[&str]) -> Option<PathBuf> {
        places
            .iter()
            .map(|place| self.root.join(place))
            .find(|path| path.exists())
    }
}

/// What busybox can do, by name. It is asked on this machine, which cannot run
/// the guest's everywhere; Debian builds the same for all.
pub(super) fn applets() -> Result<Vec<String>> {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"]
        .into_iter()
        .find(|path| Path::new(path).exists())
        .context("no busybox on this machine: 'make setup' installs busybox-static")?;
    Ok(stdout_of(Command::new(busybox).arg("--list"))?
        .lines()
        .filter(|applet| *applet != "busybox")
        .map(str::to_owned)
        .collect())
}
