// SPDX-License-Identifier: MIT OR Apache-2.0
//! Block devices that are open for writing: file systems, swap, and what other block
//! devices hold.
//!
//! A file system in memory has no device behind it and is rolled back with all memory.

use anyhow::Context;
use serde::Serialize;
use std::path::Path;

/// A block device that would not be rolled back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Disk {
    /// Its name.
    pub(crate) device: String,
    /// What it is open as.
    pub(crate) used_as: String,
}

/// All of this machine.
pub(crate) fn open_for_writing() -> anyhow::Result<Vec<Disk>> {
    let mounts = read("/proc/self/mountinfo")?;
    // A kernel without swap has no such file.
    let swaps = std::fs::read_to_string("/proc/swaps").unwrap_or_default();
    let mut disks = mounted(&mounts, |number| {
        Path::new("/sys/dev/block").join(number).exists()
    });
    disks.extend(swapped(&swaps));
    Ok(disks)
}

fn read(path: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))
}

/// Writable mounts of devices, once each, and of file systems that are elsewhere (NFS
/// and the like).
fn mounted(mounts: &str, is_block: impl Fn(&str) -> bool) -> Vec<Disk> {
    const ELSEWHERE: [&str; 6] = ["nfs", "nfs4", "cifs", "9p", "ceph", "fuse.sshfs"];
    let mut disks: Vec<Disk> = Vec::new();
    for line in mounts.lines() {
        let Some((mount, system)) = line.split_once(" - ") else {
            continue;
        };
        let mount: Vec<&str> = mount.split(' ').collect();
        let system: Vec<&str> = system.split(' ').collect();
        let ([_, _, number, _, place, ..], [kind, device, options, ..]) = (&mount[..], &system[..])
        else {
            continue;
        };
        // The superblock's own: a mount may be read-only and the file system not.
        let writable = options.split(',').any(|option| option == "rw");
        let lies_somewhere = is_block(number) || ELSEWHERE.contains(kind);
        if writable && lies_somewhere && disks.iter().all(|disk| disk.device != *device) {
            disks.push(Disk {
                device: (*device).to_owned(),
                used_as: format!("{kind} on {place}"),
            });
        }
    }
    disks
}

fn swapped(swaps: &str) -> impl Iterator<Item = Disk> {
    swaps.lines().skip(1).filter_map(|line| {
        Some(Disk {
            device: line.split_whitespace().next()?.to_owned(),
            used_as: "swap".to_owned(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writable_devices_are_found_and_memory_is_not() {
        let mounts = "\
22 1 0:2 / / rw - rootfs rootfs rw,size=1
23 22 8:1 / /mnt ro,relatime - ext4 /dev/sda1 rw
24 22 8:1 /sub /sub rw,relatime - ext4 /dev/sda1 rw
25 22 8:2 / /ro rw,relatime - ext4 /dev/sda2 ro
26 22 0:5 / /dev rw - devtmpfs udev rw
27 22 0:50 / /home rw shared:1 - nfs4 server:/home rw,vers=4
";
        let found = mounted(mounts, |number| number.starts_with("8:"));
        let names: Vec<_> = found
            .iter()
            .map(|disk| (disk.device.as_str(), disk.used_as.as_str()))
            .collect();
        assert_eq!(
            names,
            [
                ("/dev/sda1", "ext4 on /mnt"),
                ("server:/home", "nfs4 on /home")
            ]
        );
        let swaps = "Filename Type Size Used Priority\n/dev/sda3 partition 1 0 -2\n";
        assert_eq!(swapped(swaps).next().unwrap().device, "/dev/sda3");
    }
}
