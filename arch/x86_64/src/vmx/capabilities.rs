// SPDX-License-Identifier: MIT OR Apache-2.0
//! What this CPU's VMX can do, and the controls that follow (SDM volume 3,
//! appendix A).
//!
//! Each capability register says which bits of a control must be 1 (low half)
//! and which may be (high half). The TRUE registers are the ones that count: the
//! old ones insist on exits for CR3, which would cost a guest dearly, so a CPU
//! without the TRUE ones is refused.
//!
//! What we want is little, because nothing is to change for the guest:
//!
//! | control | why |
//! | --- | --- |
//! | MSR bitmaps | without, every access exits |
//! | EPT, unrestricted guest | the nested map; and real mode, for INIT and SIPI |
//! | VPID, where there is one | entries and exits need not drop the TLB |
//! | RDTSCP, INVPCID, XSAVES, user wait, PCONFIG | without, the instruction would be undefined: each must be settable where CPUID names the instruction |
//! | 64-bit host, 64-bit guest | what is, is 64-bit |
//! | save and load DR7, DEBUGCTL, PAT, EFER | what the image has there is not the guest's |
//!
//! Interrupts and NMIs do not exit, nor do CR3, CR8, DR, HLT, RDTSC, I/O.

use x86::vmx::vmcs::control::EntryControls;
use x86::vmx::vmcs::control::ExitControls;
use x86::vmx::vmcs::control::PrimaryControls;
use x86::vmx::vmcs::control::SecondaryControls;

use crate::instruction;

/// The capability registers, raw.
#[derive(Clone, Copy, Debug, Default)]
pub struct Capabilities {
    /// IA32_VMX_BASIC.
    pub basic: u64,
    /// IA32_VMX_TRUE_PINBASED_CTLS.
    pub pin: u64,
    /// IA32_VMX_TRUE_PROCBASED_CTLS.
    pub primary: u64,
    /// IA32_VMX_PROCBASED_CTLS2.
    pub secondary: u64,
    /// IA32_VMX_TRUE_EXIT_CTLS.
    pub exit: u64,
    /// IA32_VMX_TRUE_ENTRY_CTLS.
    pub entry: u64,
    /// IA32_VMX_EPT_VPID_CAP.
    pub ept: u64,
    /// IA32_VMX_CR0_FIXED0: bits that must be 1.
    pub cr0_ones: u64,
    /// IA32_VMX_CR4_FIXED0: bits that must be 1.
    pub cr4_ones: u64,
    /// IA32_VMX_CR4_FIXED1: bits that may be 1.
    pub cr4_may: u64,
}

/// Instructions that a control must allow where the CPU has them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Features {
    /// RDTSCP, RDPID.
    pub rdtscp: bool,
    /// INVPCID.
    pub invpcid: bool,
    /// XSAVES, XRSTORS.
    pub xsaves: bool,
    /// TPAUSE, UMONITOR, UMWAIT.
    pub user_wait: bool,
    /// PCONFIG.
    pub pconfig: bool,
}

/// Values for the five control fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Controls {
    /// Pin-based.
    pub pin: u32,
    /// Primary processor-based.
    pub primary: u32,
    /// Secondary processor-based.
    pub secondary: u32,
    /// VM exit.
    pub exit: u32,
    /// VM entry.
    pub entry: u32,
}

/// Bits of the secondary controls that the `x86` crate does not name.
const USER_WAIT: u32 = 1 << 26;
/// PCONFIG is not undefined.
pub const PCONFIG: u32 = 1 << 27;

/// What the default1 class without CR3 exits insists on (A.3.1, A.3.2, A.4, A.5):
/// reserved bits, and for exits and entries the debug controls.
const PIN_ONES: u32 = 0x16;
const PRIMARY_ONES: u32 = 0x0400_6172;
const EXIT_ONES: u32 = 0x0003_6dff;
const ENTRY_ONES: u32 = 0x11ff;

/// A control's value: what is required, what of the optional is possible, and
/// what the CPU insists on, which must be among what we know to be harmless.
#[must_use]
pub const fn adjust(required: u32, optional: u32, harmless: u32, register: u64) -> Option<u32> {
    let (ones, may) = (register as u32, (register >> 32) as u32);
    if required & !may != 0 || ones & !(harmless | required) != 0 {
        return None;
    }
    Some((required | optional & may) | ones)
}

/// Whether a CPU has the TRUE registers (bit 55 of VMX_BASIC, A.1) and secondary
/// controls (bit 63 of the primary ones' register, A.3.2): the others do not exist
/// without.
const fn describes(basic: u64, primary: u64) -> bool {
    basic & 1 << 55 != 0 && primary >> 63 != 0
}

