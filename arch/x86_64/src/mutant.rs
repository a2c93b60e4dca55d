// SPDX-License-Identifier: MIT OR Apache-2.0
//! Defects on purpose.
//!
//! A check that has never failed says nothing. In a build for tests (feature
//! `mutants`, never in a release) the module can name one restore that is then
//! left out or done wrong, and the check that exists for it must find it. The
//! names by which the module's parameter knows them are in its `testing.c`, in
//! the order of these numbers.

/// One defect. 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Mutant {
    /// Detach leaves the GDT's limit at 0xffff.
    GdtLimit = 1,
    /// Detach leaves the IDT's limit at 0xffff.
    IdtLimit = 2,
    /// Detach loses LDTR.
    Ldtr = 3,
    /// Detach loses DR7.
    Dr7 = 4,
    /// Detach loses RBX.
    GeneralRegister = 5,
    /// Detach loses XMM5.
    VectorRegister = 6,
    /// Detach leaves another page attribute table.
    PageAttributes = 7,
    /// Detach loses a CR4 bit (TSD).
    ControlRegister4 = 8,
    /// The guest's time-stamp counter is behind the machine's.
    TimeStampOffset = 9,
    /// Detach loses the base of FS.
    FsBase = 10,
    /// Detach loses CR2.
    ControlRegister2 = 11,
    /// Detach changes SFMASK.
    SystemCall = 12,
    /// Detach changes SYSENTER_EIP.
    SystemEnter = 13,
    /// Detach leaves VM_HSAVE_PA pointing at our frame.
    SaveArea = 14,
    /// Detach leaves EFER.SVME set.
    ExtensionBit = 15,
    /// Detach loses the selector in DS.
    DataSegment = 16,
    /// Detach loses KERNEL_GS_BASE.
    KernelGsBase = 17,
    /// Detach sets CR0.TS.
    TaskSwitched = 18,
    /// A store to the hole is skipped one byte short.
    HoleLength = 19,
    /// VMX: detach loads TR from another place in the GDT.
    Task = 20,
    /// VMX: detach loses the PCID in CR3.
    Tag = 21,
    /// VMX: one NMI that arrived in the image is not handed on.
    LostNmi = 22,
}

/// Whether the build is one for tests and this defect was asked for.
#[must_use]
#[inline]
pub fn active(chosen: u64, which: Mutant) -> bool {
    cfg!(feature = "mutants") && chosen == which as u64
}
