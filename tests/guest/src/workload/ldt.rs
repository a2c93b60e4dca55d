// SPDX-License-Identifier: MIT OR Apache-2.0
//! A local descriptor table: a segment with a base of its own, loaded into GS
//! and read through, again and again. Loading the selector anew needs LDTR;
//! reading without loading needs GS's hidden base. LSL asks the table as well.
#![expect(unsafe_code, reason = "modify_ldt and segment registers")]

use super::Stop;
use anyhow::{Result, bail, ensure};
use core::arch::asm;
use std::io::Error;

const WORDS: usize = 1024;
const ENTRY: u32 = 3;
/// Local table, privilege 3.
const SELECTOR: u16 = (ENTRY as u16) << 3 | 7;
const LIMIT_PAGES: u32 = 0x123;
const TURNS: u64 = 100_000;

/// As the kernel defines `struct user_desc`.
#[repr(C)]
struct Descriptor {
    entry: u32,
    base: u32,
    limit: u32,
    flags: u32,
}
const FLAG_32BIT: u32 = 1;
const FLAG_LIMIT_IN_PAGES: u32 = 1 << 4;
const FLAG_USEABLE: u32 = 1 << 6;

/// Memory below 4 GiB: a descriptor's base has 32 bits.
fn low_memory() -> Result<&'static mut [u32; WORDS]> {
    // SAFETY: a new anonymous mapping.
    let memory = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            WORDS * 4,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT,
            -1,
            0,
        )
    };
    ensure!(
        memory != libc::MAP_FAILED,
        "mmap below 4 GiB: {}",
        Error::last_os_error()
    );
    // SAFETY: ours, of that size, zeroed, never unmapped.
    Ok(unsafe { &mut *memory.cast() })
}

/// What one pass through the segment found.
#[derive(Debug, PartialEq)]
struct Pass {
    loaded: u32,
    later: u32,
    selector: u16,
    limit: u64,
}

fn pass(offset: u64, turns: u64) -> Pass {
    let (loaded, later, limit): (u32, u32, u64);
    let selector: u64;
    // SAFETY: the selector names our descriptor, the offset is within our
    // memory; GS is nobody's in a 64-bit process and is null again afterwards.
    unsafe {
        asm!(
            "mov gs, {wanted:x}",
            "mov {loaded:e}, gs:[{offset}]",
            "2:",
            "dec {turns}",
            "jnz 2b",
            "mov {later:e}, gs:[{offset}]",
            "mov {selector:e}, gs",
            "xor {limit:e}, {limit:e}",
            "lsl {limit}, {wanted}",
            "mov {turns:e}, 0",
            "mov gs, {turns:x}",
            wanted = in(reg) u64::from(SELECTOR),
            offset = in(reg) offset,
            turns = inout(reg) turns => _,
            loaded = out(reg) loaded,
            later = out(reg) later,
            selector = out(reg) selector,
            limit = out(reg) limit,
        );
    }
    Pass {
        loaded,
        later,
        selector: selector as u16,
        limit,
    }
}

/// Gives this process a local descriptor table with a segment at `base`; whether
/// the kernel can.
fn own_table(base: u32) -> Result<bool> {
    let descriptor = Descriptor {
        entry: ENTRY,
        base,
        limit: LIMIT_PAGES,
        flags: FLAG_32BIT | FLAG_LIMIT_IN_PAGES | FLAG_USEABLE,
    };
    // SAFETY: 0x11 writes one descriptor of this size.
    let written = unsafe {
        libc::syscall(
            libc::SYS_modify_ldt,
            0x11,
            &raw const descriptor,
            size_of::<Descriptor>(),
        )
    };
    if written != 0 {
        let error = Error::last_os_error();
        if error.raw_os_error() == Some(libc::ENOSYS) {
            return Ok(false);
        }
        bail!("modify_ldt: {error}");
    }
    Ok(true)
}

/// Gives the calling process a table, so that LDTR is not null on the CPU that it
/// runs on: a switch that it asks for interrupts nobody else there.
pub(crate) fn plant() -> Result<()> {
    own_table(0).map(|_| ())
}

pub(super) fn run(stop: Stop) -> Result<String> {
    let memory = low_memory()?;
    for (index, word) in memory.iter_mut().enumerate() {
        *word = 0x5e6_0000 + index as u32;
    }
    if !own_table(u32::try_from(memory.as_ptr() as u64)?)? {
        while !stop.requested() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        return Ok("this kernel has no modify_ldt: nothing done".into());
    }
    let mut rounds = 0u64;
    while rounds == 0 || !stop.requested() {
        let index = rounds as usize % WORDS;
        let expected = Pass {
            loaded: memory[index],
            later: memory[index],
            selector: SELECTOR,
            limit: u64::from(LIMIT_PAGES) << 12 | 0xfff,
        };
        let found = pass(index as u64 * 4, TURNS);
        ensure!(
            found == expected,
            "round {rounds}: through the segment {found:x?} instead of {expected:x?}"
        );
        rounds += 1;
    }
    Ok(format!(
        "{rounds} passes through a segment of the local descriptor table"
    ))
}
