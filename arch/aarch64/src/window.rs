// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the image lives in EL2's own address space (offsets:
//! [`mercury_hal::door`]).
//!
//! EL2 has one range of virtual addresses, from 0 to 2^48. The first and last
//! instructions in the image run with the MMU off and on again, so their page
//! is mapped where it lies in physical memory, too; the window is far above any
//! memory that a 48-bit machine is known to have, and the module refuses to map
//! anything twice.

use mercury_hal::door;

/// Start of the window, and of the image.
pub const IMAGE_BASE: u64 = 0x8000_0000_0000;
/// The first CPU's area.
pub const CPU_BASE: u64 = IMAGE_BASE + door::CPU_OFFSET;
/// Lent frame 0.
pub const FRAME_BASE: u64 = IMAGE_BASE + door::FRAME_OFFSET;
