// SPDX-License-Identifier: MIT OR Apache-2.0
//! mercury.ko and the test module, built against one kernel's headers.
//!
//! Kbuild writes beside the sources, so each kernel and flavour gets a copy of
//! them under `target/module`. Only files that changed are copied again: make
//! then finds nothing to do in a second build.
//!
//! mercury.ko accepts only the image whose SHA-256 it was built with; that hash
//! reaches it in a header that is generated here. A warning of the compiler, of
//! objtool or of modpost fails the build.

use super::Flavour;
use crate::arch::Arch;
use crate::command::{output, shown, stdout_of};
use crate::kernel::Kernel;
use crate::paths::Paths;
use crate::terminal::{Work, remark};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::available_parallelism;

/// What a module is built against.
#[derive(Debug)]
pub(super) struct Against {
    headers: PathBuf,
    release: String,
    arch: Arch,
    compiler: Option<String>,
}

impl Against {
    /// A Debian kernel of the cache. Debian 12 builds its kernels, backports
    /// included, with gcc-12.
    pub(super) fn kernel(kernel: &Kernel) -> Self {
        Self {
            headers: kernel.headers(),
            release: kernel.release.clone(),
            arch: kernel.arch,
            compiler: Some(kernel.arch.tool("gcc-12")),
        }
    }

    /// A build directory of the user's own kernel, with its own compiler.
    pub(super) fn directory(arch: Arch, headers: &Path) -> Result<Self> {
        // Not include/config/kernel.release: Debian's says 6.1.192 where the
        // kernel itself says 6.1.0-56-amd64.
        let header = headers.join("include/generated/utsrelease.h");
        let text = fs::read_to_string(&header).with_context(|| {
            format!(
                "reading {}; KDIR must name a kernel's build directory, usually /lib/modules/$(uname -r)/build (Debian: package linux-headers-$(uname -r))",
                header.display()
            )
        })?;
        let release = text
            .split('"')
            .nth(1)
            .with_context(|| format!("{} names no release in quotes", header.display()))?;
        Ok(Self {
            headers: headers.to_path_buf(),
            release: release.to_owned(),
            arch,
            compiler: None,
        })
    }
}

/// Builds the modules; the test module only for a guest.
pub(super) fn build(
    paths: &Paths,
    against: &Against,
    flavour: Flavour,
    image: &Path,
    with_tests: bool,
) -> Result<Vec<PathBuf>> {
    let folder = paths
        .target("module")
        .join(format!("{}-{}", against.release, flavour.name()));
    let mercury = folder.join("mercury");
    sources(paths, image, &mercury)?;
    let mut modules = make(against, flavour, &mercury)?;
    let test_sources = paths.source("tests/guest/module");
    if with_tests && serves(&test_sources, against.arch) {
        let test = folder.join("mercury_test");
        copy_changed(&test_sources, &test)?;
        modules.extend(make(against, flavour, &test)?);
    }
    Ok(modules)
}

/// The module's sources with the hash of the image that it will accept: all that Kbuild
/// needs, wherever it runs.
pub(super) fn sources(paths: &Paths, image: &Path, into: &Path) -> Result<()> {
    copy_changed(&paths.source("platform/linux/module"), into)?;
    write_changed(&into.join("image_hash.h"), image_hash(image)?.as_bytes())
}

/// Whether a module's sources are there, and for this instruction set.
fn serves(sources: &Path, arch: Arch) -> bool {
    let folder = match arch {
        Arch::X86_64 => "",
        Arch::Aarch64 => "arm64",
    };
    sources.join("Kbuild").is_file() && sources.join(folder).is_dir()
}

fn make(against: &Against, flavour: Flavour, folder: &Path) -> Result<Vec<PathBuf>> {
    let jobs = available_parallelism().map_or(1, usize::from);
    let mut command = Command::new("make");
    command
        .arg(format!("-j{jobs}"))
        .arg("-C")
        .arg(&against.headers)
        .arg(format!("M={}", folder.display()));
    command.args(cross(against.arch));
    if let Some(compiler) = &against.compiler {
        command.arg(format!("CC={compiler}"));
        // Type information for debuggers, which newer headers would make with
        // pahole: one more package, and nothing here reads it.
        command.arg("CONFIG_DEBUG_INFO_BTF_MODULES=");
    }
    if flavour == Flavour::Testing {
        command.arg("MERCURY_TESTING=1");
    }
    command.arg("modules");
    // The rig may run under a make of its own; its flags are not meant for this one.
    for name in [
        "MAKEFLAGS",
        "MFLAGS",
        "MAKELEVEL",
        "MAKEOVERRIDES",
        "ARCH",
        "KERNEL",
        "SMP",
    ] {
        command.env_remove(name);
    }
    let built = {
        let _work = Work::begin(&format!("building the module for {}", against.release));
        output(&mut command)?
    };
    let text = String::from_utf8_lossy(&built.stdout) + String::from_utf8_lossy(&built.stderr);
    if !built.status.success() {
        bail!("'{}' ended with {}:\n{text}", shown(&command), built.status);
    }
    if let Some(warning) = warnings(&text).next() {
        // Without the objects the next build would be silent, and pass.
        stdout_of(
            Command::new("make")
                .args(cross(against.arch))
                .arg("-C")
                .arg(&against.headers)
                .arg(format!("M={}", folder.display()))
                .arg("clean"),
        )?;
        bail!(
            "building the module in {} gave a warning, and none is allowed: {warning}\n{text}",
            folder.display()
        );
    }
    if text.contains("LD [M]") {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        remark(&format!(
            "built {name}.ko ({}) for {}",
            flavour.name(),
            against.release
        ));
    }
    let mut modules: Vec<PathBuf> = fs::read_dir(folder)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "ko"))
        .collect();
    modules.sort();
    if modules.is_empty() {
        bail!(
            "'{}' succeeded but made no .ko file in {}",
            shown(&command),
            folder.display()
        );
    }
    Ok(modules)
}

