// SPDX-License-Identifier: MIT OR Apache-2.0
//! A bzImage, taken apart (Documentation/arch/x86/boot.rst): its setup header,
//! and either the kernel in it, unpacked on this machine, or its own
//! decompressor with the kernel as it is.
//!
//! In Bochs most of the time of a boot is XZ. Unpacked here, the same kernel
//! starts with its first own instruction, at the address that it was linked to:
//! what is left out is the decompressor, and with it the choice of a random
//! address (KASLR).

use crate::command;
use anyhow::{Context, Result, bail};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Something that the loader puts into memory.
#[derive(Debug)]
pub(super) struct Piece {
    /// Where to.
    pub(super) address: u32,
    /// What.
    pub(super) bytes: Vec<u8>,
}

/// A kernel, ready to be put into memory.
#[derive(Debug)]
pub(super) struct Ready {
    /// Its setup header (offset 0x1f1 of the boot parameters on).
    pub(super) header: Vec<u8>,
    /// First instruction.
    pub(super) entry: u32,
    /// In 64-bit mode, or in 32-bit mode.
    pub(super) wide: bool,
    /// What goes where.
    pub(super) pieces: Vec<Piece>,
}

/// Where the setup header begins.
pub(super) const HEADER: usize = 0x1f1;

fn word<const N: usize>(bytes: &[u8], at: usize) -> Result<u64> {
    let field = bytes
        .get(at..at + N)
        .with_context(|| format!("the kernel ends before offset {at:#x}"))?;
    Ok(field
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

/// Takes a bzImage apart; `packed` leaves it to unpack itself.
pub(super) fn take_apart(vmlinuz: &Path, packed: bool) -> Result<Ready> {
    let image = fs::read(vmlinuz).with_context(|| format!("reading {}", vmlinuz.display()))?;
    if image.get(0x202..0x206) != Some(b"HdrS") {
        bail!("{} is no bzImage", vmlinuz.display());
    }
    let setup = (usize::from(image[HEADER]) + 1) * 512;
    let end = 0x202 + usize::from(image[0x201]);
    let header = image[HEADER..end].to_vec();
    let kernel = image
        .get(setup..)
        .with_context(|| format!("{} is cut off", vmlinuz.display()))?;
    if packed {
        return Ok(Ready {
            header,
            entry: 0x10_0000,
            wide: false,
            pieces: vec![Piece {
                address: 0x10_0000,
                bytes: kernel.to_vec(),
            }],
        });
    }
    let start = word::<4>(&image, 0x248)? as usize;
    let length = word::<4>(&image, 0x24c)? as usize;
    let payload = kernel
        .get(start..start + length)
        .with_context(|| format!("the payload of {} is cut off", vmlinuz.display()))?;
    let pieces = segments(&unpack(payload)?)?;
    let entry = pieces.first().context("the kernel has no segment")?.address;
    Ok(Ready {
        header,
        entry,
        wide: true,
        pieces,
    })
}

/// Unpacks the payload: an ELF file, as `xz` or `lz4` or `zstd` made it.
fn unpack(payload: &[u8]) -> Result<Vec<u8>> {
    let (program, arguments): (_, &[&str]) = match payload {
        [0xfd, b'7', b'z', ..] => ("xz", &["-dc", "--single-stream"]),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => ("zstd", &["-dc"]),
        [0x1f, 0x8b, ..] => ("gzip", &["-dc"]),
        _ => bail!(
            "the kernel is packed in a way that the rig cannot unpack (xz, zstd and gzip it can); APPEND=kaslr boots it as it is"
        ),
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("starting '{program}'; is it installed?"))?;
    let mut stdin = child.stdin.take().context("no standard input")?;
    let packed = payload.to_vec();
    // Behind the packed data stands its length; the program may stop before.
    let feeder = std::thread::spawn(move || stdin.write_all(&packed));
    let output = child
        .wait_with_output()
        .with_context(|| format!("waiting for '{program}'"))?;
    let _ = feeder.join();
    if !output.stdout.starts_with(b"\x7fELF") {
        bail!("'{program}' found no ELF file in the kernel's payload");
    }
    Ok(output.stdout)
}

/// The loadable segments of a 64-bit ELF file, by physical address.
fn segments(elf: &[u8]) -> Result<Vec<Piece>> {
    let table = word::<8>(elf, 32)? as usize;
    let count = word::<2>(elf, 56)? as usize;
    let mut pieces = Vec::new();
    for header in (0..count).map(|number| table + 56 * number) {
        if word::<4>(elf, header)? != 1 {
            continue;
        }
        let offset = word::<8>(elf, header + 8)? as usize;
        let length = word::<8>(elf, header + 32)? as usize;
        let bytes = elf
            .get(offset..offset + length)
            .context("a segment of the kernel is cut off")?;
        pieces.push(Piece {
            address: u32::try_from(word::<8>(elf, header + 24)?)
                .context("a segment of the kernel lies above 4 GiB")?,
            bytes: bytes.to_vec(),
        });
    }
    Ok(pieces)
}

/// The loader, assembled: eight sectors.
pub(super) fn loader(folder: &Path) -> Result<Vec<u8>> {
    let at = |name: &str| folder.join(name);
    fs::write(at("loader.S"), include_str!("loader.S"))
        .with_context(|| format!("writing into {}", folder.display()))?;
    command::stdout_of(
        Command::new("gcc")
            .args(["-m32", "-c", "loader.S", "-o", "loader.o"])
            .current_dir(folder),
    )?;
    command::stdout_of(
        Command::new("ld")
            .args(["-m", "elf_i386", "-Ttext=0x7c00", "--oformat", "binary"])
            .args(["-o", "loader.bin", "loader.o"])
            .current_dir(folder),
    )?;
    let bytes = fs::read(at("loader.bin")).context("reading the assembled loader")?;
    for name in ["loader.S", "loader.o", "loader.bin"] {
        let _ = fs::remove_file(at(name));
    }
    if bytes.len() != 4096 {
        bail!("the loader has {} bytes, expected 4096", bytes.len());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_elf_file_is_taken_apart_by_physical_address() {
        let mut elf = vec![0; 64 + 2 * 56];
        elf[..4].copy_from_slice(b"\x7fELF");
        elf[32] = 64;
        elf[56] = 2;
        let load = 64 + 56;
        elf[load] = 1;
        elf[load + 8] = elf.len() as u8;
        elf[load + 26] = 0x01;
        elf[load + 32] = 3;
        elf.extend(b"abc");
        let pieces = segments(&elf).unwrap();
        assert_eq!(pieces.len(), 1);
        assert_eq!(pieces[0].address, 0x1_0000);
        assert_eq!(pieces[0].bytes, b"abc");
        elf.pop();
        assert!(segments(&elf).is_err());
    }

    #[test]
    fn only_a_bzimage_is_a_kernel() {
        let error = take_apart(Path::new(file!()), false);
        assert!(error.is_err());
    }
}
