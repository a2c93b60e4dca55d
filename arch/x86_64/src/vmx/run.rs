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
#[cfg(target_os = "none")]
use crate::switch::load_guest;
#[cfg(target_os = "none")]
use crate::switch::pop_kept_and_return;
#[cfg(target_os = "none")]
use crate::switch::push_kept;
#[cfg(target_os = "none")]
use crate::switch::store_guest;

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
    push_kept!(),
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
    load_guest!(),
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
    "   push rax",
    "   mov rax, [rsp + 8]",
    store_guest!(),
    "   pop rcx",
    "   mov [rax + {registers} + 8 * 0], rcx",
    "   xor eax, eax",
    "7: pop rdi",
    "   pop rsi",
    pop_kept_and_return!(),
    registers = const REGISTERS_OFFSET,
    nmis = const NMIS_OFFSET,
    host_rsp = const x86::vmx::vmcs::host::RSP,
);
