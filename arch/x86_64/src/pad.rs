// SPDX-License-Identifier: MIT OR Apache-2.0
//! The landing pad: where an NMI lands while a CPU changes sides (VMX only).
//!
//! SVM has a flag that holds NMIs off for the whole switch (APM 15.17). VMX has
//! none: an NMI may arrive between any two instructions of the trampoline, and
//! what its delivery needs (IDT, GDT, stack, handler) must be there in that very
//! moment (SDM volume 3, 6.14). So the last quarter of each CPU's door page is
//! mapped at the same address in both address spaces, the kernel's and the
//! image's, and holds an IDT, a GDT with the kernel's code and data selectors,
//! and a stack; the handlers lie in the trampoline's page, which is in both as
//! well. The trampoline goes onto the pad before it changes the page tables, and
//! leaves it when everything is the other side's. On the pad an NMI is counted;
//! the guest gets it with the next entry, the kernel by an `int 2` at the end of
//! the way out. Machine checks likewise.
//!
//! Selectors that cannot be loaded any more (a task may have dropped its LDT)
//! fault on the pad, and become null: its handler clears EAX, from which all of
//! them are loaded, and tries again.
//!
//! The C side is `struct mercury_pad` in `mercury_pad.h`.

use core::sync::atomic::AtomicU64;

use crate::noted::Segment;

/// Offset of the pad in a CPU's area.
pub const PAD_OFFSET: usize = 3072;
/// Gates of the pad's IDT: up to the machine check.
pub const GATES: usize = 19;
/// Descriptors of the pad's GDT: as many as reach beyond Linux's TSS.
pub const DESCRIPTORS: usize = 16;

/// What the way out loads, in the order in which the trampoline knows it.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct WayOut {
    /// CR4, before CR3.
    pub cr4: u64,
    /// CR3.
    pub cr3: u64,
    /// RSP.
    pub rsp: u64,
    /// RIP.
    pub rip: u64,
    /// RFLAGS.
    pub rflags: u64,
    /// Selector, as all up to TR.
    pub ds: u64,
    /// ES.
    pub es: u64,
    /// FS.
    pub fs: u64,
    /// GS.
    pub gs: u64,
    /// SS.
    pub ss: u64,
    /// CS.
    pub cs: u64,
    /// LDTR.
    pub ldtr: u64,
    /// TR: loaded under the pad's GDT, which says that it is not busy.
    pub tr: u64,
    /// Base of FS.
    pub fs_base: u64,
    /// Base of GS.
    pub gs_base: u64,
    /// Operand of LGDT.
    pub gdtr: [u64; 2],
    /// Operand of LIDT.
    pub idtr: [u64; 2],
    /// What the kernel finds in RAX.
    pub result: u64,
}

/// See the module's documentation. The module lays it out but for the way out;
/// the trampoline counts in it.
#[derive(Debug)]
#[repr(C)]
pub struct Pad {
    /// The IDT.
    pub gates: [[u64; 2]; GATES],
    /// The GDT.
    pub descriptors: [u64; DESCRIPTORS],
    /// Operand of LGDT for it.
    pub gdtr: [u64; 2],
    /// Operand of LIDT.
    pub idtr: [u64; 2],
    /// NMIs that arrived and that nobody has had.
    pub nmis: AtomicU64,
    /// Machine checks, likewise.
    pub machine_checks: AtomicU64,
    /// By the module on the way in: FS, GS, LDTR, TR.
    pub segments: [Segment; 4],
    /// Upper halves of the bases of LDTR and TR.
    pub high: [u64; 2],
    /// By the image on the way out.
    pub out: WayOut,
    /// The pad's address in both address spaces.
    pub address: u64,
    /// The stack grows down from the end.
    pub stack: [u64; 37],
}

/// Offset of the count of NMIs in a CPU's area; the world switch knows it.
pub const NMIS_OFFSET: usize = PAD_OFFSET + core::mem::offset_of!(Pad, nmis);

const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<Pad>() == 1024);
    assert!(PAD_OFFSET + size_of::<Pad>() == 4096);
    assert!(offset_of!(Pad, gdtr) == 432);
    assert!(offset_of!(Pad, nmis) == 464);
    assert!(offset_of!(Pad, segments) == 480);
    assert!(offset_of!(Pad, out) == 560);
    assert!(offset_of!(Pad, address) == 720);
};
