// SPDX-License-Identifier: MIT OR Apache-2.0
//! The world switch (APM 15.5, 15.6).
//!
//! VMRUN and the exit exchange what the control block's save area holds and the
//! host save area keeps. What they leave out, FS, GS, TR, LDTR and the system
//! call registers, is exchanged here on both sides, so that the image always
//! runs with its own TSS (and so has a stack for a double fault) and the
//! guest's values are in its control block when an exit is looked at. Exits are
//! rare; the four instructions do not matter. Vector registers are neither
//! saved nor used.
#![expect(unsafe_code, reason = "the world switch is assembly")]

#[cfg(target_os = "none")]
use core::arch::global_asm;

#[cfg(target_os = "none")]
use crate::area::REGISTERS_OFFSET;

unsafe extern "C" {
    /// Runs the guest until it exits.
    fn mercury_svm_run(area: *mut u8, guest: u64, host: u64);
}

/// Runs the guest until it exits.
///
/// # Safety
/// `area` is the virtual address of this CPU's area; `guest` and `host` are the
/// physical addresses of its control blocks, filled in; the global interrupt
/// flag is clear; VM_HSAVE_PA names this CPU's save area.
pub unsafe fn run(area: *mut u8, guest: u64, host: u64) {
    // SAFETY: the caller vouches for all of it.
    unsafe { mercury_svm_run(area, guest, host) }
}

#[cfg(target_os = "none")]
global_asm!(
    ".global mercury_svm_run",
    "mercury_svm_run:",
    "   push rbx",
    "   push rbp",
    "   push r12",
    "   push r13",
    "   push r14",
    "   push r15",
    "   push rdi",
    "   push rdx",
    "   push rsi",
    "   mov rax, rsi",
    "   vmload rax",
    "   mov rcx, [rdi + {registers} + 8 * 1]",
    "   mov rdx, [rdi + {registers} + 8 * 2]",
    "   mov rbx, [rdi + {registers} + 8 * 3]",
    "   mov rbp, [rdi + {registers} + 8 * 5]",
    "   mov rsi, [rdi + {registers} + 8 * 6]",
    "   mov r8,  [rdi + {registers} + 8 * 8]",
    "   mov r9,  [rdi + {registers} + 8 * 9]",
    "   mov r10, [rdi + {registers} + 8 * 10]",
    "   mov r11, [rdi + {registers} + 8 * 11]",
    "   mov r12, [rdi + {registers} + 8 * 12]",
    "   mov r13, [rdi + {registers} + 8 * 13]",
    "   mov r14, [rdi + {registers} + 8 * 14]",
    "   mov r15, [rdi + {registers} + 8 * 15]",
    "   mov rdi, [rdi + {registers} + 8 * 7]",
    "   vmrun rax",
    // RAX and RSP are ours again, all else is still the guest's.
    "   mov rax, [rsp + 16]",
    "   mov [rax + {registers} + 8 * 1], rcx",
    "   mov [rax + {registers} + 8 * 2], rdx",
    "   mov [rax + {registers} + 8 * 3], rbx",
    "   mov [rax + {registers} + 8 * 5], rbp",
    "   mov [rax + {registers} + 8 * 6], rsi",
    "   mov [rax + {registers} + 8 * 7], rdi",
    "   mov [rax + {registers} + 8 * 8], r8",
    "   mov [rax + {registers} + 8 * 9], r9",
    "   mov [rax + {registers} + 8 * 10], r10",
    "   mov [rax + {registers} + 8 * 11], r11",
    "   mov [rax + {registers} + 8 * 12], r12",
    "   mov [rax + {registers} + 8 * 13], r13",
    "   mov [rax + {registers} + 8 * 14], r14",
    "   mov [rax + {registers} + 8 * 15], r15",
    "   pop rax",
    "   vmsave rax",
    "   pop rax",
    "   vmload rax",
    "   pop rdi",
    "   pop r15",
    "   pop r14",
    "   pop r13",
    "   pop r12",
    "   pop rbp",
    "   pop rbx",
    "   cld",
    "   ret",
    registers = const REGISTERS_OFFSET,
);
