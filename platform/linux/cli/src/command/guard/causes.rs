// SPDX-License-Identifier: MIT OR Apache-2.0
//! What makes the kernel panic, and so the machine go back.
//!
//! A roll-back begins with a panic; whether an oops, a warning or a CPU that hangs is one,
//! the kernel's own switches say. `guard on --on ...` sets those that are needed and notes
//! what they were, `guard off` puts them back. With a crash kernel loaded a panic goes
//! there before anybody is told, unless `crash_kexec_post_notifiers` is set; so it is.

use crate::arguments::Cause;
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Where the values are noted that were there before.
const NOTE: &str = "/run/mercury-guard.json";

/// One of the kernel's switches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Switch {
    /// Its file.
    pub(crate) path: String,
    /// What it was before.
    pub(crate) before: String,
    /// What it is now.
    pub(crate) now: String,
}

/// Files of a cause. A kernel has not all of them: no watchdog, none of its switches.
fn files(cause: Cause) -> &'static [&'static str] {
    match cause {
        Cause::Panic => &[],
        Cause::Oops => &["/proc/sys/kernel/panic_on_oops"],
        Cause::Warn => &["/proc/sys/kernel/panic_on_warn"],
        Cause::Hang => &[
            "/proc/sys/kernel/softlockup_panic",
            "/proc/sys/kernel/hardlockup_panic",
        ],
    }
}

const CRASH_KERNEL: &str = "/sys/kernel/kexec_crash_loaded";
const TELL_FIRST: &str = "/sys/module/kernel/parameters/crash_kexec_post_notifiers";

/// Sets what these causes need, and says what was changed.
pub(crate) fn set(causes: &[Cause], note: &Path) -> anyhow::Result<Vec<Switch>> {
    let mut wanted: Vec<_> = causes
        .iter()
        .flat_map(|cause| files(*cause))
        .map(|path| (*path, "1"))
        .collect();
    if std::fs::read_to_string(CRASH_KERNEL).is_ok_and(|loaded| loaded.trim() == "1") {
        wanted.push((TELL_FIRST, "Y"));
    }
    let mut switches = noted(note)?;
    for (path, now) in wanted {
        if !Path::new(path).exists() {
            continue;
        }
        let before = read(path)?;
        if before == now {
            continue;
        }
        write(path, now)?;
        if switches.iter().all(|switch| switch.path != path) {
            switches.push(Switch {
                path: path.to_owned(),
                before,
                now: now.to_owned(),
            });
        }
    }
    if !switches.is_empty() {
        let text = serde_json::to_string_pretty(&switches)?;
        std::fs::write(note, text).with_context(|| format!("cannot write {}", note.display()))?;
    }
    Ok(switches)
}

/// What was changed and not put back yet.
pub(crate) fn noted(note: &Path) -> anyhow::Result<Vec<Switch>> {
    let text = match std::fs::read_to_string(note) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", note.display())),
    };
    serde_json::from_str(&text).with_context(|| {
        format!(
            "{} does not say which of the kernel's switches `guard on` changed; remove it, and look at \
             kernel.panic_on_oops, panic_on_warn, softlockup_panic and hardlockup_panic",
            note.display()
        )
    })
}

/// Puts back what [`set`] changed. What somebody else has changed since stays.
pub(crate) fn restore(note: &Path) -> anyhow::Result<()> {
    for switch in noted(note)? {
        if read(&switch.path)? == switch.now {
            write(&switch.path, &switch.before)?;
        }
    }
    match std::fs::remove_file(note) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", note.display()))
        }
        _ => Ok(()),
    }
}

/// Where `guard` notes them.
pub(crate) fn note() -> &'static Path {
    Path::new(NOTE)
}

fn read(path: &str) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    Ok(text.trim().to_owned())
}

fn write(path: &str, value: &str) -> anyhow::Result<()> {
    std::fs::write(path, value).with_context(|| format!("cannot write {value} to {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_is_put_back_unless_somebody_else_did() {
        let folder = crate::command::guard::scratch("causes");
        let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let note = folder.join("note");
        assert_eq!(noted(&note).unwrap(), []);
        restore(&note).unwrap();
        let switches = ["ours", "theirs"].map(|name| {
            std::fs::write(file(name), "1\n").unwrap();
            Switch {
                path: file(name),
                before: "0".to_owned(),
                now: "1".to_owned(),
            }
        });
        std::fs::write(&note, serde_json::to_string(&switches).unwrap()).unwrap();
        std::fs::write(file("theirs"), "2").unwrap();
        restore(&note).unwrap();
        assert_eq!(read(&file("ours")).unwrap(), "0");
        assert_eq!(read(&file("theirs")).unwrap(), "2");
        assert!(!note.exists());
        std::fs::write(&note, "nonsense").unwrap();
        assert!(noted(&note).unwrap_err().to_string().contains("remove it"));
    }
}
