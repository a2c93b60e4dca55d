// SPDX-License-Identifier: MIT OR Apache-2.0
//! Intel VMX: what only it has.
//!
//! The VMCS ([`field`]) is filled from the snapshot of the live CPU ([`build`])
//! with the controls that the CPU's capabilities allow ([`capabilities`]); the
//! world switch ([`run`]) enters the guest, exits are taken apart in [`exit`],
//! and [`depart`] turns the guest's state back into the machine's. The nested
//! map is an [`ept`] with the memory types of the [`mtrr`]s.
//!
//! Nothing holds NMIs off here, so the way in and the way out go by the landing
//! pad ([`crate::pad`]), and what arrives in the image is counted and handed on
//! ([`crate::nmi`]).
//!
//! Manual sections are of Intel's Software Developer's Manual (SDM).

pub mod build;
pub mod capabilities;
pub mod depart;
pub mod ept;
pub mod event;
pub mod exit;
pub mod field;
pub mod initialize;
pub mod mtrr;
pub mod operation;
pub mod pending;
pub mod permission;
pub mod run;
pub mod sound;

/// What the image keeps for a CPU's VMX, in its area.
#[derive(Clone, Copy, Debug, Default)]
pub struct State {
    /// The primary controls, without the monitor trap flag.
    pub primary: u32,
    /// The EPT pointer.
    pub pointer: u64,
    /// NMIs that wait until the guest can take one.
    pub held: u64,
    /// Bits of CR0 and CR4 that the guest does not own.
    pub masks: [u64; 2],
    /// PERF_GLOBAL_CTRL is switched.
    pub counters: bool,
    /// CR2 at the exit: the guest's, and no field of the VMCS. Only a page fault
    /// of the image, of which it dies, changes the register.
    pub fault_address: u64,
}
