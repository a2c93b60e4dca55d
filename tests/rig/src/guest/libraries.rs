// SPDX-License-Identifier: MIT OR Apache-2.0
//! A program with the libraries that it is linked with, for the guest (which
//! is busybox and static programs otherwise).
//!
//! Of a program of this machine the loader says what it needs (ldd). One for
//! another instruction set cannot be asked so: its file is read instead.

use super::cpio::Tree;
use crate::command::{output, stdout_of};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Puts `program` at `path` in the guest, and its libraries where its loader
/// looks for them.
pub(crate) fn with_libraries(tree: &mut Tree, path: &str, program: &Path) -> Result<()> {
    tree.copy(path, program, 0o755)?;
    let mut command = Command::new("ldd");
    let listed = output(command.arg(program))?;
    let text = String::from_utf8_lossy(&listed.stdout);
    if !listed.status.success() && !text.contains("not a dynamic executable") {
        bail!(
            "ldd could not read {}: {}",
            program.display(),
            String::from_utf8_lossy(&listed.stderr)
        );
    }
    for library in parse(&text) {
        let at = library.to_string_lossy().into_owned();
        if !tree.contains(at.trim_start_matches('/')) {
            tree.copy(&at, &library, 0o755)?;
        }
    }
    Ok(())
}

/// The same for a program and libraries below `root`, for another machine.
pub(super) fn with_foreign_libraries(
    tree: &mut Tree,
    path: &str,
    program: &Path,
    root: &Path,
) -> Result<()> {
    tree.copy(path, program, 0o755)?;
    let mut open = vec![program.to_path_buf()];
    while let Some(file) = open.pop() {
        let mut command = Command::new("readelf");
        let text = stdout_of(
            command
                .args(["--wide", "--dynamic", "--program-headers"])
                .arg(&file),
        )?;
        for name in needed(&text) {
            let found = find_library(root, name)
                .with_context(|| format!("{} needs {name}", file.display()))?;
            let at = found.strip_prefix(root)?.to_string_lossy().into_owned();
            if !tree.contains(&at) {
                tree.copy(&at, &found, 0o755)?;
                open.push(found);
            }
        }
    }
    Ok(())
}

/// A library by its name, or the loader by its path.
fn find_library(root: &Path, name: &str) -> Result<PathBuf> {
    if name.starts_with('/') {
        return Ok(root.join(name.trim_start_matches('/')));
    }
    for folder in ["lib", "usr/lib"] {
        let Ok(listing) = root.join(folder).read_dir() else {
            continue;
        };
        // Debian has a folder for each kind of machine below lib.
        for entry in listing.flatten() {
            let library = entry.path().join(name);
            if library.is_file() {
                return Ok(library);
            }
        }
    }
    bail!("there is no library '{name}' below {}", root.display())
}

/// Libraries by name and the loader by path, from readelf's output.
fn needed(text: &str) -> Vec<&str> {
    text.lines()
        .filter(|line| line.contains("(NEEDED)") || line.contains("program interpreter:"))
        .filter_map(|line| line.rsplit(['[', ' ']).next())
        .map(|name| name.trim_end_matches(']'))
        .collect()
}

/// The absolute paths in ldd's output.
fn parse(text: &str) -> Vec<PathBuf> {
    text.lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .map(PathBuf::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_line_are_read() {
        let text = "\tlinux-vdso.so.1 (0x7f)\n\tlibz.so.1 => /lib/libz.so.1 (0x7f)\n\t/lib64/ld-linux-x86-64.so.2 (0x7f)\n";
        assert_eq!(
            parse(text),
            [
                PathBuf::from("/lib/libz.so.1"),
                PathBuf::from("/lib64/ld-linux-x86-64.so.2")
            ]
        );
    }
    #[test]
    fn readelf_names_libraries_and_loader() {
        let text = "      [Requesting program interpreter: /lib/ld-linux-aarch64.so.1]\n 0x0000000000000001 (NEEDED)             Shared library: [libz.so.1]\n 0x000000000000000c (INIT)               0x2430\n";
        assert_eq!(needed(text), ["/lib/ld-linux-aarch64.so.1", "libz.so.1"]);
    }
}
