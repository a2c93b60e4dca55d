// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's log, as it came on the first serial port.

use std::fs;
use std::path::Path;

/// Lines of a kernel's log that show that something is wrong in it, whatever
/// the script found.
const TROUBLE: [&str; 17] = [
    "WARNING: CPU",
    "BUG: ",
    "Oops: ",
    "general protection fault",
    "Call Trace:",
    "kernel BUG at",
    "detected stall",
    "soft lockup",
    "hard LOCKUP",
    "unchecked MSR access",
    "invalid opcode:",
    "double fault",
    // ARM64's own words.
    "Call trace:",
    "Internal error: ",
    "Unable to handle kernel",
    "SError Interrupt",
    "Bad mode in",
];

/// The whole log; empty if there is none.
pub(crate) fn read(run: &Path) -> String {
    let bytes = fs::read(run.join("console.log")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\r', "")
}

/// Whether the kernel panicked.
pub(crate) fn panicked(log: &str) -> bool {
    log.contains("Kernel panic - not syncing")
}

/// What the guest's /init says first of all.
const FIRST_PROCESS: &str = "mercury-rig: first process";

/// The lines that show trouble, up to the script's end: how a machine switches
/// itself off after that is not what was tested. On Bochs not of a kernel before
/// its first process: what the CPUs there make it say (of the size of their XSAVE
/// area, say) it says on the bare machine as well.
pub(crate) fn trouble(log: &str) -> Vec<&str> {
    let ended = log.rfind("mercury-rig: status").unwrap_or(log.len());
    let judged = &log[..ended];
    let bochs = log.contains("BIOS Bochs") && judged.contains(FIRST_PROCESS);
    let mut boots = bochs;
    let mut last = 0.0;
    judged
        .lines()
        .filter(|line| {
            if let Some(time) = time(line) {
                // Another kernel, after kexec or a crash.
                boots |= bochs && time + CLOCKS_APART < last;
                last = time;
            }
            boots &= !line.contains(FIRST_PROCESS);
            !boots && TROUBLE.iter().any(|sign| line.contains(sign))
        })
        .collect()
}

/// How far two lines of one kernel's may be out of order, in seconds.
const CLOCKS_APART: f64 = 1.0;

/// The kernel's clock in a line of its log.
fn time(line: &str) -> Option<f64> {
    let (clock, _) = line.strip_prefix('[')?.split_once(']')?;
    clock.trim().parse().ok()
}

/// The last lines.
pub(crate) fn tail(log: &str, count: usize) -> Vec<&str> {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(count)..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_seen_and_ordinary_lines_are_not() {
        let log = "[ 1.0] smp: Brought up 1 node, 2 CPUs\n[ 2.0] WARNING: CPU: 0 PID: 1 at kernel/x.c:1\n";
        assert_eq!(trouble(log).len(), 1);
        assert!(!panicked(log));
        assert!(panicked(
            "[ 3.0] Kernel panic - not syncing: sysrq triggered crash"
        ));
    }

    #[test]
    fn what_comes_after_the_script_is_not_judged() {
        let log = "a\nmercury-rig: status 0\n[ 2.0] WARNING: CPU: 0 PID: 1 at kernel/x.c:1\n";
        assert!(trouble(log).is_empty());
    }

    #[test]
    fn what_bochs_cpus_bring_about_before_the_first_process_is_not_judged() {
        let early =
            "[ 0.1] Hardware name:  , BIOS Bochs 2.7\n[ 0.2] WARNING: CPU: 0 PID: 0 at x.c:1\n";
        let first = format!("[ 6.0] {FIRST_PROCESS}\n");
        let late = "[ 7.0] WARNING: CPU: 0 PID: 1 at y.c:1\n";
        assert!(trouble(&format!("{early}{first}")).is_empty());
        assert_eq!(trouble(&format!("{early}{first}{late}")).len(), 1);
        // The second kernel, after kexec, and its trouble.
        let second = format!("{early}{first}");
        assert!(trouble(&format!("{early}{first}{second}")).is_empty());
        assert_eq!(trouble(&format!("{early}{first}{second}{late}")).len(), 1);
        assert!(include_str!("../guest/init").contains(FIRST_PROCESS));
    }

    #[test]
    fn the_tail_of_a_short_log_is_all_of_it() {
        assert_eq!(tail("a\nb", 5), ["a", "b"]);
        assert_eq!(tail("a\nb\nc", 2), ["b", "c"]);
    }
}
