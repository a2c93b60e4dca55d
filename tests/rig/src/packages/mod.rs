// SPDX-License-Identifier: MIT OR Apache-2.0
//! `make deb`: Debian packages from the tree, for this machine's instruction set and the
//! others.
//!
//! What is in them is built here as for a guest: the image, the static tool, and from
//! the tool's own command line its manual pages and completions. `packaging/debian` says
//! where each goes; debhelper does the rest and compiles nothing, so that the packages
//! of a foreign instruction set are made like our own. Two builds give the same bytes:
//! every file's date is the changelog's.

mod contents;
mod system;

pub(crate) use system::run as test_in_debian;

use crate::arch::Arch;
use crate::command::{cargo, output, shown, stdout_of};
use crate::paths::Paths;
use crate::product::{self, Flavour};
use crate::terminal::{Work, remark};
use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

/// The packages of one instruction set.
pub(crate) fn build(paths: &Paths, arch: Arch) -> Result<Vec<PathBuf>> {
    let image = product::build_image(paths, arch, Flavour::Release)?;
    let programs = product::build_programs(paths, arch)?;
    let tool = programs
        .iter()
        .find(|program| program.ends_with("mercury"))
        .context("the programs that were built are without the tool mercury")?;
    let files = generated(paths)?;
    let folder = paths.target("deb").join(arch.debian());
    let packages = made(paths, arch, &folder, &image, tool, &files)?;
    for package in &packages {
        remark(&format!("made {}", package.display()));
    }
    Ok(packages)
}

/// Builds them, twice, and has them judged: by lintian, and by what must be in them.
pub(crate) fn check(paths: &Paths, arch: Arch) -> Result<()> {
    let packages = build(paths, arch)?;
    let image = product::build_image(paths, arch, Flavour::Release)?;
    for package in &packages {
        contents::check(package, arch, &image)?;
    }
    let lintian = output(
        Command::new("lintian")
            .args(["--no-cfg", "--allow-root", "--fail-on", "error,warning"])
            .args(&packages),
    )?;
    ensure!(
        lintian.status.success(),
        "lintian has complaints about the packages for {}:\n{}",
        arch.debian(),
        String::from_utf8_lossy(&lintian.stdout)
    );
    // In another folder, at another time.
    let again = paths.target("deb").join(format!("{}-again", arch.debian()));
    let programs = product::build_programs(paths, arch)?;
    let tool = programs
        .iter()
        .find(|program| program.ends_with("mercury"))
        .context("no tool")?;
    let second = made(paths, arch, &again, &image, tool, &generated(paths)?)?;
    for (one, other) in packages.iter().zip(&second) {
        ensure!(
            fs::read(one)? == fs::read(other)?,
            "{} and {}, made from the same files, differ",
            one.display(),
            other.display()
        );
    }
    fs::remove_dir_all(&again).with_context(|| format!("removing {}", again.display()))
}

/// Manual pages and completions, by a build of the tool for this machine.
fn generated(paths: &Paths) -> Result<PathBuf> {
    let folder = paths.target("deb").join("generated");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    stdout_of(
        cargo(paths)
            .args(["run", "--quiet", "--package", "mercury-cli", "--target-dir"])
            .arg(paths.target(""))
            .args(["--features", "packaging", "--", "package-files"])
            .arg(&folder),
    )
    .context("making the manual pages and completions")?;
    Ok(folder)
}

/// Lays everything out and calls debhelper.
fn made(
    paths: &Paths,
    arch: Arch,
    folder: &Path,
    image: &Path,
    tool: &Path,
    files: &Path,
) -> Result<Vec<PathBuf>> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    let stage = folder.join("mercury");
    copy(&paths.source("packaging/debian"), &stage.join("debian"))?;
    copy(files, &stage)?;
    copy(tool, &stage.join("mercury"))?;
    let name = image.file_name().context("the image has no name")?;
    let firmware = stage.join("firmware").join(name);
    copy(image, &firmware)?;
    fs::set_permissions(&firmware, fs::Permissions::from_mode(0o644))?;
    product::module_sources(paths, image, &stage.join("module"))?;
    let seconds = stdout_of(
        Command::new("dpkg-parsechangelog")
            .args(["-S", "Timestamp"])
            .current_dir(&stage),
    )?;
    let date = UNIX_EPOCH + Duration::from_secs(seconds.trim().parse()?);
    dated(&stage, date)?;
    let mut command = Command::new("dpkg-buildpackage");
    command
        .args(["--build=binary", "--no-sign", "--no-check-builddeps"])
        .arg(format!("--host-arch={}", arch.debian()))
        .env("DEB_BUILD_OPTIONS", "noautodbgsym nocheck")
        .env("LC_ALL", "C")
        .current_dir(&stage);
    for name in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "ARCH"] {
        command.env_remove(name);
    }
    let built = {
        let _work = Work::begin(&format!("making the packages for {}", arch.debian()));
        output(&mut command)?
    };
    if !built.status.success() {
        bail!(
            "'{}' in {} ended with {}:\n{}{}",
            shown(&command),
            stage.display(),
            built.status,
            String::from_utf8_lossy(&built.stdout),
            String::from_utf8_lossy(&built.stderr)
        );
    }
    let mut packages: Vec<PathBuf> = fs::read_dir(folder)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect();
    packages.sort();
    ensure!(
        packages.len() == 2,
        "dpkg-buildpackage made {} packages in {} where 2 were expected",
        packages.len(),
        folder.display()
    );
    Ok(packages)
}

/// Copies a file, or a folder with all that is in it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to).with_context(|| format!("making {}", to.display()))?;
        for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    }
    fs::copy(from, to)
        .map(|_| ())
        .with_context(|| format!("copying {} to {}", from.display(), to.display()))
}

/// Gives everything one date.
fn dated(path: &Path, date: std::time::SystemTime) -> Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            dated(&entry?.path(), date)?;
        }
    }
    File::open(path)
        .and_then(|file| file.set_modified(date))
        .with_context(|| format!("dating {}", path.display()))
}
