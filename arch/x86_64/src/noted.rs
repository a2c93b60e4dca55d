// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the trampoline and the module note in the door on the way in
//! ([`Door::noted`](mercury_hal::door::Door::noted)), because under the image's
//! page tables nobody can read it any more. The C side is `struct
//! mercury_noted` in `mercury_door.h`.

use mercury_hal::door::NOTED_WORDS;

/// AMD SVM.
pub const BACKEND_SVM: u64 = 1;
/// Intel VMX.
pub const BACKEND_VMX: u64 = 2;

/// A segment as the module found it: descriptor tables lie in the kernel's
/// address space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Segment {
    /// Selector register.
    pub selector: u64,
    /// The 8-byte descriptor behind it; 0 for a null selector.
    pub descriptor: u64,
}

/// See the module's documentation.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Noted {
    /// Stack pointer to come back with.
    pub stack_pointer: u64,
    /// Where to come back to.
    pub instruction_pointer: u64,
    /// RFLAGS, interrupts off.
    pub flags: u64,
    /// CR3.
    pub root: u64,
    /// CR4.
    pub control4: u64,
    /// EFER before the extension was enabled for the door.
    pub extended_features: u64,
    /// GDTR: limit in the first 16 bits, then the base.
    pub gdtr: [u64; 2],
    /// IDTR.
    pub idtr: [u64; 2],
    /// CS, SS, DS, ES.
    pub segments: [Segment; 4],
    /// CR4 for the image: the module's choice.
    pub host_control4: u64,
}

const _: () = assert!(size_of::<Noted>() == NOTED_WORDS * 8);

impl Noted {
    /// Takes the door's words apart.
    #[must_use]
    pub const fn from_words(words: &[u64; NOTED_WORDS]) -> Self {
        let [
            stack_pointer,
            instruction_pointer,
            flags,
            root,
            control4,
            extended_features,
            gdtr0,
            gdtr1,
            idtr0,
            idtr1,
            cs,
            cs_descriptor,
            ss,
            ss_descriptor,
            ds,
            ds_descriptor,
            es,
            es_descriptor,
            host_control4,
        ] = *words;
        const fn segment(selector: u64, descriptor: u64) -> Segment {
            Segment {
                selector,
                descriptor,
            }
        }
        Self {
            stack_pointer,
            instruction_pointer,
            flags,
            root,
            control4,
            extended_features,
            gdtr: [gdtr0, gdtr1],
            idtr: [idtr0, idtr1],
            segments: [
                segment(cs, cs_descriptor),
                segment(ss, ss_descriptor),
                segment(ds, ds_descriptor),
                segment(es, es_descriptor),
            ],
            host_control4,
        }
    }
}
