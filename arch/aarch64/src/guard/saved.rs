// SPDX-License-Identifier: MIT OR Apache-2.0
//! A CPU written down: all that EL1 and EL0 have of it.
//!
//! While a guest runs its registers are the CPU's own, EL2 shadows none. So the CPU that
//! takes a checkpoint writes them down one by one, and after a roll-back they are written
//! again, whatever the kernel made of them since. Not here, because Linux has put them
//! into memory on its way to the quiet point, or sets them anew on its way back: vector
//! registers (its notifiers of CPU power management), the GIC's CPU interface, counters of
//! performance, breakpoints. Memory tagging has registers of its own that are not here
//! either.
//!
//! The keys of pointer authentication are those of the task that runs, which is another
//! when the machine is rolled back: where the CPU has keys, they are here.
#![cfg_attr(
    target_arch = "aarch64",
    expect(unsafe_code, reason = "reads and writes EL1's registers")
)]

/// The words in front: X0 to X30, ELR_EL2, SPSR_EL2.
pub const FIRST: usize = 33;
/// How many words a CPU has at most, those in front included.
pub const WORDS: usize = FIRST + REGISTERS + KEYS;

macro_rules! registers {
    ($count:ident, $read:ident, $write:ident: $($index:literal $name:literal)*) => {
        const $count: usize = [$($name),*].len();

        fn $read(index: usize) -> u64 {
            match index {
                $($index => {
                    #[cfg(target_arch = "aarch64")]
                    {
                        let value: u64;
                        // SAFETY: the register exists (keys: as the caller has found),
                        // and reading it changes nothing.
                        unsafe {
                            core::arch::asm!(
                                concat!("mrs {0}, ", $name),
                                out(reg) value,
                                options(nomem, nostack, preserves_flags)
                            );
                        }
                        value
                    }
                    #[cfg(not(target_arch = "aarch64"))]
                    0
                })*
                _ => 0,
            }
        }

        fn $write(index: usize, value: u64) {
            match index {
                $($index => {
                    #[cfg(target_arch = "aarch64")]
                    // SAFETY: EL1's, in force when EL2 is left; the value is one that EL1
                    // had.
                    unsafe {
                        core::arch::asm!(
                            concat!("msr ", $name, ", {0}"),
                            in(reg) value,
                            options(nomem, nostack, preserves_flags)
                        );
                    }
                    #[cfg(not(target_arch = "aarch64"))]
                    let _ = value;
                })*
                _ => {}
            }
        }
    };
}

// TCR_EL1 comes first: see `put_back`.
registers! { REGISTERS, read_register, write_register:
    0 "tcr_el1"
    1 "ttbr0_el1"
    2 "ttbr1_el1"
    3 "mair_el1"
    4 "amair_el1"
    5 "sctlr_el1"
    6 "actlr_el1"
    7 "cpacr_el1"
    8 "vbar_el1"
    9 "contextidr_el1"
    10 "tpidr_el0"
    11 "tpidrro_el0"
    12 "tpidr_el1"
    13 "sp_el0"
    14 "sp_el1"
    15 "elr_el1"
    16 "spsr_el1"
    17 "esr_el1"
    18 "far_el1"
    19 "afsr0_el1"
    20 "afsr1_el1"
    21 "par_el1"
    22 "cntkctl_el1"
    23 "csselr_el1"
    24 "mdscr_el1"
    25 "cntv_cval_el0"
    26 "cntv_ctl_el0"
    27 "cntp_cval_el0"
    28 "cntp_ctl_el0"
}

// APIA, APIB, APDA, APDB, APGA, lower and upper half.
registers! { KEYS, read_key, write_key:
    0 "s3_0_c2_c1_0"
    1 "s3_0_c2_c1_1"
    2 "s3_0_c2_c1_2"
    3 "s3_0_c2_c1_3"
    4 "s3_0_c2_c2_0"
    5 "s3_0_c2_c2_1"
    6 "s3_0_c2_c2_2"
    7 "s3_0_c2_c2_3"
    8 "s3_0_c2_c3_0"
    9 "s3_0_c2_c3_1"
}

/// TCR_EL1: no walk by TTBR0, none by TTBR1.
const NO_WALKS: u64 = 1 << 7 | 1 << 23;

/// Whether the CPU has keys: ID_AA64ISAR1_EL1.APA, API, GPA, GPI, or
/// ID_AA64ISAR2_EL1.APA3, GPA3 (Arm ARM D24.2).
fn has_keys() -> bool {
    #[cfg(target_arch = "aarch64")]
    {
        let (first, second): (u64, u64);
        // SAFETY: reads an ID register.
        unsafe {
            core::arch::asm!("mrs {0}, id_aa64isar1_el1", out(reg) first,
                options(nomem, nostack, preserves_flags));
        }
        // SAFETY: as above; where it has no name yet it reads as 0.
        unsafe {
            core::arch::asm!("mrs {0}, s3_0_c0_c6_2", out(reg) second,
                options(nomem, nostack, preserves_flags));
        }
        first & (0xff << 4 | 0xff << 24) != 0 || second & 0xff << 8 != 0
    }
    #[cfg(not(target_arch = "aarch64"))]
    false
}

/// Writes this CPU's registers of EL1 and EL0 down, behind the words in front.
pub fn write_down(mut write: impl FnMut(usize, u64)) {
    for index in 0..REGISTERS {
        write(FIRST + index, read_register(index));
    }
    if has_keys() {
        for index in 0..KEYS {
            write(FIRST + REGISTERS + index, read_key(index));
        }
    }
}

/// Puts them back. Some CPUs begin walks of EL1 while they are at EL2 (see
/// [`crate::guest::turn_on`]); none may meet half of the new registers, so there are no
/// walks until all are in force.
pub fn put_back(mut read: impl FnMut(usize) -> u64) {
    let control = read(FIRST);
    write_register(0, control | NO_WALKS);
    crate::instruction::isb();
    for index in 1..REGISTERS {
        write_register(index, read(FIRST + index));
    }
    if has_keys() {
        for index in 0..KEYS {
            write_key(index, read(FIRST + REGISTERS + index));
        }
    }
    crate::instruction::isb();
    write_register(0, control);
    crate::instruction::isb();
}

const _: () = assert!(WORDS <= mercury_hal::pages::WORDS);
