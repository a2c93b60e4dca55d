// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exceptions of the image itself.
//!
//! Some instructions are expected to fault: a register access that the guest
//! asked for, and that only the CPU can judge. Each such place has an entry in
//! the exception table (pairs of addresses: where it may fault, where to go on
//! then; the linker collects them). Any other exception is a bug of ours. The
//! CPU then belongs to nobody; the only safe thing is what a triple fault would
//! have done on the bare machine, and that is what is done: a reset.
#![expect(
    unsafe_code,
    reason = "reads the linker's table, loads tables, ends in an instruction"
)]

use core::arch::asm;
#[cfg(target_os = "none")]
use core::arch::global_asm;

use crate::tables;

/// How many vectors are exceptions.
pub const VECTORS: usize = 32;

/// Bytes between two of the stubs below.
const STUB_BYTES: u64 = 16;

/// What a stub leaves on the stack, below what the CPU pushed.
#[derive(Debug)]
#[repr(C)]
pub struct Frame {
    /// RAX, RCX, RDX, RSI, RDI, R8 to R11.
    pub scratch: [u64; 9],
    /// Which exception.
    pub vector: u64,
    /// Error code, or 0 if the vector has none.
    pub error: u64,
    /// Where it happened.
    pub rip: u64,
    /// CS, RFLAGS, RSP, SS.
    pub rest: [u64; 4],
}

unsafe extern "C" {
    static mercury_exception_stubs: u8;
    static __exception_table_start: [u64; 2];
    static __exception_table_end: [u64; 2];
}

// One stub of 16 bytes for each vector: an error code if the CPU pushes none
// (vectors 8, 10-14, 17, 21, 29 and 30 have one), then the vector.
#[cfg(target_os = "none")]
global_asm!(
    ".balign 16",
    ".global mercury_exception_stubs",
    "mercury_exception_stubs:",
    ".set vector, 0",
    ".rept 32",
    "   .balign 16",
    "   .if ((0x60227d00 >> vector) & 1) == 0",
    "       push 0",
    "   .endif",
    "   push vector",
    "   jmp mercury_exception_common",
    "   .set vector, vector + 1",
    ".endr",
    "mercury_exception_common:",
    "   push r11",
    "   push r10",
    "   push r9",
    "   push r8",
    "   push rdi",
    "   push rsi",
    "   push rdx",
    "   push rcx",
    "   push rax",
    "   mov rdi, rsp",
    "   cld",
    // An odd number of words is on the stack that the CPU aligned to 16.
    "   mov rax, rsp",
    "   and rsp, -16",
    "   push rax",
    "   push rax",
    "   call mercury_exception",
    "   pop rax",
    "   mov rsp, rax",
    "   pop rax",
    "   pop rcx",
    "   pop rdx",
    "   pop rsi",
    "   pop rdi",
    "   pop r8",
    "   pop r9",
    "   pop r10",
    "   pop r11",
    // Only an NMI's handler may end with an IRET: it opens NMIs, which a guest
    // in its own handler must find shut.
    "   cmp qword ptr [rsp], 2",
    "   je 9f",
    // Vector and error code are done with: room for two registers.
    "   mov [rsp], rax",
    "   mov [rsp + 8], rcx",
    "   mov rax, [rsp + 40]",
    "   mov rcx, [rsp + 16]",
    "   sub rax, 8",
    "   mov [rax], rcx",
    "   mov [rsp + 40], rax",
    "   mov rcx, [rsp + 8]",
    "   mov rax, [rsp]",
    "   add rsp, 32",
    "   popfq",
    "   pop rsp",
    "   ret",
    "9: add rsp, 16",
    "   iretq",
);

/// The IDT of the image.
#[must_use]
pub fn gates() -> [[u64; 2]; VECTORS] {
    let stubs = &raw const mercury_exception_stubs as u64;
    core::array::from_fn(|vector| {
        // A double fault needs a stack of its own. NMIs and machine checks find
        // a good one everywhere, and under VMX may come before TR is ours.
        let stack = u8::from(vector == 8);
        tables::gate(stubs + STUB_BYTES * vector as u64, stack)
    })
}

/// Where to go on after a fault at `rip`, if it was expected.
#[must_use]
pub fn continuation(rip: u64) -> Option<u64> {
    let start = &raw const __exception_table_start;
    let end = &raw const __exception_table_end;
    let bytes = end as usize - start as usize;
    // SAFETY: the linker script lays the table between the two symbols, as
    // whole pairs, and nothing writes it.
    let table = unsafe { core::slice::from_raw_parts(start, bytes / size_of::<[u64; 2]>()) };
    table
        .iter()
        .find(|[from, _]| *from == rip)
        .map(|[_, to]| *to)
}

/// Resets the machine, by a fault that nothing handles.
pub fn reset() -> ! {
    let nothing = [0u64; 2];
    // SAFETY: without an IDT the next exception shuts the CPU down, as intended.
    unsafe { asm!("lidt [{}]", in(reg) &raw const nothing, options(nostack)) };
    // SAFETY: as above.
    unsafe { asm!("ud2", options(noreturn, nostack)) }
}
