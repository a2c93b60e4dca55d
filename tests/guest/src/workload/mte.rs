// SPDX-License-Identifier: MIT OR Apache-2.0
//! ARM's memory tagging: pages with PROT_MTE keep the tags given to them, an
//! access with the right tag goes through, and one with the wrong tag gets
//! SIGSEGV (SEGV_MTESERR), every time. Tags lie beside memory and are
//! reachable only while stage 2 says "normal, tagged" and HCR_EL2.ATA is set.
//!
//! One tag for all of a page: the emulator (QEMU 7.2) keeps one for all granules
//! of a page, natively too, so finer ones would show nothing but that.
#![expect(unsafe_code, reason = "tags, signals and mappings")]

use super::Stop;
use anyhow::{Result, bail, ensure};
use core::arch::asm;
use core::hint::black_box;
use std::io::Error;
use std::sync::atomic::{AtomicU64, Ordering};

const HWCAP2_MTE: u64 = 1 << 18;
const PROT_MTE: libc::c_int = 0x20;
const SEGV_MTESERR: libc::c_int = 9;
const PR_SET_TAGGED_ADDR_CTRL: libc::c_int = 55;
/// Tagged addresses, synchronous faults, every tag but 0 may be drawn.
const CONTROL: libc::c_ulong = 1 | 1 << 1 | 0xfffe << 3;
const PAGES: usize = 16;
const PAGE: usize = 4096;
const GRANULE: usize = 16;
const ADDRESS: u64 = (1 << 56) - 1;
const TURNS: u64 = 100_000;

static FAULTS: AtomicU64 = AtomicU64::new(0);
static OTHERS: AtomicU64 = AtomicU64::new(0);

/// Counts, and goes on behind the instruction.
extern "C" fn on_fault(_: i32, details: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid record to a handler with SA_SIGINFO.
    let code = unsafe { (*details).si_code };
    if code == SEGV_MTESERR {
        FAULTS.fetch_add(1, Ordering::Relaxed);
    } else {
        OTHERS.fetch_add(1, Ordering::Relaxed);
    }
    let context = context.cast::<libc::ucontext_t>();
    // SAFETY: valid too, and ours to change until the handler returns.
    unsafe { (*context).uc_mcontext.pc += 4 };
}

fn begin() -> Result<*mut u8> {
    // SAFETY: all zero is a valid sigaction.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_fault as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: the structure is valid and the handler async-signal-safe.
    let failed = unsafe { libc::sigaction(libc::SIGSEGV, &raw const action, std::ptr::null_mut()) };
    ensure!(failed == 0, "sigaction: {}", Error::last_os_error());
    // SAFETY: plain numbers.
    let failed = unsafe { libc::prctl(PR_SET_TAGGED_ADDR_CTRL, CONTROL, 0, 0, 0) };
    ensure!(
        failed == 0,
        "PR_SET_TAGGED_ADDR_CTRL: {}",
        Error::last_os_error()
    );
    // SAFETY: a new anonymous mapping.
    let memory = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            PAGES * PAGE,
            libc::PROT_READ | libc::PROT_WRITE | PROT_MTE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if memory == libc::MAP_FAILED {
        bail!("mmap with PROT_MTE: {}", Error::last_os_error());
    }
    Ok(memory.cast())
}

/// A tag drawn at random for the page at `address`; the pointer that has it.
fn draw(address: u64) -> u64 {
    let mut tagged;
    // SAFETY: touches no memory.
    unsafe {
        asm!(
            ".arch_extension memtag",
            "irg {tagged}, {address}",
            tagged = out(reg) tagged,
            address = in(reg) address,
            options(nomem, nostack),
        );
    }
    let drawn = tagged;
    for _ in 0..PAGE / GRANULE {
        // SAFETY: the granule is ours, in a page with PROT_MTE.
        unsafe {
            asm!(
                ".arch_extension memtag",
                "stg {tagged}, [{tagged}], #16",
                tagged = inout(reg) tagged,
                options(nostack),
            );
        }
    }
    drawn
}

/// The pointer with the tag that memory has.
fn asked(address: u64) -> u64 {
    let mut tagged = address;
    // SAFETY: as above.
    unsafe {
        asm!(".arch_extension memtag", "ldg {0}, [{0}]", inout(reg) tagged, options(nostack))
    };
    tagged
}

/// A store and a load by a pointer with its tag; what was loaded (0 if nothing).
fn access(pointer: u64, value: u64) -> u64 {
    let loaded;
    // SAFETY: the granule is ours; a fault skips the instruction.
    unsafe {
        asm!(
            "str {value}, [{pointer}]",
            "mov {loaded}, xzr",
            "ldr {loaded}, [{pointer}]",
            value = in(reg) value,
            pointer = in(reg) pointer,
            loaded = out(reg) loaded,
            options(nostack),
        );
    }
    loaded
}

pub(super) fn run(stop: Stop) -> Result<String> {
    // SAFETY: a plain question.
    let capabilities = unsafe { libc::getauxval(libc::AT_HWCAP2) };
    if capabilities & HWCAP2_MTE == 0 {
        return stop.nothing_to_do("no memory tagging on this machine");
    }
    let memory = begin()? as u64;
    let (mut rounds, mut expected) = (0u64, 0u64);
    while rounds == 0 || !stop.requested() {
        let pointers: Vec<u64> = (0..PAGES)
            .map(|page| draw(memory + (page * PAGE) as u64))
            .collect();
        for turn in 0..TURNS {
            black_box(turn);
        }
        for (page, &start) in pointers.iter().enumerate() {
            for pointer in (0..PAGE).step_by(GRANULE).map(|at| start + at as u64) {
                let found = asked(pointer & ADDRESS);
                ensure!(
                    found == pointer,
                    "round {rounds}: {pointer:#x} has the tag of {found:#x}"
                );
                let loaded = access(pointer, pointer ^ rounds);
                ensure!(
                    loaded == pointer ^ rounds,
                    "round {rounds}: at {pointer:#x} there is {loaded:#x}"
                );
            }
            // Once a page: a signal costs much.
            access(start ^ 1 << 56, 0);
            expected += 2;
            let after = access(start, start);
            ensure!(
                after == start,
                "round {rounds}: with its own tag page {page} reads as {after:#x}"
            );
        }
        let (faults, others) = (
            FAULTS.load(Ordering::Relaxed),
            OTHERS.load(Ordering::Relaxed),
        );
        ensure!(
            faults == expected && others == 0,
            "round {rounds}: {expected} accesses had a wrong tag, {faults} were found out, {others} faults were of another kind"
        );
        rounds += 1;
    }
    Ok(format!(
        "{rounds} rounds, {expected} wrong tags found out, right ones let through"
    ))
}