impl Features {
    /// From CPUID of this CPU.
    #[must_use]
    pub fn read() -> Self {
        let leaf = |number, subleaf| {
            if instruction::identify(number & 0x8000_0000, 0)[0] >= number {
                instruction::identify(number, subleaf)
            } else {
                [0; 4]
            }
        };
        let [_, seven_b, seven_c, seven_d] = leaf(7, 0);
        Self {
            rdtscp: leaf(0x8000_0001, 0)[3] & 1 << 27 != 0 || seven_c & 1 << 22 != 0,
            invpcid: seven_b & 1 << 10 != 0,
            xsaves: leaf(0xd, 1)[0] & 1 << 3 != 0,
            user_wait: seven_c & 1 << 5 != 0,
            pconfig: seven_d & 1 << 18 != 0,
        }
    }
}

impl Capabilities {
    /// Reads them; nothing on a CPU without VMX, or without the TRUE registers
    /// or secondary controls.
    #[must_use]
    pub fn read() -> Option<Self> {
        const VMX: u32 = 1 << 5;
        if instruction::identify(1, 0)[2] & VMX == 0 {
            return None;
        }
        let read = instruction::read_known_msr;
        let basic = read(x86::msr::IA32_VMX_BASIC);
        if !describes(basic, read(x86::msr::IA32_VMX_PROCBASED_CTLS)) {
            return None;
        }
        let secondary = read(x86::msr::IA32_VMX_PROCBASED_CTLS2);
        let ept_or_vpid = (SecondaryControls::ENABLE_EPT | SecondaryControls::ENABLE_VPID).bits();
        Some(Self {
            basic,
            pin: read(x86::msr::IA32_VMX_TRUE_PINBASED_CTLS),
            primary: read(x86::msr::IA32_VMX_TRUE_PROCBASED_CTLS),
            secondary,
            exit: read(x86::msr::IA32_VMX_TRUE_EXIT_CTLS),
            entry: read(x86::msr::IA32_VMX_TRUE_ENTRY_CTLS),
            ept: if (secondary >> 32) as u32 & ept_or_vpid != 0 {
                read(x86::msr::IA32_VMX_EPT_VPID_CAP)
            } else {
                0
            },
            cr0_ones: read(x86::msr::IA32_VMX_CR0_FIXED0),
            cr4_ones: read(x86::msr::IA32_VMX_CR4_FIXED0),
            cr4_may: read(x86::msr::IA32_VMX_CR4_FIXED1),
        })
    }

    /// What the first word of a VMXON region and of a VMCS must be.
    #[must_use]
    pub const fn revision(self) -> u64 {
        self.basic & 0x7fff_ffff
    }

    /// EPT with five levels.
    #[must_use]
    pub const fn five_levels(self) -> bool {
        self.ept & 1 << 7 != 0
    }

    /// EPT with write-back tables of four levels, 2-MiB leaves and INVEPT for
    /// one context: what every CPU with unrestricted guest has.
    #[must_use]
    pub const fn ept_usable(self) -> bool {
        const NEEDED: u64 = 1 << 6 | 1 << 14 | 1 << 16 | 1 << 20 | 1 << 25;
        self.ept & NEEDED == NEEDED
    }

