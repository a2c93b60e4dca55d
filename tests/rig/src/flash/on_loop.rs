// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests of `flash` on a loop device, which is a disk as far as the kernel is
//! concerned. They need root and loop devices; where those are not to be had they
//! say so and show nothing (the rules themselves are tested beside their code).

use super::device::{Device, System};
use super::{Ending, act, find};
use crate::arguments::Flash;
use crate::paths::Paths;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const MEBIBYTE: usize = 1 << 20;

/// A disk of our own; gone when it is dropped.
struct Disk {
    folder: PathBuf,
    device: String,
}

impl Disk {
    fn new(name: &str, mebibytes: usize) -> Option<Self> {
        let folder =
            std::env::temp_dir().join(format!("mercury-flash-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("disk");
        fs::write(&file, vec![0xee; mebibytes * MEBIBYTE]).unwrap();
        let made = Command::new("losetup")
            .args(["--find", "--show"])
            .arg(&file)
            .output();
        let device = match made {
            Ok(output) if output.status.success() => {
                String::from_utf8(output.stdout).unwrap().trim().to_owned()
            }
            other => {
                eprintln!("skipped: no loop device can be had here: {other:?}");
                let _ = fs::remove_dir_all(&folder);
                return None;
            }
        };
        Some(Self { folder, device })
    }

    fn image(&self, contents: &[u8]) -> PathBuf {
        let image = self.folder.join("image");
        fs::write(&image, contents).unwrap();
        image
    }

    fn contents(&self) -> Vec<u8> {
        fs::read(self.folder.join("disk")).unwrap()
    }

    /// All of flash but its printing.
    fn flash(&self, image: &Path, yes: bool, force: bool) -> (Ending, String) {
        let arguments = Flash {
            board: "raspi3b".into(),
            device: self.device.clone().into(),
            image: Some(image.to_owned()),
            yes,
            force,
            // Nobody is asked.
            json: true,
        };
        let image = find(&Paths::find().unwrap(), &arguments).unwrap();
        let device = Device::look(&arguments.device, &System::this()).unwrap();
        act(&arguments, &image, &device)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("losetup")
            .args(["--detach", &self.device])
            .status();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at / 512) as u8 ^ at as u8).collect()
}

#[test]
fn an_image_is_written_and_the_rest_is_left_alone() {
    let Some(disk) = Disk::new("write", 12) else {
        return;
    };
    let contents = pattern(9 * MEBIBYTE + 512);
    let image = disk.image(&contents);
    // A loop device is not removable, and nobody is there to say yes.
    let (ending, said) = disk.flash(&image, true, false);
    assert_eq!(ending, Ending::Refused);
    assert!(said.contains("FORCE=1"), "{said}");
    let (ending, said) = disk.flash(&image, false, true);
    assert_eq!(ending, Ending::NotConfirmed);
    assert!(said.contains("YES=1"), "{said}");
    assert!(disk.contents().iter().all(|byte| *byte == 0xee));

    let (ending, said) = disk.flash(&image, true, true);
    assert_eq!(ending, Ending::Written, "{said}");
    let found = disk.contents();
    assert!(found[..contents.len()] == contents);
    assert!(found[contents.len()..].iter().all(|byte| *byte == 0xee));
}

#[test]
fn what_does_not_fit_is_refused() {
    let Some(disk) = Disk::new("small", 2) else {
        return;
    };
    let image = disk.image(&pattern(3 * MEBIBYTE));
    let (ending, said) = disk.flash(&image, true, true);
    assert_eq!(ending, Ending::Refused, "{said}");
    assert!(said.contains("2.0 MiB") && said.contains("3.0 MiB"));
    assert!(disk.contents().iter().all(|byte| *byte == 0xee));
}

#[test]
fn a_mounted_disk_is_refused_even_when_forced() {
    let Some(disk) = Disk::new("mounted", 12) else {
        return;
    };
    let image = disk.image(&pattern(MEBIBYTE));
    let place = disk.folder.join("place");
    fs::create_dir(&place).unwrap();
    let made = Command::new("mkfs.ext4")
        .args(["-q", &disk.device])
        .status();
    // Read-only, for ext4 goes on writing by itself for a while otherwise.
    let mounted = Command::new("mount")
        .args(["-o", "ro", &disk.device])
        .arg(&place)
        .status();
    if !made.is_ok_and(|status| status.success()) || !mounted.is_ok_and(|status| status.success()) {
        eprintln!("skipped: a loop device cannot be formatted or mounted here");
        return;
    }
    let before = fs::read(&disk.device).unwrap();
    let (ending, said) = disk.flash(&image, true, true);
    let after = fs::read(&disk.device).unwrap();
    let gone = Command::new("umount").arg(&place).status().unwrap();
    assert!(gone.success());
    assert_eq!(ending, Ending::Refused, "{said}");
    assert!(said.contains(&*place.to_string_lossy()), "{said}");
    assert!(before == after, "something was written");
}
