// SPDX-License-Identifier: MIT OR Apache-2.0
//! ESR_EL2, taken apart (Arm ARM D24.2.40).

use mercury_hal::exit::Touch;

/// Why the CPU came to EL2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// HVC from AArch64.
    Hypercall,
    /// A fault of stage 2.
    Fault(Fault),
    /// Anything else, by its exception class.
    Other(u8),
}

/// A fault of stage 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What the guest did.
    pub touch: Touch,
    /// The fault status: bits 5..2 say which kind.
    pub status: u8,
    /// A load or store of one general register, and nothing else: the syndrome
    /// says all that there is to know (ISV).
    pub plain: bool,
    /// Bytes that it moves, if plain.
    pub size: u8,
    /// Cache maintenance: nothing is moved.
    pub maintenance: bool,
}

impl Fault {
    /// Translation fault: nothing is mapped there.
    #[must_use]
    pub const fn is_translation(self) -> bool {
        self.status >> 2 == 0b0001
    }
    /// Permission fault: something is, and may not be used so.
    #[must_use]
    pub const fn is_permission(self) -> bool {
        self.status >> 2 == 0b0011
    }
    /// The address is larger than the map.
    #[must_use]
    pub const fn is_address_size(self) -> bool {
        self.status >> 2 == 0b0000
    }
    /// The TLB holds two translations of it.
    #[must_use]
    pub const fn is_conflict(self) -> bool {
        self.status == 0b11_0000
    }
    /// A store that can be dropped by going on behind it.
    #[must_use]
    pub const fn is_plain_store(self) -> bool {
        self.plain && matches!(self.touch, Touch::Write)
    }
}

/// Exception class of HVC from AArch64.
pub const HYPERCALL: u64 = 0x16;
const INSTRUCTION_ABORT: u64 = 0x20;
const DATA_ABORT: u64 = 0x24;

/// Takes a value of ESR_EL2 apart.
#[must_use]
pub const fn decode(esr: u64) -> Cause {
    let class = esr >> 26 & 0x3f;
    match class {
        HYPERCALL => Cause::Hypercall,
        INSTRUCTION_ABORT | DATA_ABORT => {
            let walk = esr & 1 << 7 != 0;
            // CM: a cache maintenance instruction reports itself as a write.
            let maintenance = esr & 1 << 8 != 0;
            let write = esr & 1 << 6 != 0
                && (!maintenance || cfg!(feature = "planted-syndrome-maintenance"));
            let touch = if walk {
                Touch::Walk
            } else if class == INSTRUCTION_ABORT {
                Touch::Fetch
            } else if write {
                Touch::Write
            } else {
                Touch::Read
            };
            Cause::Fault(Fault {
                touch,
                status: (esr & 0x3f) as u8,
                plain: class == DATA_ABORT && !walk && esr & 1 << 24 != 0,
                size: 1 << (esr >> 22 & 3),
                maintenance: class == DATA_ABORT && maintenance,
            })
        }
        _ => Cause::Other(class as u8),
    }
}

/// Where a fault was: HPFAR_EL2 has the page, FAR_EL2 the place in it.
#[must_use]
pub const fn fault_address(hpfar: u64, far: u64) -> u64 {
    (hpfar & 0x0fff_ffff_fff0) << 8 | far & 0xfff
}

/// The page that PAR_EL1 names, and the place in it; nothing if the guest's own
/// tables have nothing there.
#[must_use]
pub const fn translated(par: u64, far: u64) -> Option<u64> {
    if par & 1 != 0 {
        None
    } else {
        Some(par & 0x000f_ffff_ffff_f000 | far & 0xfff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_late_launch_saw() {
        // A 64-bit load of a page that was taken out of the map: ISV, level 3.
        let Cause::Fault(fault) = decode(0x93c0_8007) else {
            panic!("a data abort is a fault");
        };
        assert_eq!(
            (fault.touch, fault.plain, fault.size),
            (Touch::Read, true, 8)
        );
        assert!(fault.is_translation() && !fault.is_permission());
        assert_eq!(decode(0x5a00_0000), Cause::Hypercall);
    }

    #[test]
    fn stores_and_what_is_none() {
        let store = 0x9200_0000 | 1 << 24 | 0b10 << 22 | 1 << 6 | 0x0f;
        let Cause::Fault(fault) = decode(store) else {
            panic!("a data abort is a fault");
        };
        assert!(fault.is_plain_store() && fault.is_permission());
        assert_eq!(fault.size, 4);
        // A store pair has no ISV; DC ZVA and other maintenance have CM; a
        // walker's write of the access flag has S1PTW.
        for esr in [store & !(1 << 24), store | 1 << 8, store | 1 << 7] {
            let Cause::Fault(fault) = decode(esr) else {
                panic!("a data abort is a fault");
            };
            assert!(!fault.is_plain_store(), "{esr:#x}");
        }
        assert_eq!(
            decode(0x8200_0006),
            Cause::Fault(Fault {
                touch: Touch::Fetch,
                status: 6,
                plain: false,
                size: 1,
                maintenance: false,
            })
        );
        assert_eq!(decode(0x5e00_0000), Cause::Other(0x17));
    }

    #[test]
    fn other_faults_are_told_apart() {
        for (status, size, conflict) in [
            (0x00, true, false),
            (0x30, false, true),
            (0x10, false, false),
        ] {
            let Cause::Fault(fault) = decode(0x9200_0000 | status) else {
                panic!("a data abort is a fault");
            };
            assert_eq!(
                (fault.is_address_size(), fault.is_conflict()),
                (size, conflict)
            );
            assert!(!fault.is_translation() && !fault.is_permission());
        }
        // DC CIVAC: moves nothing.
        let Cause::Fault(fault) = decode(0x9200_014f) else {
            panic!("a data abort is a fault");
        };
        assert!(fault.maintenance && !fault.is_plain_store());
    }

    #[test]
    fn a_translation_of_the_guest_is_an_address_or_nothing() {
        assert_eq!(
            translated(0xff00_0000_4012_3b80, 0x7f_1234_5678),
            Some(0x4012_3678)
        );
        assert_eq!(translated(0x809, 0x1234_5678), None);
    }

    #[test]
    fn the_address_is_put_together() {
        assert_eq!(
            fault_address(0x0040_1230, 0xffff_0000_dead_beef),
            0x4012_3eef
        );
    }
}