    /// The controls, if the CPU can do what is required.
    #[must_use]
    pub fn controls(self, features: Features) -> Option<Controls> {
        let mut needed = SecondaryControls::ENABLE_EPT | SecondaryControls::UNRESTRICTED_GUEST;
        needed.set(SecondaryControls::ENABLE_RDTSCP, features.rdtscp);
        needed.set(SecondaryControls::ENABLE_INVPCID, features.invpcid);
        needed.set(SecondaryControls::ENABLE_XSAVES_XRSTORS, features.xsaves);
        let more =
            u32::from(features.user_wait) * USER_WAIT + u32::from(features.pconfig) * PCONFIG;
        // VPID is of use only with INVVPID.
        let vpid = if self.ept & (1 << 32) != 0 {
            SecondaryControls::ENABLE_VPID.bits()
        } else {
            0
        };
        let primary = PrimaryControls::USE_MSR_BITMAPS | PrimaryControls::SECONDARY_CONTROLS;
        let exit = ExitControls::HOST_ADDRESS_SPACE_SIZE
            | ExitControls::SAVE_DEBUG_CONTROLS
            | ExitControls::SAVE_IA32_PAT
            | ExitControls::LOAD_IA32_PAT
            | ExitControls::SAVE_IA32_EFER
            | ExitControls::LOAD_IA32_EFER;
        let entry = EntryControls::IA32E_MODE_GUEST
            | EntryControls::LOAD_DEBUG_CONTROLS
            | EntryControls::LOAD_IA32_PAT
            | EntryControls::LOAD_IA32_EFER;
        Some(Controls {
            pin: adjust(0, 0, PIN_ONES, self.pin)?,
            primary: adjust(primary.bits(), 0, PRIMARY_ONES, self.primary)?,
            secondary: adjust(needed.bits() | more, vpid, 0, self.secondary)?,
            exit: adjust(exit.bits(), 0, EXIT_ONES, self.exit)?,
            entry: adjust(entry.bits(), 0, ENTRY_ONES, self.entry)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Bochs 2.7 and 3.0 have it for corei7_skylake_x.
    fn skylake() -> Capabilities {
        Capabilities {
            basic: 0x00d8_1000_0000_002b,
            pin: 0x0000_00ff_0000_0016,
            primary: 0xfff9_fffe_0400_6172,
            secondary: 0x0257_7fff_0000_0000,
            exit: 0x407f_ffff_0003_6dfb,
            entry: 0x0000_ffff_0000_11fb,
            ept: 0x0000_0f01_0633_4141,
            cr0_ones: 0x8000_0021,
            cr4_ones: 0x2000,
            cr4_may: 0x37_27ff,
        }
    }

    const ALL: Features = Features {
        rdtscp: true,
        invpcid: true,
        xsaves: true,
        user_wait: false,
        pconfig: false,
    };

    #[test]
    fn skylake_gets_its_controls() {
        let controls = skylake().controls(ALL).unwrap();
        assert_eq!(controls.pin, 0x16);
        assert_eq!(controls.primary, 0x0400_6172 | 1 << 28 | 1 << 31);
        let secondary = 1 << 1 | 1 << 3 | 1 << 5 | 1 << 7 | 1 << 12 | 1 << 20;
        assert_eq!(controls.secondary, secondary);
        assert_eq!(controls.exit, 0x0003_6dff | 1 << 9 | 0xf << 18);
        assert_eq!(controls.entry, 0x11ff | 1 << 9 | 1 << 14 | 1 << 15);
        assert!(skylake().ept_usable() && !skylake().five_levels());
        assert_eq!(skylake().revision(), 0x2b);
    }

    #[test]
    fn what_cpuid_offers_must_be_allowed() {
        let wait = Features {
            user_wait: true,
            ..ALL
        };
        assert_eq!(skylake().controls(wait), None);
        // Bit 12 (INVPCID) taken away.
        let without = Capabilities {
            secondary: 0x0257_6fff_0000_0000,
            ..skylake()
        };
        assert_eq!(without.controls(ALL), None);
        let plain = Features {
            invpcid: false,
            ..ALL
        };
        assert!(without.controls(plain).is_some());
    }

    #[test]
    fn later_instructions_are_allowed_where_cpuid_has_them() {
        let later = Features {
            user_wait: true,
            pconfig: true,
            ..ALL
        };
        // Bits 26 and 27.
        let allows = Capabilities {
            secondary: 0x0e57_7fff_0000_0000,
            ..skylake()
        };
        let secondary = allows.controls(later).unwrap().secondary;
        assert_eq!(
            secondary,
            1 << 26 | 1 << 27 | skylake().controls(ALL).unwrap().secondary
        );
        assert_eq!(allows.controls(ALL), skylake().controls(ALL));
        for one in [0x0a57_7fff_0000_0000, 0x0657_7fff_0000_0000] {
            let lacks = Capabilities {
                secondary: one,
                ..skylake()
            };
            assert_eq!(lacks.controls(later), None);
        }
    }

    #[test]
    fn a_cpu_without_the_true_registers_is_none_of_ours() {
        let (basic, primary) = (skylake().basic, skylake().primary);
        assert!(describes(basic, primary));
        assert!(!describes(basic & !(1 << 55), primary));
        assert!(!describes(basic, primary & !(1 << 63)));
    }

    #[test]
    fn a_cpu_that_insists_on_cr3_exits_is_refused() {
        let old = Capabilities {
            primary: 0xfff9_fffe_0401_e172,
            ..skylake()
        };
        assert_eq!(old.controls(ALL), None);
    }

    #[test]
    fn without_unrestricted_guest_there_are_no_controls() {
        // corei5_lynnfield: EPT and VPID, but bit 7 is not allowed.
        let lynnfield = Capabilities {
            secondary: 0x0000_007f_0000_0000,
            ..skylake()
        };
        assert_eq!(lynnfield.controls(Features::default()), None);
    }

    #[test]
    fn what_is_optional_follows_the_cpu() {
        assert_eq!(adjust(1, 6, 0, 0x3_0000_0000), Some(3));
        assert_eq!(adjust(1, 6, 8, 0xb_0000_0008), Some(0xb));
        assert_eq!(adjust(4, 0, 0, 0x3_0000_0000), None);
        assert_eq!(adjust(0, 0, 0, 0x3_0000_0001), None);
        // Without INVVPID no VPID.
        let bare = Capabilities {
            ept: 0x0633_4141,
            ..skylake()
        };
        assert_eq!(bare.controls(ALL).unwrap().secondary & 1 << 5, 0);
    }
}
