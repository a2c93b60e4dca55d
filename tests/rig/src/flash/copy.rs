// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing an image to a disk, and reading it back from there: from the disk
//! itself, not from what the kernel remembers of what was written.

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// One step of the progress bar.
const CHUNK: usize = 4 << 20;
/// What reading past the kernel's memory wants addresses and sizes to be
/// multiples of.
const ALIGNMENT: usize = 4096;

/// Opens a disk for writing, and for nobody else: the kernel refuses if it is
/// mounted or in use by another exclusive user, whatever we found out before.
pub(super) fn open(device: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_EXCL)
        .open(device)
}

/// Writes the image, and waits until it is on the disk.
pub(super) fn write(image: &mut impl Read, to: &mut File, bar: &ProgressBar) -> Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = image.read(&mut buffer).context("reading the image")?;
        if count == 0 {
            break;
        }
        to.write_all(&buffer[..count])
            .with_context(|| format!("writing at {} bytes", bar.position()))?;
        bar.inc(count as u64);
    }
    bar.set_message("waiting for the disk");
    to.sync_all().context("waiting for the disk to take it all")
}

/// Opens a disk for reading what is on it, and says how.
pub(super) fn open_back(device: &Path) -> Result<(File, &'static str)> {
    let direct = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECT)
        .open(device);
    if let Ok(file) = direct {
        return Ok((file, "past the kernel's memory (O_DIRECT)"));
    }
    let file = File::open(device).with_context(|| format!("opening {}", device.display()))?;
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)
        .context("dropping what the kernel remembers of the disk")?;
    Ok((file, "after the kernel dropped what it remembered"))
}

/// Compares `size` bytes; gives the offset of the first that differs.
pub(super) fn compare(
    image: &mut impl Read,
    from: &mut impl Read,
    size: u64,
    bar: &ProgressBar,
) -> Result<Option<u64>> {
    let mut expected = vec![0; CHUNK];
    let mut room = vec![0; CHUNK + ALIGNMENT];
    let start = room.as_ptr().align_offset(ALIGNMENT);
    let found = &mut room[start..start + CHUNK];
    let mut done = 0;
    while done < size {
        let left = usize::try_from(size - done).unwrap_or(usize::MAX);
        let want = left.next_multiple_of(ALIGNMENT).min(CHUNK);
        let count = from
            .read(&mut found[..want])
            .context("reading back")?
            .min(left);
        if count == 0 {
            bail!("the disk ends at {done} bytes, the image has {size}");
        }
        image
            .read_exact(&mut expected[..count])
            .context("reading the image again")?;
        if let Some(at) = (0..count).find(|&at| expected[at] != found[at]) {
            return Ok(Some(done + at as u64));
        }
        done += count as u64;
        bar.inc(count as u64);
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(image: &[u8], disk: &[u8]) -> Result<Option<u64>> {
        let (mut image_file, mut disk_file) = (image, disk);
        compare(
            &mut image_file,
            &mut disk_file,
            image.len() as u64,
            &ProgressBar::hidden(),
        )
    }

    #[test]
    fn one_wrong_byte_is_found() {
        let image: Vec<u8> = (0..CHUNK + 5000).map(|at| at as u8).collect();
        assert_eq!(compared(&image, &image).unwrap(), None);
        for at in [0, 4096, CHUNK, CHUNK + 4999] {
            let mut disk = image.clone();
            disk[at] ^= 1;
            assert_eq!(compared(&image, &disk).unwrap(), Some(at as u64));
        }
    }

    #[test]
    fn a_disk_that_is_larger_is_fine_and_a_shorter_one_is_not() {
        let image = vec![7; 8192];
        assert_eq!(compared(&image, &[7; 20_000]).unwrap(), None);
        assert!(compared(&image, &[7; 8000]).is_err());
    }
}
