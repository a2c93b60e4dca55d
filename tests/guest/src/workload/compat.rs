// SPDX-License-Identifier: MIT OR Apache-2.0
//! ARM64: 32-bit processes. A program of some thirty A32 instructions, made
//! here byte by byte as no compiler for it need be there: eleven registers get
//! a pattern each, a loop turns, and the program ends with 0 if all are as they
//! were. HCR_EL2.RW and the banked registers of AArch32 are what it hangs on.

use super::Stop;
use anyhow::{Context, Result, ensure};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

const REGISTERS: u32 = 11;
const BASE: u32 = 0x1_0000;
/// ELF header and one program header.
const HEADERS: u32 = 52 + 32;

/// The program's instructions (Arm ARM F5).
fn code() -> Vec<u32> {
    let pattern = |register: u32| 0x11 * (register + 1);
    let mut code = Vec::new();
    for register in 0..REGISTERS {
        // mov rN, #pattern
        code.push(0xe3a0_0000 | register << 12 | pattern(register));
    }
    // mov r11, #0x400000; 1: subs r11, r11, #1; bne 1b
    code.extend([0xe3a0_b501, 0xe25b_b001, 0x1aff_fffd]);
    for register in 0..REGISTERS {
        // cmp r0, #pattern; cmpeq rN, #pattern
        let condition = if register == 0 { 0xe } else { 0 };
        code.push(condition << 28 | 0x0350_0000 | register << 16 | pattern(register));
    }
    // movne r0, #1; moveq r0, #0; mov r7, #1 (exit); svc #0
    code.extend([0x13a0_0001, 0x03a0_0000, 0xe3a0_7001, 0xef00_0000]);
    code
}

/// The program as a file: one segment with everything in it.
fn program() -> Vec<u8> {
    let code = code();
    let size = HEADERS + 4 * code.len() as u32;
    // 32 bits, little-endian, version 1, any system
    let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let halves = |values: &[u16]| -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    };
    let words = |values: &[u32]| -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    };
    // executable, ARM; version, entry, program headers, sections, flags (EABI 5)
    file.extend(halves(&[2, 40]));
    file.extend(words(&[1, BASE + HEADERS, 52, 0, 0x0500_0000]));
    file.extend(halves(&[52, 32, 1, 40, 0, 0]));
    // load: offset, address twice, size twice, read and execute, alignment
    file.extend(words(&[1, 0, BASE, BASE, size, size, 5, 0x1_0000]));
    file.extend(words(&code));
    file
}

/// Removed when dropped.
struct File(PathBuf);

impl Drop for File {
    fn drop(&mut self) {
        // Best effort: nothing depends on it.
        let _ = fs::remove_file(&self.0);
    }
}

pub(super) fn run(stop: Stop) -> Result<String> {
    let path = format!("/tmp/mercury-compat-{}", process::id());
    let file = File(Path::new(&path).to_owned());
    fs::write(&file.0, program()).context("writing a 32-bit program")?;
    fs::set_permissions(&file.0, Permissions::from_mode(0o700))?;
    let mut runs = 0u64;
    while runs == 0 || !stop.requested() {
        match Command::new(&file.0).status() {
            Err(error) if runs == 0 && error.raw_os_error() == Some(libc::ENOEXEC) => {
                return stop.nothing_to_do("this CPU has no 32-bit programs");
            }
            status => {
                let status = status.context("running a 32-bit program")?;
                ensure!(
                    status.success(),
                    "run {runs} of a 32-bit program ended with {status}"
                );
            }
        }
        runs += 1;
    }
    Ok(format!(
        "{runs} 32-bit processes, {REGISTERS} registers kept in each"
    ))
}