/// What make is told where it builds for another machine.
fn cross(arch: Arch) -> Vec<String> {
    if arch.is_ours() {
        return Vec::new();
    }
    vec![
        format!("ARCH={}", arch.kbuild()),
        format!("CROSS_COMPILE={}", arch.cross()),
    ]
}

/// Lines of a build's output that are warnings about the module itself.
fn warnings(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| {
        let lower = line.to_lowercase();
        lower.contains("warning:")
            // Said once of a user's kernel that another gcc built; not ours to mend.
            && !lower.contains("the compiler differs from the one used to build the kernel")
    })
}

/// `image_hash.h` for an image.
fn image_hash(image: &Path) -> Result<String> {
    let bytes = fs::metadata(image)
        .with_context(|| format!("reading {}", image.display()))?
        .len();
    let sum = stdout_of(Command::new("sha256sum").arg(image))?;
    let digits = sum
        .split_whitespace()
        .next()
        .filter(|digits| digits.len() == 64 && digits.is_ascii())
        .with_context(|| format!("sha256sum printed no hash but '{}'", sum.trim()))?;
    let list: Vec<String> = (0..32)
        .map(|at| format!("0x{}", &digits[2 * at..2 * at + 2]))
        .collect();
    let name = image.file_name().unwrap_or_default().to_string_lossy();
    Ok(format!(
        "/* SPDX-License-Identifier: GPL-2.0 */\n/* Generated by the rig from {name}. */\n\
         #define MERCURY_IMAGE_SHA256 {{ {} }}\n#define MERCURY_IMAGE_BYTES {bytes}\n",
        list.join(", ")
    ))
}

/// Copies sources that differ, and removes those that are gone.
fn copy_changed(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("making {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let source = entry?.path();
        let name = source.file_name().unwrap_or_default();
        if source.is_dir() {
            copy_changed(&source, &to.join(name))?;
        } else if is_source(&source) {
            let contents =
                fs::read(&source).with_context(|| format!("reading {}", source.display()))?;
            write_changed(&to.join(name), &contents)?;
        }
    }
    for entry in fs::read_dir(to)? {
        let copy = entry?.path();
        let name = copy.file_name().unwrap_or_default();
        let generated = name == "image_hash.h" || name.to_string_lossy().ends_with(".mod.c");
        if from.join(name).exists() {
            continue;
        }
        if is_source(&copy) && !generated {
            fs::remove_file(&copy).with_context(|| format!("removing {}", copy.display()))?;
        } else if copy.is_dir() && !name.to_string_lossy().starts_with('.') {
            fs::remove_dir_all(&copy).with_context(|| format!("removing {}", copy.display()))?;
        }
    }
    Ok(())
}

fn is_source(path: &Path) -> bool {
    let extension = path
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or("");
    matches!(extension, "c" | "h" | "S" | "lds")
        || path
            .file_name()
            .is_some_and(|name| name == "Kbuild" || name == "Makefile")
}

fn write_changed(path: &Path, contents: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == contents) {
        return Ok(());
    }
    fs::write(path, contents).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_of_all_three_judges_are_seen() {
        for line in [
            "a.c:3:5: warning: unused variable 'x' [-Wunused-variable]",
            "mercury.o: warning: objtool: enter()+0x3: unreachable instruction",
            "WARNING: modpost: missing MODULE_LICENSE() in mercury.o",
        ] {
            assert_eq!(warnings(line).count(), 1, "{line}");
        }
        let harmless = "warning: the compiler differs from the one used to build the kernel\n\
                        Skipping BTF generation for mercury.ko due to unavailability of vmlinux\n";
        assert_eq!(warnings(harmless).count(), 0);
    }
}
