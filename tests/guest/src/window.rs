// SPDX-License-Identifier: MIT OR Apache-2.0
//! ARM64: any physical page in this process, and accesses to it that survive.
//!
//! Linux 6.1 has no fixup for an external abort in the kernel: it dies. In user
//! mode the same abort is a signal. So accesses that may be refused are made
//! here, through a mapping that the test module gives (RAM write-back, all else
//! as device memory). Stage 2 makes no difference between the two.
//!
//! A handler puts the signal's number into X17 of whoever had it and goes on
//! behind the instruction; after a failed fetch it returns to the caller.
#![expect(unsafe_code, reason = "assembly, signals and mappings")]

use crate::probe::FILE;
use anyhow::{Context, Result, ensure};
use core::arch::asm;
use std::fs::File;
use std::io::Error;
use std::os::fd::AsRawFd;

pub(crate) const PAGE: usize = 4096;
pub(crate) const PATTERN: u64 = 0xf7e6_d5c4_b3a2_9180;

extern "C" fn on_fault(signal: i32, details: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid record to a handler with SA_SIGINFO.
    let details = unsafe { &*details };
    // SAFETY: these signals come with an address.
    let address = unsafe { details.si_addr() } as u64;
    // SAFETY: valid too, and ours to change until the handler returns.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    let state = &mut context.uc_mcontext;
    state.regs[17] = signal as u64;
    state.pc = if state.pc == address {
        state.regs[30]
    } else {
        state.pc + 4
    };
}

/// Installs the handler.
pub(crate) fn survive() -> Result<()> {
    for signal in [libc::SIGBUS, libc::SIGSEGV, libc::SIGILL] {
        // SAFETY: all zero is a valid sigaction.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = on_fault as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        // SAFETY: the structure is valid and the handler async-signal-safe.
        let failed = unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
        ensure!(failed == 0, "sigaction: {}", Error::last_os_error());
    }
    Ok(())
}

/// One physical page, readable, writable and (of RAM) executable.
#[derive(Debug)]
pub(crate) struct Window {
    start: *mut libc::c_void,
    _file: File,
}

impl Window {
    pub(crate) fn open(address: u64) -> Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .open(FILE)
            .context("opening the test module's file")?;
        let page = (address & !(PAGE as u64 - 1)) as libc::off_t;
        // SAFETY: a new mapping; whoever touches it does so by `Access`.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                PAGE,
                // Executable as well, which the module sees to: procfs may not be.
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                page,
            )
        };
        ensure!(
            start != libc::MAP_FAILED,
            "mapping the page at {page:#x}: {}",
            Error::last_os_error()
        );
        Ok(Self { start, _file: file })
    }

    /// Where a byte of the page is.
    pub(crate) fn at(&self, offset: usize) -> u64 {
        self.start as u64 + offset as u64
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // SAFETY: mapped by `open`, and nobody keeps a pointer into it.
        let _ = unsafe { libc::munmap(self.start, PAGE) };
    }
}

/// What became of an access.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reached {
    /// The signal, or 0.
    pub(crate) signal: u64,
    /// X9, the address, as it is afterwards.
    pub(crate) pointer: u64,
    /// X10: `PATTERN` before; what was stored, or what was loaded.
    pub(crate) value: u64,
    /// The instruction behind the access was executed.
    pub(crate) went_on: bool,
}

/// One access by way of X9, with X10 as its value, 2 in X11, X12, X13 and V0 to spare.
pub(crate) type Access = fn(u64) -> Reached;

macro_rules! access {
    ($(#[$doc:meta])* $name:ident, $($line:literal),+) => {
        $(#[$doc])*
        pub(crate) fn $name(at: u64) -> Reached {
            let (mut signal, mut pointer, mut value) = (0u64, at, PATTERN);
            let mut behind = 2u64;
            // SAFETY: touches what X9 points to only, which is a `Window`; a
            // fault skips the instruction. All registers used are named.
            unsafe {
                asm!(
                    ".arch armv8-a+lse",
                    $($line),+,
                    "mov x11, #77",
                    // Were it skipped, nothing worse may be next.
                    "nop",
                    inout("x17") signal, inout("x9") pointer, inout("x10") value,
                    inout("x11") behind, out("x12") _, out("x13") _, out("x30") _, out("v0") _,
                    options(nostack),
                );
            }
            Reached { signal, pointer, value, went_on: behind == 77 }
        }
    };
}

access!(store_1, "strb w10, [x9]");
access!(store_2, "strh w10, [x9]");
access!(store_4, "str w10, [x9]");
access!(store_8, "str x10, [x9]");
access!(store_zero, "str xzr, [x9]");
access!(store_indexed, "str x10, [x9, x11, lsl #3]");
access!(store_unaligned, "stur x10, [x9, #3]");
access!(store_release, "stlr x10, [x9]");
access!(load_8, "ldr x10, [x9]");
access!(load_pair, "ldp x10, x12, [x9]");
access!(load_acquire, "ldar x10, [x9]");
access!(clean, "dc civac, x9");
access!(
    /// Writes its base register back: no syndrome describes that.
    store_back,
    "str x10, [x9], #16"
);
access!(store_pair, "stp x10, x10, [x9]");
access!(store_vector, "movi v0.16b, #0x5a", "str q0, [x9]");
access!(zero_block, "dc zva, x9");
access!(
    /// Again and again: an interrupt between the two makes it fail untried.
    store_exclusive,
    "mov x11, #1000",
    "2:",
    "ldxr x12, [x9]",
    "stxr w13, x10, [x9]",
    "cbnz x17, 3f",
    "sub x11, x11, #1",
    "cbz x11, 3f",
    "cbnz w13, 2b",
    "3:"
);
access!(add, "ldadd x10, x12, [x9]");
access!(swap, "swp x10, x12, [x9]");
access!(compare_swap, "mov x12, xzr", "cas x12, x10, [x9]");
access!(
    /// Jumps there.
    fetch,
    "blr x9"
);
