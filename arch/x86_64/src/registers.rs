// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names of bits and registers that we test.
//!
//! Register values stay raw `u64` everywhere: a bit that we do not know must
//! survive us. Numbers of model-specific registers come from the `x86` crate
//! where it has them; it has none of AMD's virtualization.

/// CR0.PG: paging is on.
pub const CR0_PG: u64 = 1 << 31;
/// CR4.PAE: 64-bit page table entries.
pub const CR4_PAE: u64 = 1 << 5;
/// CR4.LA57: five-level paging.
pub const CR4_LA57: u64 = 1 << 12;
/// CR4.CET: shadow stacks and branch tracking.
pub const CR4_CET: u64 = 1 << 23;

/// EFER.LME: long mode enabled.
pub const EFER_LME: u64 = 1 << 8;
/// EFER.LMA: long mode active.
pub const EFER_LMA: u64 = 1 << 10;
/// EFER.NXE: no-execute bit.
pub const EFER_NXE: u64 = 1 << 11;
/// EFER.SVME: SVM instructions are enabled.
pub const EFER_SVME: u64 = 1 << 12;

/// RFLAGS.DF: string instructions go downwards.
pub const RFLAGS_DF: u64 = 1 << 10;
/// RFLAGS.IF: interrupts are taken.
pub const RFLAGS_IF: u64 = 1 << 9;

/// Host physical address of the host save area (APM 15.30.4).
pub const MSR_VM_HSAVE_PA: u32 = 0xc001_0117;
/// SVM control (APM 15.30.1).
pub const MSR_VM_CR: u32 = 0xc001_0114;
/// Where a microcode patch is loaded from: a *linear* address.
pub const MSR_PATCH_LOADER: u32 = 0xc001_0020;
/// Ratio by which a guest's TSC runs (APM 15.30.5).
pub const MSR_TSC_RATIO: u32 = 0xc000_0104;
/// [`MSR_TSC_RATIO`] of a guest whose TSC runs as the machine's.
pub const TSC_RATIO_ONE: u64 = 1 << 32;
/// Speculation control.
pub const MSR_SPEC_CTRL: u32 = 0x48;
/// Supervisor shadow stack and branch tracking.
pub const MSR_S_CET: u32 = 0x6a2;
/// Table of interrupt shadow stacks.
pub const MSR_ISST: u32 = 0x6a8;
