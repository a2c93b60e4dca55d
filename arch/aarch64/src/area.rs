// SPDX-License-Identifier: MIT OR Apache-2.0
//! What lies in the first page of a CPU's area.
//!
//! The door comes first: it is what the module knows. All the rest is the
//! image's, and only the CPU that it belongs to touches it once the preparation
//! is over. TPIDR_EL2 names it while the CPU is in the image or its guest runs.

use mercury_hal::door::CPU_STRIDE;
use mercury_hal::door::Door;
use mercury_hal::life::LifeWord;
use mercury_hal::quick::Quick;
use mercury_hal::repetition::Repetition;

use crate::window::CPU_BASE;

/// EL2 as it was found, which is how detach leaves it. Everything that is not
/// here is never written. The assembly of the door knows the order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Found {
    /// SCTLR_EL2: MMU and caches off.
    pub sctlr: u64,
    /// TCR_EL2.
    pub tcr: u64,
    /// TTBR0_EL2.
    pub ttbr0: u64,
    /// MAIR_EL2.
    pub mair: u64,
    /// SP_EL2; the stub in the kernel uses none.
    pub stack_pointer: u64,
    /// Physical address of the last instructions of the way out.
    pub way_out: u64,
    /// VBAR_EL2: the stub's vectors.
    pub vbar: u64,
    /// TPIDR_EL2.
    pub tpidr: u64,
    /// HCR_EL2.
    pub hcr: u64,
    /// VTCR_EL2.
    pub vtcr: u64,
    /// VTTBR_EL2.
    pub vttbr: u64,
    /// 0: pairs.
    pub reserved: u64,
}

/// What Rust keeps and an exception of the image overwrites: together with the
/// registers on the stack ([`crate::frame`]) all of the guest as it came out. The
/// assembly of the vectors and of the door knows the order.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Kept {
    /// X19 to X29.
    pub x: [u64; 11],
    /// ELR_EL2.
    pub place: u64,
    /// SPSR_EL2.
    pub state: u64,
    /// ESR_EL2.
    pub syndrome: u64,
}

/// The first page of CPU n's area, at [`CPU_BASE`] + n * [`CPU_STRIDE`] in the
/// image's address space. `L` is what the logic keeps for a CPU.
#[derive(Debug)]
#[repr(C)]
pub struct Area<L> {
    /// The door; the offset 0 is part of the contract with the module.
    pub door: Door,
    /// EL2 as found.
    pub found: Found,
    /// For null hypercalls; the vectors know where it is.
    pub quick: Quick,
    /// Whether the guest comes on; the vectors know where it is.
    pub repetition: Repetition,
    /// Number of the CPU.
    pub index: u32,
    /// Test build: the restore that is left out.
    pub mutant: u64,
    /// How far this CPU has come, should the image die on it.
    pub life: LifeWord,
    /// MPIDR_EL1 of a CPU that is in; 0 of one that is not.
    pub affinity: u64,
    /// The stack pointer of a guest that parked.
    pub stack_pointer: u64,
    /// The rest of the guest at an exit, or of the kernel at a call.
    pub kept: Kept,
    /// The logic's.
    pub logic: L,
}

/// Virtual address of a CPU's area.
#[must_use]
pub const fn address(cpu: u32) -> u64 {
    CPU_BASE + cpu as u64 * CPU_STRIDE
}

/// Offset of [`Area::found`].
pub const FOUND_OFFSET: usize = size_of::<Door>();

const _: () = assert!(core::mem::offset_of!(Area<[u64; 32]>, found) == FOUND_OFFSET);
const _: () = assert!(size_of::<Area<[u64; 64]>>() <= 4096);
