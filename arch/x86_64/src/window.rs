// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the image lives in its own address space (offsets:
//! [`mercury_hal::door`]).
//!
//! In the lower half, because the kernel keeps global TLB entries for the upper
//! half and the trampoline's page is mapped where the kernel has it; and below
//! 2 GiB, so that every address fits the code model of the bare-metal target.

use mercury_hal::door;

/// Start of the window, and of the image.
pub const IMAGE_BASE: u64 = 0x4000_0000;
/// The first CPU's area.
pub const CPU_BASE: u64 = IMAGE_BASE + door::CPU_OFFSET;
/// Lent frame 0.
pub const FRAME_BASE: u64 = IMAGE_BASE + door::FRAME_OFFSET;
/// The first CPU's peek slot.
pub const PEEK_BASE: u64 = IMAGE_BASE + door::PEEK_OFFSET;
