// SPDX-License-Identifier: MIT OR Apache-2.0
//! Defects on purpose.
//!
//! A check that has never failed says nothing. In a build for tests (feature
//! `mutants`, never in a release) the module can name one restore that is then
//! left out or done wrong, and the check that exists for it must find it. The
//! names by which the module's parameter knows them are in its
//! `arm64/mutants.h`, in the order of these numbers.

/// One defect. 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Mutant {
    /// Detach leaves our TCR_EL2.
    Tcr = 1,
    /// Detach leaves our TTBR0_EL2.
    Ttbr0 = 2,
    /// Detach leaves our MAIR_EL2.
    Mair = 3,
    /// Detach leaves TPIDR_EL2 pointing at our area.
    Tpidr = 4,
    /// Detach leaves our SP_EL2.
    StackPointer = 5,
    /// Detach leaves our VTCR_EL2.
    Vtcr = 6,
    /// Detach leaves VTTBR_EL2 pointing at our table.
    Vttbr = 7,
    /// Detach clears what else was set in HCR_EL2 (Jailhouse does).
    HypervisorConfiguration = 8,
    /// Detach loses X19.
    GeneralRegister = 9,
    /// Detach loses V5.
    VectorRegister = 10,
    /// Detach loses TPIDR_EL0.
    ThreadPointer = 11,
    /// The guest's counter is behind the machine's, from its entry on.
    CounterOffset = 12,
    /// Detach leaves trace registers trapped.
    TraceTrap = 13,
    /// Detach loses PAR_EL1.
    PhysicalAddress = 14,
    /// A store to the hole is skipped one instruction too far.
    HoleLength = 15,
    /// RESET_VECTORS is honoured: whoever asks gets EL2.
    ResetVectors = 16,
}

/// Whether the build is one for tests and this defect was asked for.
#[must_use]
#[inline]
pub fn active(chosen: u64, which: Mutant) -> bool {
    cfg!(feature = "mutants") && chosen == which as u64
}
