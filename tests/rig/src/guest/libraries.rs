// SPDX-License-Identifier: MIT OR Apache-2.0
//! A program of this machine, with the libraries that it is linked with, for
//! the guest (which is busybox and static programs otherwise).

use super::cpio::Tree;
use crate::command::output;
use anyhow::{Result, bail};
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
}
