// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files on a disk, written, flushed, dropped from the cache and read again.

use super::{Act, Disturbance, Place, Prepared, cannot, ready};
use crate::torture::modprobe;
use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::mount::{MsFlags, mount, umount};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::PathBuf;

const AT: &str = "/mnt";
const FILES: u64 = 8;

struct Disk {
    bytes: u64,
    device: PathBuf,
    /// What each file holds: a seed and a length.
    held: [Option<(u64, usize)>; FILES as usize],
}

fn contents((seed, length): (u64, usize)) -> Vec<u8> {
    let mut bytes = vec![0; length];
    Rng::with_seed(seed).fill(&mut bytes);
    bytes
}

fn path(number: usize) -> PathBuf {
    PathBuf::from(AT).join(format!("file-{number}"))
}

impl Disk {
    fn judge(&self, number: usize) -> Result<()> {
        let Some(held) = self.held[number] else {
            return Ok(());
        };
        let mut found = Vec::new();
        let mut file = File::open(path(number))?;
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
        file.read_to_end(&mut found)?;
        let expected = contents(held);
        ensure!(
            found == expected,
            "file {number} on the disk holds {} bytes; of {} expected the first that differs is {:?}",
            found.len(),
            expected.len(),
            found
                .iter()
                .zip(&expected)
                .position(|(one, other)| one != other)
        );
        Ok(())
    }
}

impl Disturbance for Disk {
    fn act(&mut self, draw: &mut Rng) -> Result<Act> {
        let number = draw.usize(..self.held.len());
        self.judge(number)?;
        let held = (draw.u64(..), draw.usize(1..256 << 10));
        self.held[number] = None;
        let mut file = File::create(path(number))?;
        file.write_all(&contents(held))?;
        file.sync_all()?;
        self.held[number] = Some(held);
        self.bytes += held.1 as u64;
        self.judge(number)?;
        if draw.u8(..4) == 0 {
            fs::remove_file(path(number))?;
            self.held[number] = None;
        }
        Ok(Act::Done)
    }

    fn finish(&mut self) -> Result<Option<String>> {
        umount(AT).context("unmounting the disk")?;
        attach(&self.device)?;
        for number in 0..self.held.len() {
            self.judge(number)?;
        }
        umount(AT)?;
        Ok(Some(format!(
            "{} KiB written and read again",
            self.bytes >> 10
        )))
    }
}

fn attach(device: &PathBuf) -> Result<()> {
    mount(
        Some(device),
        AT,
        Some("ext4"),
        MsFlags::empty(),
        None::<&str>,
    )
    .with_context(|| format!("mounting {}", device.display()))
}

pub(super) fn prepare(place: &Place) -> Prepared {
    if place.repeatable {
        return cannot("waits for the host");
    }
    for module in ["virtio-pci", "virtio-blk", "crc32c_generic", "ext4"] {
        if let Err(error) = modprobe(module) {
            return cannot(format!("{error:#}"));
        }
    }
    let blocks = fs::read_dir("/sys/block")?.flatten();
    let mut disks = blocks.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let Some(name) = disks.find(|name| name.starts_with("vd")) else {
        return cannot("no disk");
    };
    let device = PathBuf::from("/dev").join(name);
    attach(&device)?;
    ready(Disk {
        bytes: 0,
        device,
        held: [None; FILES as usize],
    })
}
