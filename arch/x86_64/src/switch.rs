// SPDX-License-Identifier: MIT OR Apache-2.0
//! The general registers in a world switch, as lines for the assembler: what both
//! backends have alike.
//!
//! They lie in the CPU's area, at an offset that the template calls `registers`, in
//! the order in which instructions number them ([`crate::area::Registers`]). RAX is
//! not among these lines, because what has to become of it differs; RSP is in the
//! control block.

/// Pushes what a called function must keep.
macro_rules! push_kept {
    () => {
        "push rbx\n push rbp\n push r12\n push r13\n push r14\n push r15"
    };
}

/// Pops it, and returns.
macro_rules! pop_kept_and_return {
    () => {
        "pop r15\n pop r14\n pop r13\n pop r12\n pop rbp\n pop rbx\n cld\n ret"
    };
}

/// Loads the guest's from the area at RDI, which goes last.
macro_rules! load_guest {
    () => {
        "mov rcx, [rdi + {registers} + 8 * 1]
         mov rdx, [rdi + {registers} + 8 * 2]
         mov rbx, [rdi + {registers} + 8 * 3]
         mov rbp, [rdi + {registers} + 8 * 5]
         mov rsi, [rdi + {registers} + 8 * 6]
         mov r8,  [rdi + {registers} + 8 * 8]
         mov r9,  [rdi + {registers} + 8 * 9]
         mov r10, [rdi + {registers} + 8 * 10]
         mov r11, [rdi + {registers} + 8 * 11]
         mov r12, [rdi + {registers} + 8 * 12]
         mov r13, [rdi + {registers} + 8 * 13]
         mov r14, [rdi + {registers} + 8 * 14]
         mov r15, [rdi + {registers} + 8 * 15]
         mov rdi, [rdi + {registers} + 8 * 7]"
    };
}

/// Stores the guest's into the area at RAX.
macro_rules! store_guest {
    () => {
        "mov [rax + {registers} + 8 * 1], rcx
         mov [rax + {registers} + 8 * 2], rdx
         mov [rax + {registers} + 8 * 3], rbx
         mov [rax + {registers} + 8 * 5], rbp
         mov [rax + {registers} + 8 * 6], rsi
         mov [rax + {registers} + 8 * 7], rdi
         mov [rax + {registers} + 8 * 8], r8
         mov [rax + {registers} + 8 * 9], r9
         mov [rax + {registers} + 8 * 10], r10
         mov [rax + {registers} + 8 * 11], r11
         mov [rax + {registers} + 8 * 12], r12
         mov [rax + {registers} + 8 * 13], r13
         mov [rax + {registers} + 8 * 14], r14
         mov [rax + {registers} + 8 * 15], r15"
    };
}

pub(crate) use load_guest;
pub(crate) use pop_kept_and_return;
pub(crate) use push_kept;
pub(crate) use store_guest;
