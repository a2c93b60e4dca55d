// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a roll-back needs of an ARM64 machine: all memory in sight ([`sight`]), a CPU
//! written down and put back ([`saved`]), interrupt controllers that wake CPUs, forget
//! what was being handled, and stop writing to memory ([`gic`]), the configuration of PCI
//! devices ([`ecam`]), and the firmware that switches CPUs off ([`psci`]).
//!
//! Where all that is, EL2 cannot find out; the module reads it in the device tree
//! ([`platform`]).

pub mod ecam;
pub mod gic;
pub mod platform;
pub mod psci;
pub mod saved;
pub mod sight;
