// SPDX-License-Identifier: MIT OR Apache-2.0
//! The way out: from the image back into the kernel, natively.
//!
//! The same code serves a call that is done, an entry that failed and a detach.
//! What can be restored under the image's own tables is restored here; the rest
//! needs the kernel's tables and so is done by the trampoline, which lies in
//! both address spaces (`door.S`, `mercury_door_exit`):
//!
//! 1. here: GDTR and IDTR with their limits, CR0, the general registers that a
//!    called function must keep (CR2, the debug registers and what VMLOAD gives
//!    back are in place before, `svm/depart.rs`);
//! 2. there: CR4, and only then CR3 with its PCID (CR4.PCIDE can be set only
//!    while the PCID is 0, APM 5.5.1, and setting CR4.PGE drops all global
//!    translations that are older than the attach), stack, DS, ES, then IRETQ
//!    for CS, SS and flags, STGI, and last EFER without SVME.
#![expect(unsafe_code, reason = "loads registers and does not come back")]

#[cfg(target_os = "none")]
use core::arch::global_asm;

use crate::snapshot::TablePointer;

/// Everything that the last instructions need. The order is known to the
/// assembly below.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Departure {
    /// Operand of LGDT.
    pub gdtr: [u64; 2],
    /// Operand of LIDT.
    pub idtr: [u64; 2],
    /// RBX, RBP, R12 to R15.
    pub kept: [u64; 6],
    /// CR4, for the trampoline.
    pub cr4: u64,
    /// CR3, for the trampoline.
    pub cr3: u64,
    /// RSP, for the trampoline.
    pub rsp: u64,
    /// RIP, for the trampoline.
    pub rip: u64,
    /// RFLAGS, for the trampoline.
    pub rflags: u64,
    /// EFER, for the trampoline, which sets the global interrupt flag first.
    pub efer: u64,
    /// DS, ES, SS, CS, 16 bits each, for the trampoline.
    pub selectors: u64,
    /// What the kernel finds in RAX.
    pub result: u64,
    /// Virtual address of the trampoline's part.
    pub way_out: u64,
    /// CR0.
    pub cr0: u64,
}

impl Departure {
    /// Packs the selectors as the trampoline expects them.
    #[must_use]
    pub const fn pack(ds: u16, es: u16, ss: u16, cs: u16) -> u64 {
        ds as u64 | (es as u64) << 16 | (ss as u64) << 32 | (cs as u64) << 48
    }

    /// Sets both table registers.
    pub fn set_tables(&mut self, gdtr: TablePointer, idtr: TablePointer) {
        self.gdtr = gdtr.image();
        self.idtr = idtr.image();
    }

    /// Leaves the image.
    ///
    /// # Safety
    /// Interrupts and NMIs are held off; every value is one that this CPU had
    /// or, by its guest, could have had; FS, GS, TR, LDTR and the system call
    /// registers are the kernel's already.
    pub unsafe fn go(&self) -> ! {
        // SAFETY: the caller vouches for the values.
        unsafe { mercury_leave(self) }
    }
}

unsafe extern "C" {
    fn mercury_leave(departure: *const Departure) -> !;
}

#[cfg(target_os = "none")]
global_asm!(
    ".global mercury_leave",
    "mercury_leave:",
    "   mov rax, [rdi + 152]",
    "   mov cr0, rax",
    "   lgdt [rdi]",
    "   lidt [rdi + 16]",
    "   mov rbx, [rdi + 32]",
    "   mov rbp, [rdi + 40]",
    "   mov r12, [rdi + 48]",
    "   mov r13, [rdi + 56]",
    "   mov r14, [rdi + 64]",
    "   mov r15, [rdi + 72]",
    "   mov rsi, [rdi + 88]",
    "   mov rdx, [rdi + 96]",
    "   mov rcx, [rdi + 104]",
    "   mov r8, [rdi + 112]",
    "   mov r9, [rdi + 120]",
    "   mov r10, [rdi + 128]",
    "   mov rax, [rdi + 136]",
    "   mov r11, [rdi + 144]",
    "   mov rdi, [rdi + 80]",
    "   jmp r11",
);

const _: () = {
    use core::mem::offset_of;
    assert!(offset_of!(Departure, kept) == 32);
    assert!(offset_of!(Departure, cr4) == 80);
    assert!(offset_of!(Departure, efer) == 120);
    assert!(offset_of!(Departure, way_out) == 144);
    assert!(offset_of!(Departure, cr0) == 152);
};
