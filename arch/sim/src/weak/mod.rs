// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine that does every wrong thing that ARM's architecture allows.
//!
//! The rest of the sim is for the logic: its memory is orderly, and its TLB is
//! only stale. This part is for the order of barriers, invalidations and cache
//! maintenance, which no emulator here can show. It is the other extreme: it
//! does nothing that nobody asked for, except at the worst moment.
//!
//! - A store waits in its CPU's buffer, where only its CPU's own loads find it
//!   (its walks do not), and leaves it in any order with the others, but for
//!   those of the same word and those behind a barrier ([`stores`]).
//! - It leaves into a cache that all CPUs share, and is in memory only when it
//!   is cleaned, or evicted at some time ([`memory`]). Whoever reads past the
//!   caches reads memory. Instruction caches keep what they once fetched.
//! - A CPU walks any address at any time by itself, at EL2 too, one descriptor
//!   at a time, and reads each register when it likes ([`walk`]). What it found
//!   it keeps for ever ([`tlb`]): of several translations of one address any
//!   may be used, and the CPU may notice that they contradict each other.
//! - A register that was written is in force at some time before the next
//!   synchronization, in no order with others. An invalidation works at some
//!   time before the DSB that waits for it ([`machine`]).
//!
//! All this happens between any two steps of the code under test, as a seed
//! wants it ([`chance`]): one seed is one schedule, and can be had again. Each
//! also draws what there is much of and what there is none of. Whoever drives
//! it says what programs may find; the first thing that contradicts is noted
//! ([`machine::Machine::wrong`]).
//!
//! What bits of registers and entries mean is not known here ([`Bits`]).

pub mod access;
pub mod chance;
pub mod cpu;
pub mod machine;
pub mod memory;
pub mod own;
pub mod stores;
pub mod tlb;
pub mod unrest;
pub mod walk;

use crate::format::Hardware;

/// Where a walk begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The table.
    pub table: u64,
    /// Its level.
    pub level: u8,
    /// Whether walks look into the caches.
    pub cached: bool,
}

/// How registers and entries are to be read.
#[derive(Clone, Copy, Debug)]
pub struct Bits {
    /// Whether this HCR_EL2 turns stage 2 on.
    pub stage2: fn(hcr: u64) -> bool,
    /// VTTBR_EL2's VMID.
    pub vmid: fn(vttbr: u64) -> u16,
    /// Where the walk for an address begins, if it is small enough.
    pub start: fn(vtcr: u64, vttbr: u64, address: u64) -> Option<Start>,
    /// Entries.
    pub entry: Hardware,
}
