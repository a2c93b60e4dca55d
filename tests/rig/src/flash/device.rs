// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel says of a disk: its size and model, whether it is one that
//! comes and goes, and whether something on this machine uses it.
//!
//! All of it is read from /sys and /proc, so nothing is opened before it is known
//! what it is.

use anyhow::{Context, Result, bail};
use nix::sys::stat::{major, minor};
use serde::Serialize;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Where the kernel says it; elsewhere in tests.
#[derive(Debug, Clone)]
pub(super) struct System {
    /// /sys
    pub(super) sys: PathBuf,
    /// /proc
    pub(super) proc: PathBuf,
}

impl System {
    /// This machine.
    pub(super) fn this() -> Self {
        Self {
            sys: "/sys".into(),
            proc: "/proc".into(),
        }
    }
}

/// A whole disk.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Device {
    /// As the user named it.
    pub(super) path: PathBuf,
    /// The kernel's name, `sdb`.
    pub(super) name: String,
    /// Its size.
    pub(super) bytes: u64,
    /// Maker and model, or the file behind a loop device.
    pub(super) model: String,
    /// Whether it comes and goes: a card, a stick.
    pub(super) removable: bool,
    /// Whether it cannot be written.
    pub(super) read_only: bool,
    /// Its partitions.
    pub(super) partitions: Vec<String>,
    /// What uses it or a partition of it, in words.
    pub(super) uses: Vec<String>,
}

impl Device {
    /// The disk behind a device file.
    pub(super) fn look(path: &Path, system: &System) -> Result<Self> {
        let metadata =
            fs::metadata(path).with_context(|| format!("DEV={}: looking at it", path.display()))?;
        if !metadata.file_type().is_block_device() {
            bail!(
                "DEV={} is no disk (no block device): expected something like /dev/sdb or /dev/mmcblk0",
                path.display()
            );
        }
        let number = format!("{}:{}", major(metadata.rdev()), minor(metadata.rdev()));
        Self::of_number(path, &number, system)
    }

    /// The disk of this number, `8:16`.
    fn of_number(path: &Path, number: &str, system: &System) -> Result<Self> {
        let link = system.sys.join("dev/block").join(number);
        let folder = link
            .canonicalize()
            .with_context(|| format!("the kernel knows no disk {number} ({})", link.display()))?;
        let name = file_name(&folder);
        if folder.join("partition").exists() {
            bail!(
                "DEV={} is a partition, and the image has a partition table of its own: name the whole disk, /dev/{}",
                path.display(),
                folder.parent().map(file_name).unwrap_or_default()
            );
        }
        let mut parts = vec![folder.clone()];
        for entry in fs::read_dir(&folder)?.flatten() {
            if entry.path().join("partition").exists() {
                parts.push(entry.path());
            }
        }
        parts[1..].sort();
        let sectors: u64 = read(&folder, "size").parse().unwrap_or(0);
        let uses = parts.iter().flat_map(|part| uses(part, system)).collect();
        Ok(Self {
            path: path.to_owned(),
            // The kernel counts in these units whatever the disk's own are.
            bytes: sectors * 512,
            model: model(&folder),
            // A card in a reader of its own does not call itself removable.
            removable: read(&folder, "removable") == "1" || read(&folder, "device/type") == "SD",
            read_only: read(&folder, "ro") == "1",
            partitions: parts[1..].iter().map(|part| file_name(part)).collect(),
            uses,
            name,
        })
    }
}

/// Maker and model in one line.
fn model(folder: &Path) -> String {
    let backing = read(folder, "loop/backing_file");
    if !backing.is_empty() {
        return format!("loop device over {backing}");
    }
    let words: Vec<String> = ["device/vendor", "device/model", "device/name"]
        .iter()
        .map(|file| read(folder, file))
        .filter(|word| !word.is_empty())
        .collect();
    if words.is_empty() {
        return "no model given".into();
    }
    words.join(" ")
}

