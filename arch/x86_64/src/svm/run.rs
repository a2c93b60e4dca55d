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
//!
//! Null hypercalls are answered here ([`mercury_hal::quick`]), with the guest's
//! registers and its FS, GS, TR and LDTR still in the CPU.
#![expect(unsafe_code, reason = "the world switch is assembly")]

#[cfg(target_os = "none")]
use core::arch::global_asm;
#[cfg(target_os = "none")]
use core::mem::offset_of;

#[cfg(target_os = "none")]
use mercury_hal::door::Door;
#[cfg(target_os = "none")]
use mercury_hal::quick;
#[cfg(target_os = "none")]
use mercury_hal::quick::Quick;
#[cfg(target_os = "none")]
use mercury_hal::repetition;

#[cfg(target_os = "none")]
use super::vmcb::ControlBlock;
#[cfg(target_os = "none")]
use super::vmcb::code;
#[cfg(target_os = "none")]
use crate::area::QUICK_OFFSET;
#[cfg(target_os = "none")]
use crate::area::REGISTERS_OFFSET;
#[cfg(target_os = "none")]
use crate::area::REPETITION_OFFSET;
#[cfg(target_os = "none")]
use crate::switch::load_guest;
#[cfg(target_os = "none")]
use crate::switch::pop_kept_and_return;
#[cfg(target_os = "none")]
use crate::switch::push_kept;
#[cfg(target_os = "none")]
use crate::switch::store_guest;

/// Offset of a CPU's control block for the guest in its area.
pub const GUEST_BLOCK: usize = 0x1000;
/// RFLAGS.TF.
#[cfg(target_os = "none")]
const TRAP_FLAG: u32 = 1 << 8;

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
    push_kept!(),
    "   push rdi",
    "   push rdx",
    "   push rsi",
    "   mov rax, rsi",
    "   vmload rax",
    load_guest!(),
    "2: vmrun rax",
    // RAX and RSP are ours again, all else is still the guest's.
    "   mov rax, [rsp + 16]",
    "   mov [rax + {registers} + 8 * 1], rcx",
    "   mov [rax + {registers} + 8 * 2], rdx",
    // The null hypercall, from the module's own instruction?
    "   cmp dword ptr [rax + {exit_code}], {hypercall}",
    "   jne 3f",
    "   mov rcx, [rax + {rip}]",
    "   cmp rcx, [rax + {call_site}]",
    "   jne 3f",
    "   movabs rdx, {null}",
    "   cmp rdx, [rax + {rax}]",
    "   jne 3f",
    "   cmp byte ptr [rax + {cpl}], 0",
    "   jne 3f",
    "   test dword ptr [rax + {rflags}], {trap_flag}",
    "   jnz 3f",
    "   cmp qword ptr [rax + {exit_event}], 0",
    "   jne 3f",
    "   mov rdx, [rax + {quick} + {generation}]",
    "   mov rdx, [rdx]",
    "   cmp rdx, [rax + {quick} + {seen}]",
    "   jne 3f",
    "   mov rdx, [rax + {quick} + {usual}]",
    "   cmp byte ptr [rdx], 0",
    "   jne 3f",
    // On behind it, with nothing injected and nothing flushed: RAX is the number,
    // and the number is the answer; the eight words of an answer are 0.
    "   add rcx, 3",
    "   mov [rax + {rip}], rcx",
    "   and dword ptr [rax + {interrupt_shadow}], -2",
    "   mov qword ptr [rax + {event_injection}], 0",
    "   mov dword ptr [rax + {tlb_control}], 0",
    "   mov ecx, {none_of_those}",
    "   mov [rax + {repetition}], rcx",
    "   inc qword ptr [rax + {quick} + {calls}]",
    "   xor edi, edi",
    "   xor esi, esi",
    "   xor edx, edx",
    "   xor ecx, ecx",
    "   xor r8d, r8d",
    "   xor r9d, r9d",
    "   xor r10d, r10d",
    "   xor r11d, r11d",
    "   mov rax, [rsp]",
    "   jmp 2b",
    "3: mov rcx, [rax + {registers} + 8 * 1]",
    "   mov rdx, [rax + {registers} + 8 * 2]",
    store_guest!(),
    "   pop rax",
    "   vmsave rax",
    "   pop rax",
    "   vmload rax",
    "   pop rdi",
    pop_kept_and_return!(),
    registers = const REGISTERS_OFFSET,
    quick = const QUICK_OFFSET,
    calls = const offset_of!(Quick, calls),
    usual = const offset_of!(Quick, usual),
    generation = const offset_of!(Quick, generation),
    seen = const offset_of!(Quick, seen),
    repetition = const REPETITION_OFFSET,
    none_of_those = const repetition::QUICK,
    call_site = const offset_of!(Door, call_site),
    null = const quick::NULL,
    hypercall = const code::VMMCALL,
    trap_flag = const TRAP_FLAG,
    exit_code = const GUEST_BLOCK + offset_of!(ControlBlock, exit_code),
    exit_event = const GUEST_BLOCK + offset_of!(ControlBlock, exit_event),
    event_injection = const GUEST_BLOCK + offset_of!(ControlBlock, event_injection),
    tlb_control = const GUEST_BLOCK + offset_of!(ControlBlock, tlb_control),
    interrupt_shadow = const GUEST_BLOCK + offset_of!(ControlBlock, interrupt_shadow),
    cpl = const GUEST_BLOCK + offset_of!(ControlBlock, cpl),
    rflags = const GUEST_BLOCK + offset_of!(ControlBlock, rflags),
    rip = const GUEST_BLOCK + offset_of!(ControlBlock, rip),
    rax = const GUEST_BLOCK + offset_of!(ControlBlock, rax),
);
