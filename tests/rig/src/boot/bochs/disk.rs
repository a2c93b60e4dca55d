// SPDX-License-Identifier: MIT OR Apache-2.0
//! The disk that Bochs boots from: the loader, its table, and what it puts into
//! memory, one after another (see `loader.S`).

use super::unpack::{HEADER, Piece, Ready};
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

const SECTOR: usize = 512;
/// Sectors of the loader and its table.
const FIRST: u32 = 9;
/// Where the boot parameters go, and behind their page the kernel's parameters.
const PARAMETERS: u32 = 0x1_0000;
/// Where the initramfs goes: above the kernel, below the end of any memory.
const INITRAMFS: u32 = 0x0a00_0000;
/// Pieces that fit into the table.
const MOST: usize = (SECTOR - 12) / 12;
/// Sizes of a disk of 16 heads and 63 sectors go by cylinders.
const CYLINDER: usize = 16 * 63 * SECTOR;

/// Writes the disk.
pub(super) fn write(
    to: &Path,
    loader: &[u8],
    kernel: Ready,
    initramfs: Vec<u8>,
    parameters: &str,
) -> Result<()> {
    let Ready {
        header,
        entry,
        wide,
        pieces: kernel,
    } = kernel;
    let mut pieces = vec![Piece {
        address: PARAMETERS,
        bytes: boot_parameters(&header, parameters, initramfs.len())?,
    }];
    pieces.extend(kernel);
    pieces.push(Piece {
        address: INITRAMFS,
        bytes: initramfs,
    });
    let table = table(entry, wide, &pieces)?;
    let file = File::create(to).with_context(|| format!("creating {}", to.display()))?;
    let mut file = BufWriter::new(file);
    let mut written = 0;
    for part in [loader, &table]
        .into_iter()
        .chain(pieces.iter().map(|piece| &*piece.bytes))
    {
        file.write_all(part)?;
        let rest = part.len().next_multiple_of(SECTOR) - part.len();
        file.write_all(&vec![0; rest])?;
        written += part.len() + rest;
    }
    file.write_all(&vec![0; written.next_multiple_of(CYLINDER) - written])?;
    file.flush()
        .with_context(|| format!("writing {}", to.display()))
}

/// The loader's table.
fn table(entry: u32, wide: bool, pieces: &[Piece]) -> Result<Vec<u8>> {
    if pieces.len() > MOST {
        bail!("the kernel has too many segments ({})", pieces.len());
    }
    let mut words = vec![entry, if wide { 64 } else { 32 }, pieces.len() as u32];
    let mut sector = FIRST;
    for piece in pieces {
        let sectors = u32::try_from(piece.bytes.len().div_ceil(SECTOR))?;
        words.extend([sector, sectors, piece.address]);
        sector += sectors;
    }
    let mut bytes: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    bytes.resize(SECTOR, 0);
    Ok(bytes)
}

/// The page of boot parameters, all but the memory map, and the kernel's
/// parameters behind it.
fn boot_parameters(header: &[u8], parameters: &str, initramfs: usize) -> Result<Vec<u8>> {
    if parameters.len() > 2047 {
        bail!("the kernel's parameters are longer than 2047 bytes");
    }
    let mut page = vec![0; 4096];
    page[HEADER..HEADER + header.len()].copy_from_slice(header);
    let mut set = |at: usize, value: u32| page[at..at + 4].copy_from_slice(&value.to_le_bytes());
    set(0x218, INITRAMFS);
    set(0x21c, u32::try_from(initramfs)?);
    set(0x228, PARAMETERS + 4096);
    // A loader without a number of its own.
    page[0x210] = 0xff;
    page.extend(parameters.as_bytes());
    page.push(0);
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_follow_each_other_by_sectors() {
        let piece = |address, length| Piece {
            address,
            bytes: vec![0; length],
        };
        let table = table(
            0x100_0000,
            true,
            &[piece(0x1_0000, 4097), piece(0x100_0000, 5)],
        )
        .unwrap();
        let word = |at: usize| u32::from_le_bytes(table[at..at + 4].try_into().unwrap());
        assert_eq!((word(0), word(4), word(8)), (0x100_0000, 64, 2));
        assert_eq!((word(12), word(16), word(20)), (9, 9, 0x1_0000));
        assert_eq!((word(24), word(28), word(32)), (18, 1, 0x100_0000));
        assert_eq!(table.len(), SECTOR);
    }

    #[test]
    fn the_kernel_finds_its_parameters() {
        let page = boot_parameters(&[1; 0x77], "quiet", 9).unwrap();
        assert_eq!(&page[4096..], b"quiet\0");
        assert_eq!(page[0x21c], 9);
        assert!(boot_parameters(&[], &"x".repeat(2048), 0).is_err());
    }
}
