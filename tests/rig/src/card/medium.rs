// SPDX-License-Identifier: MIT OR Apache-2.0
//! A medium: a partition table with one FAT32 partition, as the boot ROMs and
//! loaders of boards read it. It is put together in memory, and comes out the
//! same for the same files: no times, a fixed label and serial number.

use anyhow::{Context, Result, bail};
use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions};
use mbrman::{BOOT_ACTIVE, CHS, MBR, MBRPartitionEntry};
use std::io::{Cursor, Read, Write};

const SECTOR: usize = 512;
/// Where the partition begins: erase blocks of cards are not split by it.
const START: usize = 1 << 20;
/// FAT32 with logical block addresses, the type that boot ROMs look for.
const FAT32_LBA: u8 = 0x0c;
/// "MERC"
const SERIAL: u32 = 0x4d45_5243;
/// FAT32 has a least number of clusters, and QEMU wants a power of two.
const SMALLEST: usize = 64 << 20;
const LARGEST: usize = 2 << 30;

/// One file on the medium.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    /// Its path, without a slash in front.
    pub(crate) path: String,
    /// What is in it.
    pub(crate) contents: Vec<u8>,
}

impl File {
    /// A file.
    pub(crate) fn new(path: &str, contents: impl Into<Vec<u8>>) -> Self {
        Self {
            path: path.to_owned(),
            contents: contents.into(),
        }
    }
}

/// Puts the files on a medium that is large enough.
pub(crate) fn write(files: &[File]) -> Result<Vec<u8>> {
    let contents: usize = files.iter().map(|file| file.contents.len()).sum();
    // A quarter to spare, for the FAT itself and for what the user adds.
    let size = (START + contents + contents / 4)
        .next_power_of_two()
        .max(SMALLEST);
    if size > LARGEST {
        bail!("the files take {contents} bytes, which is more than an image may hold");
    }
    let mut medium = vec![0; size];
    let mut cursor = Cursor::new(&mut medium);
    let mut table = MBR::new_from(&mut cursor, SECTOR as u32, SERIAL.to_le_bytes())
        .context("making the partition table")?;
    table[1] = MBRPartitionEntry {
        boot: BOOT_ACTIVE,
        // The values that stand for 'see the block address'.
        first_chs: CHS::new(1023, 254, 63),
        sys: FAT32_LBA,
        last_chs: CHS::new(1023, 254, 63),
        starting_lba: (START / SECTOR) as u32,
        sectors: ((size - START) / SECTOR) as u32,
    };
    table
        .write_into(&mut cursor)
        .context("writing the partition table")?;
    format(&mut medium[START..], files)?;
    Ok(medium)
}

fn format(partition: &mut [u8], files: &[File]) -> Result<()> {
    let options = FormatVolumeOptions::new()
        .fat_type(FatType::Fat32)
        .bytes_per_cluster(SECTOR as u32)
        .volume_id(SERIAL)
        .volume_label(*b"MERCURY    ");
    fatfs::format_volume(Cursor::new(&mut *partition), options).context("formatting FAT32")?;
    // 'Hidden sectors', in the boot sector and in its copy: what lies before the
    // partition. The crate cannot know.
    for sector in [0, 6] {
        let at = sector * SECTOR + 0x1c;
        partition[at..at + 4].copy_from_slice(&((START / SECTOR) as u32).to_le_bytes());
    }
    let system = FileSystem::new(Cursor::new(partition), FsOptions::new())
        .context("opening the new FAT32")?;
    for file in files {
        let said = || format!("writing {} into the image", file.path);
        let mut folder = system.root_dir();
        let mut names: Vec<&str> = file.path.split('/').collect();
        let name = names.pop().with_context(said)?;
        for name in names {
            folder = folder.create_dir(name).with_context(said)?;
        }
        let mut to = folder.create_file(name).with_context(said)?;
        to.write_all(&file.contents).with_context(said)?;
        to.flush().with_context(said)?;
    }
    system.unmount().context("closing the new FAT32")
}

/// The files of the first partition of a medium.
pub(crate) fn read(medium: &[u8]) -> Result<Vec<File>> {
    let table = MBR::read_from(&mut Cursor::new(medium), SECTOR as u32)
        .context("reading the partition table")?;
    let entry = &table[1];
    if entry.sys != FAT32_LBA {
        bail!(
            "its first partition is of type {:#x}, expected {FAT32_LBA:#x}",
            entry.sys
        );
    }
    let start = entry.starting_lba as usize * SECTOR;
    let end = start + entry.sectors as usize * SECTOR;
    let partition = medium
        .get(start..end)
        .context("its first partition reaches beyond its end")?;
    let system = FileSystem::new(Cursor::new(partition.to_vec()), FsOptions::new())
        .context("opening its first partition as FAT32")?;
    let mut files = Vec::new();
    let root = system.root_dir();
    collect(&root, "", &mut files)?;
    Ok(files)
}

fn collect<T: fatfs::ReadWriteSeek>(
    folder: &fatfs::Dir<'_, T>,
    below: &str,
    files: &mut Vec<File>,
) -> Result<()> {
    for entry in folder.iter() {
        let entry = entry.context("reading a folder")?;
        let name = entry.file_name();
        if name == "." || name == ".." {
            continue;
        }
        let path = format!("{below}{name}");
        if entry.is_dir() {
            collect(&entry.to_dir(), &format!("{path}/"), files)?;
        } else {
            let mut contents = Vec::new();
            entry
                .to_file()
                .read_to_end(&mut contents)
                .with_context(|| format!("reading {path}"))?;
            files.push(File { path, contents });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Vec<File> {
        vec![
            File::new("config.txt", "kernel=vmlinuz\n"),
            File::new("extlinux/extlinux.conf", "label x\n"),
            File::new("zynqmp-zcu102-rev1.0.dtb", vec![7; 5000]),
        ]
    }

    #[test]
    fn what_is_written_is_read_back_and_the_same_each_time() {
        let medium = write(&files()).unwrap();
        let mut found = read(&medium).unwrap();
        found.sort_by(|a, b| a.path.cmp(&b.path));
        assert_eq!(found, files());
        assert_eq!(medium, write(&files()).unwrap());
        assert_eq!(medium.len(), SMALLEST);
    }

    #[test]
    fn a_boot_rom_finds_what_it_looks_for() {
        let medium = write(&files()).unwrap();
        assert_eq!(medium[510..512], [0x55, 0xaa]);
        assert_eq!(medium[446], 0x80, "the partition is not active");
        assert_eq!(medium[446 + 4], FAT32_LBA);
        let boot_sector = &medium[START..START + SECTOR];
        assert_eq!(&boot_sector[0x52..0x5a], b"FAT32   ");
        assert_eq!(boot_sector[0x1c..0x20], [0, 8, 0, 0]);
    }

    #[test]
    fn what_is_no_medium_is_refused() {
        assert!(read(&[0; 4096]).is_err());
        let mut medium = write(&files()).unwrap();
        medium[446 + 4] = 0x83;
        assert!(read(&medium).unwrap_err().to_string().contains("0x83"));
    }
}
