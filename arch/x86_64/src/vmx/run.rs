// SPDX-License-Identifier: MIT OR Apache-2.0
//! The world switch (SDM volume 3, chapters 26 and 27).
//!
//! Entry and exit exchange what the VMCS holds; the general registers are
//! exchanged here. Vector registers are neither saved nor used, and CR2, DR0 to
//! DR3, DR6, XCR0 and the system call registers are the guest's throughout.
//!
//! The last thing before the entry is a look at the count of NMIs. From there to
//! the entry itself the instruction pointer is in a window that the NMI's
//! handler knows ([`look_again`]): one that arrives in it goes back to the look.
#![expect(unsafe_code, reason = "the world switch is assembly")]

#[cfg(target_os = "none")]
use core::arch::global_asm;

#[cfg(target_os = "none")]
use crate::area::REGISTERS_OFFSET;
#[cfg(target_os = "none")]
use crate::pad::NMIS_OFFSET;

/// How [`run`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Back {
    /// The guest exited, or its state was refused: the exit reason says which.
    Exit,
    /// The entry instruction itself failed.
    Refused,
    /// There was no entry, because an NMI waits.
    NmiWaits,
}

unsafe extern "C" {
    fn mercury_vmx_run(area: *mut u8, launched: u64) -> u64;
    static mercury_vmx_look: u8;
    static mercury_vmx_entered: u8;
    static mercury_vmx_exit: u8;
}

/// Runs the guest until it exits; `launched` once it has been entered.
///
/// # Safety
/// `area` is this CPU's area; its VMCS is current and filled in.
pub unsafe fn run(area: *mut u8, launched: bool) -> Back {
    // SAFETY: the caller vouches for all of it.
    match unsafe { mercury_vmx_run(area, u64::from(launched)) } {
        0 => Back::Exit,
        1 => Back::Refused,
        _ => Back::NmiWaits,
    }
}

/// Where exits arrive.
#[must_use]
pub fn exit_address() -> u64 {
    &raw const mercury_vmx_exit as u64
}

/// Where to go on after an NMI at `rip`, if that lies between the look and the
/// entry.
#[must_use]
pub fn look_again(rip: u64) -> Option<u64> {
    let look = &raw const mercury_vmx_look as u64;
    let entered = &raw const mercury_vmx_entered as u64;
    (look..entered).contains(&rip).then_some(look)
}

#[cfg(target_os = "none")]
global_asm!(
    ".global mercury_vmx_run, mercury_vmx_look, mercury_vmx_entered, mercury_vmx_exit",
    "mercury_vmx_run:",
    "   push rbx",
    "   push rbp",
    "   push r12",
    "   push r13",
    "   push r14",
    "   push r15",
    "   push rsi",
    "   push rdi",
    "   mov eax, {host_rsp}",
    "   vmwrite rax, rsp",
    "   jbe 5f",
    "mercury_vmx_look:",
    "   mov rdi, [rsp]",
    "   cmp qword ptr [rdi + {nmis}], 0",
    "   jne 6f",
    "   cmp qword ptr [rsp + 8], 0",
    "   mov rax, [rdi + {registers} + 8 * 0]",
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
    "   jne 4f",
    "   vmlaunch",
    "   jmp 5f",
    "4: vmresume",
    "mercury_vmx_entered:",
    "5: mov eax, 1",
    "   jmp 7f",
    "6: mov eax, 2",
    "   jmp 7f",
    // RSP is ours again, all general registers are still the guest's.
    "mercury_vmx_exit:",
    "   push rdi",
    "   mov rdi, [rsp + 8]",
    "   mov [rdi + {registers} + 8 * 0], rax",
    "   mov [rdi + {registers} + 8 * 1], rcx",
    "   mov [rdi + {registers} + 8 * 2], rdx",
    "   mov [rdi + {registers} + 8 * 3], rbx",
    "   mov [rdi + {registers} + 8 * 5], rbp",
    "   mov [rdi + {registers} + 8 * 6], rsi",
    "   mov [rdi + {registers} + 8 * 8], r8",
    "   mov [rdi + {registers} + 8 * 9], r9",
    "   mov [rdi + {registers} + 8 * 10], r10",
    "   mov [rdi + {registers} + 8 * 11], r11",
    "   mov [rdi + {registers} + 8 * 12], r12",
    "   mov [rdi + {registers} + 8 * 13], r13",
    "   mov [rdi + {registers} + 8 * 14], r14",
    "   mov [rdi + {registers} + 8 * 15], r15",
    "   pop rax",
    "   mov [rdi + {registers} + 8 * 7], rax",
    "   xor eax, eax",
    "7: pop rdi",
    "   pop rsi",
    "   pop r15",
    "   pop r14",
    "   pop r13",
    "   pop r12",
    "   pop rbp",
    "   pop rbx",
    "   cld",
    "   ret",
    registers = const REGISTERS_OFFSET,
    nmis = const NMIS_OFFSET,
    host_rsp = const x86::vmx::vmcs::host::RSP,
);
