// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine as Linux shows it: CPUs, where we run, what booted.

use anyhow::{Context, Result, ensure};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use std::fs;

/// Reads a one-line file of sysfs or procfs.
pub(crate) fn read(path: &str) -> Result<String> {
    Ok(fs::read_to_string(path)
        .with_context(|| format!("reading {path}"))?
        .trim()
        .to_owned())
}

/// Writes one, in a single call as such files want it.
pub(crate) fn write(path: &str, value: &str) -> Result<()> {
    fs::write(path, value).with_context(|| format!("writing '{value}' to {path}"))
}

/// A list like `0-2,5`.
fn parse_list(text: &str) -> Result<Vec<u32>> {
    let mut cpus = Vec::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse()?, last.parse()?);
        cpus.extend(first..=last);
    }
    Ok(cpus)
}

/// The CPUs that are online.
pub(crate) fn online() -> Result<Vec<u32>> {
    parse_list(&read("/sys/devices/system/cpu/online")?)
}

/// Switches a CPU off or on.
pub(crate) fn set_online(cpu: u32, on: bool) -> Result<()> {
    write(
        &format!("/sys/devices/system/cpu/cpu{cpu}/online"),
        if on { "1" } else { "0" },
    )
}

/// Lets the calling thread run on one CPU only.
pub(crate) fn pin(cpu: u32) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu as usize)?;
    sched_setaffinity(Pid::from_raw(0), &set).with_context(|| format!("moving to CPU {cpu}"))
}

/// Lets the calling thread run anywhere again.
pub(crate) fn unpin() -> Result<()> {
    let mut set = CpuSet::new();
    for cpu in online()? {
        set.set(cpu as usize)?;
    }
    sched_setaffinity(Pid::from_raw(0), &set).context("moving to any CPU")
}

/// NMIs per CPU, from /proc/interrupts.
pub(crate) fn nmi_counts() -> Result<Vec<u64>> {
    let table = fs::read_to_string("/proc/interrupts")?;
    let row = table
        .lines()
        .find_map(|line| line.trim_start().strip_prefix("NMI:"))
        .context("/proc/interrupts has no row 'NMI'")?;
    let counts: Vec<u64> = row
        .split_whitespace()
        .map_while(|word| word.parse().ok())
        .collect();
    ensure!(
        !counts.is_empty(),
        "the row 'NMI' of /proc/interrupts is empty"
    );
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus() {
        assert_eq!(parse_list("0\n").unwrap(), [0]);
        assert_eq!(parse_list("0-2,5").unwrap(), [0, 1, 2, 5]);
        assert!(parse_list("x").is_err());
    }
}
