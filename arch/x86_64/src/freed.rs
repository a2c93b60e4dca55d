// SPDX-License-Identifier: MIT OR Apache-2.0
//! A CPU that is freed from a dead image, at any instruction of its guest.
//!
//! A detach comes back from a hypercall, so its way out ([`crate::leave`]) may
//! use the registers that a called function may change, and only ever returns to
//! the kernel. A guest whose exit is taken back has all of them in use, and may
//! be a program. So the way out is gone by as far as it leads, into the kernel's
//! address space, with NMIs open and EFER restored, on a stack that is this
//! structure, at the kernel's own address of it; there `mercury_door_freed`
//! (door.S) pops everything and ends with IRETQ, which takes RIP, CS, RFLAGS, RSP
//! and SS at once. The page is the CPU's own and stays lent until detach. An NMI
//! on the way has a stack of its own (Linux gives it an IST), and interrupts are
//! off until the IRETQ.

use crate::area::Registers;
use crate::area::register;

/// What is popped, lowest first. Order and offsets are the trampoline's.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Freed {
    /// Below the stack pointer: the way out pushes five words for an IRETQ of
    /// its own.
    pub below: [u64; 8],
    /// DR7: only here, where no address of the image is used any more, may a
    /// program's breakpoints be armed.
    pub dr7: u64,
    /// R15 to R8, RDI, RSI, RBP, RBX, RDX, RCX, RAX.
    pub registers: [u64; 15],
    /// RIP, CS, RFLAGS, RSP, SS.
    pub frame: [u64; 5],
}

/// From the structure's start to where the stack pointer is set.
pub const STACK_OFFSET: u64 = core::mem::offset_of!(Freed, dr7) as u64;

impl Freed {
    /// With these registers; RAX is not among them.
    #[must_use]
    pub fn new(registers: &Registers, rax: u64, dr7: u64, frame: [u64; 5]) -> Self {
        let [
            _,
            rcx,
            rdx,
            rbx,
            _,
            rbp,
            rsi,
            rdi,
            r8,
            r9,
            r10,
            r11,
            r12,
            r13,
            r14,
            r15,
        ] = registers.0;
        Self {
            below: [0; 8],
            dr7,
            registers: [
                r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax,
            ],
            frame,
        }
    }
}

const _: () = assert!(register::R15 == 15 && register::RBP == 5);

#[cfg(test)]
mod tests {
    use super::*;

    /// The order in which door.S pops.
    fn popped() -> std::vec::Vec<std::string::String> {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../platform/linux/module/x86/door.S");
        let text = std::fs::read_to_string(path).unwrap();
        let (_, code) = text
            .split_once("SYM_CODE_START(mercury_door_freed)")
            .unwrap();
        let (code, _) = code.split_once("SYM_CODE_END").unwrap();
        code.lines()
            .filter_map(|line| line.trim().strip_prefix("popq\t%"))
            .map(std::borrow::ToOwned::to_owned)
            .collect()
    }

    #[test]
    fn every_register_is_popped_into_its_own() {
        let names = [
            "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11",
            "r12", "r13", "r14", "r15",
        ];
        let registers = Registers(core::array::from_fn(|number| 100 + number as u64));
        let freed = Freed::new(&registers, 100, 7, [1, 2, 3, 4, 5]);
        let popped = popped();
        // DR7 goes by way of RAX, which is popped again last.
        assert_eq!(popped.first().map(|name| &**name), Some("rax"));
        assert_eq!(popped.len(), 1 + freed.registers.len());
        for (name, value) in popped.iter().skip(1).zip(freed.registers) {
            assert_eq!(names[value as usize - 100], name);
        }
        let offset = core::mem::offset_of!(Freed, registers) - core::mem::offset_of!(Freed, dr7);
        assert_eq!(offset, 8);
    }
}
