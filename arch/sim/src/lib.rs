// SPDX-License-Identifier: MIT OR Apache-2.0
//! The simulated machine: where Mercury's logic runs in host tests.
//!
//! It is an architecture like the others, except that it can be looked into
//! and that it fails on demand. CPUs are threads ([`machine`], [`cpu`]); memory
//! is a map from address to frame ([`memory`]), and reading what nobody lent
//! gives a pattern that names the address, so that a wrong translation shows;
//! table entries have a format of their own ([`format`]), which shares no bit
//! with a real one; time is a counter ([`clock`]).
//!
//! What is simulated is what the core relies on, and the sim is strict where
//! hardware is forgiving: a table must be full before an entry points at it,
//! a CPU caches every translation that it ever used until it is told to flush
//! ([`mmu`]), and a register that is not given back is seen at once. Tests can
//! plant a defect ([`cpu::Flaw`]) to show that the strictness is not a claim.
//!
//! Beside it stands another machine ([`weak`]), for what lies below the logic:
//! barriers, invalidations and cache maintenance.
#![forbid(unsafe_code)]

pub mod clock;
pub mod cpu;
pub mod format;
pub mod guest;
pub mod machine;
pub mod memory;
pub mod mmu;
pub mod setup;
pub mod turns;
pub mod weak;
pub mod window;

use mercury_core::hypervisor::Hypervisor;

/// The hypervisor, as it is on this architecture.
pub type SimHypervisor = Hypervisor<format::SimFormat, window::Window, clock::Steps>;
