// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a roll-back needs of an x86 machine: all memory in sight ([`sight`]), the local
//! interrupt controller that wakes and stops CPUs ([`local_apic`]), and the configuration
//! of devices, which are to write to memory no longer ([`pci`]).

pub mod local_apic;
pub mod pci;
pub mod sight;
