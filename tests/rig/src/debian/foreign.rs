// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a guest of another instruction set needs from Debian where this
//! machine's own files do not serve: busybox and kexec, and Rust's standard
//! library to link Mercury's programs with. And stress-ng, which no machine needs
//! to have installed.

use super::apt::{Apt, Suite};
use super::unpacked;
use crate::arch::Arch;
use crate::command::{stdout_of, toolchain_bin};
use crate::paths::Paths;
use anyhow::{Context, Result, bail};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

/// A root directory with the guest's busybox and kexec in it.
pub(crate) fn userland(paths: &Paths, arch: Arch) -> Result<PathBuf> {
    unpacked(
        paths,
        Suite::Release,
        arch,
        &format!("userland-{}", arch.debian()),
        |apt| {
            let mut packages = Vec::new();
            for name in ["busybox-static", "kexec-tools"] {
                with_libraries(apt, name, &mut packages)?;
            }
            Ok(packages)
        },
    )
}

/// A root directory with stress-ng in it; installed it is on no machine of ours.
pub(crate) fn stress_ng(paths: &Paths, arch: Arch) -> Result<PathBuf> {
    let name = format!("stress-ng-{}", arch.debian());
    unpacked(paths, Suite::Release, arch, &name, |apt| {
        let mut packages = Vec::new();
        with_libraries(apt, "stress-ng", &mut packages)?;
        Ok(packages)
    })
}

/// Prometheus' own checker of metrics, of this machine's instruction set: its
/// package, installed, would start a server.
pub(crate) fn promtool(paths: &Paths) -> Result<PathBuf> {
    let ours = Arch::ALL
        .into_iter()
        .find(|arch| arch.is_ours())
        .context("this machine's instruction set is not known")?;
    let name = format!("prometheus-{}", ours.debian());
    let root = unpacked(paths, Suite::Release, ours, &name, |apt| {
        let package = apt
            .find("prometheus")?
            .context("the mirror has no package 'prometheus'")?;
        Ok(vec![package])
    })?;
    Ok(root.join("usr/bin/promtool"))
}

/// The package and, by way of Depends, the libraries that it is linked with.
fn with_libraries(apt: &Apt, name: &str, packages: &mut Vec<String>) -> Result<()> {
    let package = apt
        .find(name)?
        .with_context(|| format!("the mirror has no package '{name}' for the guest"))?;
    if packages.contains(&package) {
        return Ok(());
    }
    let depends = apt.depends(&package)?;
    packages.push(package);
    for library in depends {
        if library.starts_with("lib") || library.starts_with("zlib") {
            with_libraries(apt, &library, packages)?;
        }
    }
    Ok(())
}

/// Sees to it that the toolchain can link programs for the guest's Linux. With
/// rustup that was set-up's work; Debian's compiler takes Debian's library for
/// the other instruction set, of the very same version.
pub(crate) fn linux_std(paths: &Paths, arch: Arch) -> Result<()> {
    let target = arch.linux();
    let Some(bin) = toolchain_bin(paths).filter(|_| !arch.is_ours()) else {
        return Ok(());
    };
    let own = paths.cache.join("toolchain");
    let place = bin.join("../lib/rustlib").join(target);
    if bin != own.join("bin") {
        if place.is_dir() {
            return Ok(());
        }
        bail!(
            "the toolchain in {} has no standard library for {target}: 'make setup ARCH={arch}', or 'rustup target add {target}'",
            bin.display()
        );
    }
    let version = stdout_of(Command::new("dpkg-query").args(["-W", "-f=${Version}", "rustc-web"]))?;
    let name = format!("rust-std-{}-{version}", arch.debian());
    let root = unpacked(paths, Suite::Release, arch, &name, |apt| {
        let package = apt.find("libstd-rust-web-dev")?.with_context(|| {
            format!(
                "the mirror has no libstd-rust-web-dev for {}",
                arch.debian()
            )
        })?;
        Ok(vec![format!("{package}={version}")])
    })
    .context("fetching Rust's standard library for the guest; if the mirror has another version than rustc-web's, upgrade rustc-web and its companions")?;
    link(&root.join("usr/lib/rustlib").join(target), &place)
}

/// A symbolic link that is whole at any time.
fn link(to: &Path, at: &Path) -> Result<()> {
    if fs::read_link(at).is_ok_and(|old| old == to) {
        return Ok(());
    }
    let new = at.with_extension(format!("new{}", process::id()));
    symlink(to, &new).with_context(|| format!("linking {}", new.display()))?;
    fs::rename(&new, at).with_context(|| format!("moving {} into place", at.display()))
}
