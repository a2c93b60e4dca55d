// SPDX-License-Identifier: MIT OR Apache-2.0
//! The format of the nested map: nested page tables under SVM, extended page
//! tables under VMX. One image holds both, so the choice is made when the map
//! is prepared; the map is built and changed in few places, none of which an
//! undisturbed guest comes by.
#![expect(unsafe_code, reason = "holds what the preparation reads once")]

use core::cell::UnsafeCell;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering;

use mercury_hal::addr::HostPhysical;
use mercury_hal::paging::Access;
use mercury_hal::paging::Entry;
use mercury_hal::paging::Level;
use mercury_hal::paging::Stage2Format;
use mercury_hal::paging::span;

use crate::svm::nested::NestedFormat;
use crate::vmx::ept;
use crate::vmx::mtrr::MemoryTypes;

/// What an entry that is there means: both kinds have "may be written" in bit 1
/// and "a large leaf" in bit 7.
pub(crate) const fn meaning(level: Level, raw: u64) -> Entry {
    const WRITABLE: u64 = 1 << 1;
    const LARGE: u64 = 1 << 7;
    let address = HostPhysical(raw & 0x000f_ffff_ffff_f000);
    if level > 0 && raw & LARGE == 0 {
        Entry::Table(address)
    } else if raw & WRITABLE != 0 {
        Entry::Leaf(address, Access::All)
    } else {
        Entry::Leaf(address, Access::Read)
    }
}

static EXTENDED: AtomicBool = AtomicBool::new(false);

struct Types(UnsafeCell<MemoryTypes>);

// SAFETY: written only by `prepare`, which nobody reads beside.
unsafe impl Sync for Types {}

static TYPES: Types = Types(UnsafeCell::new(MemoryTypes::WRITE_BACK));

/// Chooses: extended page tables with these memory types, or nested ones.
///
/// # Safety
/// No other CPU is in the image, and no map is in use.
pub unsafe fn choose(extended: Option<MemoryTypes>) {
    EXTENDED.store(extended.is_some(), Ordering::Relaxed);
    if let Some(types) = extended {
        // SAFETY: the caller is alone.
        unsafe { TYPES.0.get().write(types) };
    }
}

fn extended() -> Option<&'static MemoryTypes> {
    EXTENDED
        .load(Ordering::Relaxed)
        // SAFETY: nobody writes while a map is built or in use.
        .then(|| unsafe { &*TYPES.0.get() })
}

/// The format that was chosen.
#[derive(Debug)]
pub struct ChosenFormat;

impl Stage2Format for ChosenFormat {
    const BREAK_BEFORE_MAKE: bool = false;

    fn table(next: HostPhysical) -> u64 {
        match extended() {
            Some(_) => ept::table(next),
            None => NestedFormat::table(next),
        }
    }

    fn leaf(level: Level, target: HostPhysical, access: Access) -> u64 {
        match extended() {
            Some(types) => ept::leaf(level, target, access, types.at(target.0)),
            None => NestedFormat::leaf(level, target, access),
        }
    }

    fn decode(level: Level, raw: u64) -> Entry {
        match extended() {
            Some(_) => ept::decode(level, raw),
            None => NestedFormat::decode(level, raw),
        }
    }

    fn one_leaf(level: Level, target: HostPhysical) -> bool {
        extended().is_none_or(|types| types.uniform(target.0, span(level)))
    }
}
