// SPDX-License-Identifier: MIT OR Apache-2.0
//! Segments: what a descriptor in memory says, in the form of a control block.
//!
//! A CPU keeps base, limit and attributes of each segment out of sight, and no
//! instruction reads them back. They are taken from the descriptor that the
//! selector names, which the kernel module looked up (APM 4.7, 4.8).

use crate::noted::Segment;

/// A segment register with everything that is hidden in it. Layout as in the
/// save area of a VMCB (APM appendix B).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct SegmentState {
    /// The selector.
    pub selector: u16,
    /// Type, S, DPL, P in bits 0..8; AVL, L, D, G in bits 8..12.
    pub attributes: u16,
    /// In bytes, inclusive.
    pub limit: u32,
    /// Linear.
    pub base: u64,
}

/// Attributes of a flat, present, writable data segment of privilege level 0.
const FLAT_DATA: u16 = 0xc93;

impl SegmentState {
    /// What a code or data selector with this descriptor means.
    #[must_use]
    pub const fn from_descriptor(segment: Segment) -> Self {
        let raw = segment.descriptor;
        let low_limit = (raw & 0xffff) as u32 | ((raw >> 32) & 0xf_0000) as u32;
        let granular = raw & (1 << 55) != 0;
        let limit = if granular {
            low_limit << 12 | 0xfff
        } else {
            low_limit
        };
        let base = (raw >> 16 & 0xff_ffff) | (raw >> 56 << 24);
        let attributes = (raw >> 40 & 0xff) | (raw >> 52 & 0xf) << 8;
        Self {
            selector: segment.selector as u16,
            attributes: attributes as u16,
            limit,
            base,
        }
    }

    /// The same for a stack segment: in 64-bit mode an interrupt from user mode
    /// leaves a null selector in SS, and the CPU wants to see a usable stack.
    #[must_use]
    pub const fn stack(segment: Segment) -> Self {
        if segment.selector & !3 == 0 {
            Self {
                selector: segment.selector as u16,
                attributes: FLAT_DATA,
                limit: u32::MAX,
                base: 0,
            }
        } else {
            Self::from_descriptor(segment)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_of_linux_are_understood() {
        // (selector, descriptor, attributes, limit, base)
        for (selector, descriptor, attributes, limit, base) in [
            (0x10, 0x00af_9b00_0000_ffff, 0xa9b, u32::MAX, 0),
            (0x18, 0x00cf_9300_0000_ffff, 0xc93, u32::MAX, 0),
            (0x2b, 0x00cf_f300_0000_ffff, 0xcf3, u32::MAX, 0),
            // An LDT entry made with modify_ldt: base 0x1234_5678, byte limit 0xabcde.
            (0x07, 0x124a_f334_5678_bcde, 0x4f3, 0xabcde, 0x1234_5678),
            (0, 0, 0, 0, 0),
        ] {
            let state = SegmentState::from_descriptor(Segment {
                selector,
                descriptor,
            });
            let expected = SegmentState {
                selector: selector as u16,
                attributes,
                limit,
                base,
            };
            assert_eq!(state, expected);
        }
    }

    #[test]
    fn a_null_stack_segment_is_usable() {
        let state = SegmentState::stack(Segment::default());
        assert_eq!((state.selector, state.attributes), (0, FLAT_DATA));
        let kernel = Segment {
            selector: 0x18,
            descriptor: 0x00cf_9300_0000_ffff,
        };
        assert_eq!(
            SegmentState::stack(kernel),
            SegmentState::from_descriptor(kernel)
        );
    }
}
