// SPDX-License-Identifier: MIT OR Apache-2.0
//! Instructions that `aarch64-cpu` has no name for, and those that the order of
//! things is made of ([`crate::el2`]).
//!
//! All of them are for EL2. On another machine than ARM64, where only what
//! needs no machine is tested, they do nothing.
#![cfg_attr(
    target_arch = "aarch64",
    expect(unsafe_code, reason = "these are instructions")
)]

use aarch64_cpu::registers::CNTVCT_EL0;
use mercury_hal::clock::Clock;
use tock_registers::interfaces::Readable;

/// The virtual counter: Linux's own clock.
#[derive(Debug)]
pub struct VirtualCounter;

impl Clock for VirtualCounter {
    fn ticks() -> u64 {
        CNTVCT_EL0.get()
    }
}

macro_rules! instructions {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])*
        #[inline]
        pub fn $name() {
            #[cfg(target_arch = "aarch64")]
            // SAFETY: maintenance makes CPUs forget copies of memory and waits
            // for them; nothing that anybody can see changes.
            unsafe {
                core::arch::asm!($text, options(nostack));
            }
        })*
    };
}

instructions! {
    /// What was written to registers is in force.
    isb = "isb";
    /// This CPU's accesses and maintenance are complete for itself.
    dsb_nsh = "dsb nsh";
    /// They are for every CPU.
    dsb_ish = "dsb ish";
    /// They are for everybody, caches past which somebody reads included.
    dsb_sy = "dsb sy";
    /// This CPU's stores are seen by every CPU's walks.
    dsb_ishst = "dsb ishst";
    /// Stores so far are seen before later ones.
    dmb_ishst = "dmb ishst";
    /// This CPU is to forget its translations of this VMID.
    tlbi_vmalls12e1 = "tlbi vmalls12e1";
    /// Every CPU is.
    tlbi_vmalls12e1is = "tlbi vmalls12e1is";
    /// Every CPU is to forget all translations of EL1 and EL0.
    tlbi_alle1is = "tlbi alle1is";
    /// This CPU is to forget all translations of EL2's own.
    tlbi_alle2 = "tlbi alle2";
    /// Instruction caches of all CPUs are to be empty.
    ic_ialluis = "ic ialluis";
    /// Whoever waits for an event goes on.
    sev = "sev";
}

/// All CPUs forget what was fetched and translated of a memory that is another now.
/// What was stored has been cleaned before (Arm ARM B2.7.4.2, D8.17).
pub fn forget_all_memory() {
    dsb_ish();
    tlbi_alle1is();
    ic_ialluis();
    dsb_ish();
    isb();
}

/// This CPU is to forget EL2's translation of a page.
pub fn tlbi_vae2(address: u64) {
    let page = address >> 12 & 0xfff_ffff_ffff;
    #[cfg(target_arch = "aarch64")]
    // SAFETY: what is forgotten is walked to again.
    unsafe {
        core::arch::asm!("tlbi vae2, {0}", in(reg) page, options(nostack));
    }
    #[cfg(not(target_arch = "aarch64"))]
    let _ = page;
}

/// An interrupt between CPUs for all CPUs but this one (ICC_SGI1R_EL1; Arm IHI 0069,
/// 12.2). Only where the GIC is a v3 with its registers in force, which the kernel's use
/// of it shows.
pub fn send_to_all_others(interrupt: u64) {
    const ALL_BUT_THIS: u64 = 1 << 40;
    let value = ALL_BUT_THIS | (interrupt & 0xf) << 24;
    dsb_ish();
    #[cfg(target_arch = "aarch64")]
    // SAFETY: other CPUs' kernels take it and find that there is nothing to do.
    unsafe {
        core::arch::asm!("msr s3_0_c12_c11_5, {0}", in(reg) value, options(nostack));
    }
    #[cfg(not(target_arch = "aarch64"))]
    let _ = value;
    isb();
}

/// Bytes of the smallest line of all data caches (CTR_EL0.DminLine is in words).
#[must_use]
pub fn smallest_line() -> usize {
    #[cfg(target_arch = "aarch64")]
    let kinds: u64 = {
        let kinds;
        // SAFETY: reads CTR_EL0.
        unsafe {
            core::arch::asm!("mrs {0}, ctr_el0", out(reg) kinds, options(nomem, nostack));
        }
        kinds
    };
    #[cfg(not(target_arch = "aarch64"))]
    let kinds: u64 = 4 << 16;
    4 << (kinds >> 16 & 0xf)
}

/// A line of memory is clean to the point of coherency, and in no cache.
pub fn clean(address: u64) {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: maintenance of a line changes nothing that anybody sees through caches.
    unsafe {
        core::arch::asm!("dc civac, {0}", in(reg) address, options(nostack));
    }
    #[cfg(not(target_arch = "aarch64"))]
    let _ = address;
}

/// Asks stage 1 of the guest, as the kernel reads, what lies behind a virtual
/// address: PAR_EL1 (Arm ARM D24.2.132). The guest's own PAR_EL1 is left as it
/// was.
#[must_use]
pub fn guest_translation(address: u64) -> u64 {
    #[cfg(target_arch = "aarch64")]
    {
        let (kept, found): (u64, u64);
        // SAFETY: reads PAR_EL1.
        unsafe {
            core::arch::asm!("mrs {0}, par_el1", out(reg) kept, options(nomem, nostack));
        }
        // SAFETY: translates, and puts back what it changes.
        unsafe {
            core::arch::asm!(
                "at s1e1r, {address}",
                "isb",
                "mrs {found}, par_el1",
                "msr par_el1, {kept}",
                address = in(reg) address,
                found = out(reg) found,
                kept = in(reg) kept,
                options(nostack)
            );
        }
        found
    }
    #[cfg(not(target_arch = "aarch64"))]
    {
        // Nobody there: a translation that failed.
        address | 1
    }
}

/// The end: asks the firmware for a reset if it is asked by SMC, or waits for a
/// watchdog.
pub fn reset(by_smc: bool) -> ! {
    loop {
        #[cfg(target_arch = "aarch64")]
        if by_smc {
            // SAFETY: PSCI SYSTEM_RESET (Arm DEN0022, 5.10); comes back only
            // where there is none.
            unsafe {
                core::arch::asm!("smc #0", in("x0") 0x8400_0009_u64, options(nostack));
            }
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: waits.
        unsafe {
            core::arch::asm!("wfe", options(nostack));
        }
        #[cfg(not(target_arch = "aarch64"))]
        let _ = by_smc;
    }
}
