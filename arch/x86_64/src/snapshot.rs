// SPDX-License-Identifier: MIT OR Apache-2.0
//! A CPU as it was when it came through the noted.
//!
//! Everything that is needed to put it back, and that the exit path or the
//! image's own life changes. What neither changes (DR0 to DR3, XCR0, the
//! vector registers) is not here: it is still in the CPU. FS, GS, TR, LDTR and
//! the system call registers are not here either: VMSAVE keeps them.

use crate::instruction;
use crate::noted::Noted;
use crate::segment::SegmentState;

/// GDTR or IDTR: base and limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TablePointer {
    /// Linear address.
    pub base: u64,
    /// In bytes, inclusive.
    pub limit: u16,
}

impl TablePointer {
    /// Takes the image of SGDT or SIDT apart (two bytes of limit, eight of base).
    #[must_use]
    pub const fn from_image(image: [u64; 2]) -> Self {
        Self {
            base: image[0] >> 16 | image[1] << 48,
            limit: image[0] as u16,
        }
    }
    /// The operand of LGDT or LIDT.
    #[must_use]
    pub const fn image(self) -> [u64; 2] {
        [self.base << 16 | self.limit as u64, self.base >> 48]
    }
}

/// See the module's documentation. All values raw.
#[derive(Clone, Copy, Debug, Default)]
pub struct Snapshot {
    /// CR0.
    pub cr0: u64,
    /// CR2.
    pub cr2: u64,
    /// CR3, PCID included.
    pub cr3: u64,
    /// CR4.
    pub cr4: u64,
    /// CR8: the task priority.
    pub cr8: u64,
    /// DR6.
    pub dr6: u64,
    /// DR7.
    pub dr7: u64,
    /// EFER, as it was before the extension was enabled for the noted.
    pub efer: u64,
    /// Page attribute table.
    pub pat: u64,
    /// GDTR.
    pub gdtr: TablePointer,
    /// IDTR.
    pub idtr: TablePointer,
    /// CS.
    pub cs: SegmentState,
    /// SS.
    pub ss: SegmentState,
    /// DS.
    pub ds: SegmentState,
    /// ES.
    pub es: SegmentState,
    /// Where to go on.
    pub rip: u64,
    /// With which stack.
    pub rsp: u64,
    /// With which flags.
    pub rflags: u64,
}

impl Snapshot {
    /// Takes the snapshot: what the trampoline noted, and what the CPU still
    /// holds. Call it before anything changes the latter.
    #[must_use]
    pub fn take(noted: &Noted) -> Self {
        let [cs, ss, ds, es] = noted.segments;
        Self {
            cr0: instruction::read_cr0(),
            cr2: instruction::read_cr2(),
            cr3: noted.root,
            cr4: noted.control4,
            cr8: instruction::read_cr8(),
            dr6: instruction::read_dr6(),
            dr7: instruction::read_dr7(),
            efer: noted.extended_features,
            pat: instruction::page_attributes(),
            gdtr: TablePointer::from_image(noted.gdtr),
            idtr: TablePointer::from_image(noted.idtr),
            cs: SegmentState::from_descriptor(cs),
            ss: SegmentState::stack(ss),
            ds: SegmentState::from_descriptor(ds),
            es: SegmentState::from_descriptor(es),
            rip: noted.instruction_pointer,
            rsp: noted.stack_pointer,
            rflags: noted.flags,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_pointers_survive_the_way_through_memory() {
        let pointer = TablePointer {
            base: 0xffff_fe12_3456_7000,
            limit: 0x7f,
        };
        let image = pointer.image();
        assert_eq!(image[0] & 0xffff, 0x7f);
        assert_eq!(TablePointer::from_image(image), pointer);
        // SGDT writes ten bytes; what was in the rest of the buffer is noise.
        assert_eq!(
            TablePointer::from_image([image[0], image[1] | 0xdead_0000]),
            pointer
        );
    }
}