/// Who uses this disk or partition: a file system, swap, or a device on top of it
/// (LVM, RAID, encryption).
fn uses(part: &Path, system: &System) -> Vec<String> {
    let (name, number) = (file_name(part), read(part, "dev"));
    let mut found = Vec::new();
    let mounts = fs::read_to_string(system.proc.join("self/mountinfo")).unwrap_or_default();
    for line in mounts.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        // Behind the dash: type and source. btrfs shows another number than its
        // disk's.
        let source = words.iter().position(|word| *word == "-").map(|at| at + 2);
        let source = source.and_then(|at| words.get(at)).unwrap_or(&"");
        if words.get(2) == Some(&&*number) || *source == format!("/dev/{name}") {
            let place = words.get(4).unwrap_or(&"?");
            found.push(format!("{name} is mounted at {place}"));
        }
    }
    let swaps = fs::read_to_string(system.proc.join("swaps")).unwrap_or_default();
    for line in swaps.lines().skip(1) {
        let file = line.split_whitespace().next().unwrap_or_default();
        let linked = fs::canonicalize(file).unwrap_or_else(|_| file.into());
        if linked == Path::new("/dev").join(&name) {
            found.push(format!("{name} is swap"));
        }
    }
    for holder in fs::read_dir(part.join("holders"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let holder = holder.file_name();
        found.push(format!(
            "{name} is part of {} (LVM, RAID or encryption)",
            holder.to_string_lossy()
        ));
    }
    found
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn read(folder: &Path, file: &str) -> String {
    fs::read_to_string(folder.join(file))
        .unwrap_or_default()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A made-up machine with one disk, sdb, and a partition on it.
    struct Sample {
        root: PathBuf,
        system: System,
    }

    impl Sample {
        fn new() -> Self {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let root =
                std::env::temp_dir().join(format!("mercury-disk-{}-{count}", std::process::id()));
            let sample = Self {
                system: System {
                    sys: root.join("sys"),
                    proc: root.join("proc"),
                },
                root,
            };
            for (file, text) in [
                ("sys/block/sdb/dev", "8:16\n"),
                ("sys/block/sdb/size", "62333952\n"),
                ("sys/block/sdb/removable", "1\n"),
                ("sys/block/sdb/ro", "0\n"),
                ("sys/block/sdb/device/vendor", "Generic \n"),
                ("sys/block/sdb/device/model", "Card  Reader\n"),
                ("sys/block/sdb/sdb1/dev", "8:17\n"),
                ("sys/block/sdb/sdb1/partition", "1\n"),
                (
                    "proc/self/mountinfo",
                    "25 1 8:1 / / rw - ext4 /dev/sda1 rw\n",
                ),
                ("proc/swaps", "Filename Type Size Used Priority\n"),
            ] {
                sample.write(file, text);
            }
            fs::create_dir_all(sample.root.join("sys/dev/block")).unwrap();
            symlink("../../block/sdb", sample.root.join("sys/dev/block/8:16")).unwrap();
            symlink(
                "../../block/sdb/sdb1",
                sample.root.join("sys/dev/block/8:17"),
            )
            .unwrap();
            sample
        }

        fn write(&self, file: &str, text: &str) {
            let path = self.root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn look(&self, number: &str) -> Result<Device> {
            Device::of_number(Path::new("/dev/sdb"), number, &self.system)
        }
    }

    impl Drop for Sample {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.root);
        }
    }

    #[test]
    fn a_card_in_a_reader_is_known() {
        let device = Sample::new().look("8:16").unwrap();
        assert_eq!(device.name, "sdb");
        assert_eq!(device.bytes, 62_333_952 * 512);
        assert_eq!(device.model, "Generic Card Reader");
        assert!(device.removable && !device.read_only);
        assert_eq!(device.partitions, ["sdb1"]);
        assert!(device.uses.is_empty());
    }

    #[test]
    fn a_partition_is_not_a_disk() {
        let refused = Sample::new().look("8:17").unwrap_err().to_string();
        assert!(refused.contains("/dev/sdb"), "{refused}");
    }

    #[test]
    fn every_use_of_a_partition_is_seen() {
        for (file, text, said) in [
            (
                "proc/self/mountinfo",
                "25 1 8:17 / /mnt rw - vfat /dev/sdb1 rw\n",
                "mounted at /mnt",
            ),
            (
                "proc/self/mountinfo",
                "25 1 0:40 / /b rw shared:1 - btrfs /dev/sdb1 rw\n",
                "mounted at /b",
            ),
            (
                "proc/swaps",
                "Filename Type\n/dev/sdb1 partition 1 0 -2\n",
                "is swap",
            ),
            (
                "sys/block/sdb/sdb1/holders/dm-0/dev",
                "253:0\n",
                "part of dm-0",
            ),
            ("sys/block/sdb/holders/md0/dev", "9:0\n", "part of md0"),
        ] {
            let sample = Sample::new();
            sample.write(file, text);
            let uses = sample.look("8:16").unwrap().uses;
            assert_eq!(uses.len(), 1, "{text}: {uses:?}");
            assert!(uses[0].contains(said), "{uses:?}");
        }
    }

    #[test]
    fn a_fixed_disk_is_told_from_a_card_in_a_reader_of_its_own() {
        let sample = Sample::new();
        sample.write("sys/block/sdb/removable", "0\n");
        assert!(!sample.look("8:16").unwrap().removable);
        sample.write("sys/block/sdb/device/type", "SD\n");
        assert!(sample.look("8:16").unwrap().removable);
    }

    #[test]
    fn a_file_is_no_disk() {
        let refused = Device::look(Path::new("/etc/passwd"), &System::this()).unwrap_err();
        assert!(refused.to_string().contains("no disk"));
    }
}
