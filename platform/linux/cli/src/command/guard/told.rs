// SPDX-License-Identifier: MIT OR Apache-2.0
//! User space learns of a roll-back: programs that the administrator put into a folder are
//! run behind each, in the order of their names, as `run-parts` would.
//!
//! A program that fails is named on standard error, and the others run all the same.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where they are.
pub(crate) const FOLDER: &str = "/etc/mercury/rolled-back.d";

/// Programs in the folder; none if there is no folder.
fn programs(folder: &Path) -> Vec<PathBuf> {
    let mut programs: Vec<_> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            // A backup of an editor's or a package manager's has such a character.
            let name = entry.file_name();
            name.to_string_lossy()
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_')
        })
        .map(|entry| entry.path())
        .filter(|path| {
            path.metadata()
                .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
        })
        .collect();
    programs.sort();
    programs
}

/// Runs them, and gives what went wrong.
pub(crate) fn tell(folder: &Path, rolled_back: u64, checkpoint: u64) -> Vec<String> {
    let mut wrong = Vec::new();
    for program in programs(folder) {
        let status = Command::new(&program)
            .env("MERCURY_ROLLED_BACK", rolled_back.to_string())
            .env("MERCURY_CHECKPOINT", checkpoint.to_string())
            .status();
        match status {
            Ok(status) if status.success() => {}
            Ok(status) => wrong.push(format!("{} ended with {status}", program.display())),
            Err(error) => wrong.push(format!("{} could not be run: {error}", program.display())),
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_run_in_order_and_a_bad_one_is_named() {
        let folder = crate::command::guard::scratch("told");
        assert_eq!(tell(&folder.join("none"), 1, 1), [""; 0]);
        let out = folder.join("out");
        let write = |name: &str, text: String, mode| {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let note = |word: &str| {
            format!(
                "#!/bin/sh\necho {word} $MERCURY_ROLLED_BACK $MERCURY_CHECKPOINT >>{}\n",
                out.display()
            )
        };
        write("20-second", note("second"), 0o755);
        write("10-first", note("first"), 0o755);
        write("30-fails", "#!/bin/sh\nexit 3\n".to_owned(), 0o755);
        write("40-not-executable", note("never"), 0o644);
        write("10-first~", note("never"), 0o755);
        let wrong = tell(&folder, 7, 2);
        assert_eq!(
            std::fs::read_to_string(&out).unwrap(),
            "first 7 2\nsecond 7 2\n"
        );
        assert_eq!(wrong.len(), 1);
        assert!(wrong[0].contains("30-fails ended with exit status: 3"));
    }
}
