// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fields of the current VMCS (numbers: the `x86` crate's).
//!
//! On the CPUs that we enter, every field that is named here exists, so reading
//! and writing cannot fail once a VMCS is current; what fails all the same shows
//! in an entry that fails.
#![expect(unsafe_code, reason = "VMREAD and VMWRITE")]

use x86::bits64::vmx;
use x86::vmx::vmcs::guest;

use crate::segment::SegmentState;

/// Reads a field; 0 without a VMCS.
#[must_use]
pub fn read(field: u32) -> u64 {
    // SAFETY: reading a field has no side effect; the image runs at level 0 in
    // VMX operation wherever this is called.
    unsafe { vmx::vmread(field) }.unwrap_or(0)
}

/// Writes a field.
pub fn write(field: u32, value: u64) {
    // SAFETY: the fields take effect with the next entry, whose state the caller
    // is building; one that does not exist is refused.
    let _ = unsafe { vmx::vmwrite(field, value) };
}

/// The four fields of a segment.
#[derive(Clone, Copy, Debug)]
pub struct SegmentFields {
    selector: u32,
    limit: u32,
    rights: u32,
    base: u32,
}

macro_rules! segments {
    ($($name:ident: $selector:ident $limit:ident $rights:ident $base:ident;)*) => {
        $(
            #[doc = concat!("The fields of ", stringify!($name), ".")]
            pub const $name: SegmentFields = SegmentFields {
                selector: guest::$selector,
                limit: guest::$limit,
                rights: guest::$rights,
                base: guest::$base,
            };
        )*
    };
}

segments! {
    ES: ES_SELECTOR ES_LIMIT ES_ACCESS_RIGHTS ES_BASE;
    CS: CS_SELECTOR CS_LIMIT CS_ACCESS_RIGHTS CS_BASE;
    SS: SS_SELECTOR SS_LIMIT SS_ACCESS_RIGHTS SS_BASE;
    DS: DS_SELECTOR DS_LIMIT DS_ACCESS_RIGHTS DS_BASE;
    FS: FS_SELECTOR FS_LIMIT FS_ACCESS_RIGHTS FS_BASE;
    GS: GS_SELECTOR GS_LIMIT GS_ACCESS_RIGHTS GS_BASE;
    LDTR: LDTR_SELECTOR LDTR_LIMIT LDTR_ACCESS_RIGHTS LDTR_BASE;
    TR: TR_SELECTOR TR_LIMIT TR_ACCESS_RIGHTS TR_BASE;
}

impl SegmentFields {
    /// Writes all four.
    pub fn write(self, state: SegmentState) {
        write(self.selector, u64::from(state.selector));
        write(self.limit, u64::from(state.limit));
        write(self.rights, u64::from(rights(state.attributes)));
        write(self.base, state.base);
    }

    /// Reads all four back.
    #[must_use]
    pub fn read(self) -> SegmentState {
        SegmentState {
            selector: read(self.selector) as u16,
            limit: read(self.limit) as u32,
            attributes: attributes(read(self.rights) as u32),
            base: read(self.base),
        }
    }
}

/// Nothing may be done with the segment (SDM 24.4.1, bit 16).
const UNUSABLE: u32 = 1 << 16;
const PRESENT: u16 = 1 << 7;
const NOT_SYSTEM: u16 = 1 << 4;

/// A control block's attributes as access rights: bits 8 to 11 are 12 to 15
/// here, and what is not present is unusable. A code or data segment that is in
/// use has been accessed, whatever its descriptor says today.
#[must_use]
pub const fn rights(attributes: u16) -> u32 {
    if attributes & PRESENT == 0 {
        return UNUSABLE;
    }
    let accessed = (attributes & NOT_SYSTEM != 0) as u32;
    (attributes & 0xff) as u32 | accessed | ((attributes & 0xf00) as u32) << 4
}

/// The reverse.
#[must_use]
pub const fn attributes(rights: u32) -> u16 {
    if rights & UNUSABLE != 0 {
        return 0;
    }
    (rights & 0xff) as u16 | (rights >> 4 & 0xf00) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_and_attributes_are_two_writings_of_one_thing() {
        for attributes_ in [0xa9b, 0xc93, 0xcf3, 0x08b, 0x082] {
            assert_eq!(attributes(rights(attributes_)), attributes_);
        }
        assert_eq!(rights(0xa9b), 0xa09b);
        assert_eq!(rights(0xc92), 0xc093);
        assert_eq!(rights(0), UNUSABLE);
        assert_eq!(attributes(UNUSABLE), 0);
    }
}
