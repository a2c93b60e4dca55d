// SPDX-License-Identifier: MIT OR Apache-2.0
//! Single instructions that Rust has no word for.
//!
//! Each wrapper is one instruction. Those that may fault for a reason that the
//! guest is answerable for come in a `try_` form, whose fault lands in the
//! exception table ([`crate::exception`]) and comes back as `None` or `false`.
#![expect(unsafe_code, reason = "privileged instructions exist only as assembly")]

use core::arch::asm;

use mercury_hal::clock::Clock;

/// The time-stamp counter.
#[derive(Debug)]
pub struct TimeStampCounter;

impl Clock for TimeStampCounter {
    fn ticks() -> u64 {
        // SAFETY: RDTSC has no precondition at privilege level 0.
        unsafe { core::arch::x86_64::_rdtsc() }
    }
}

/// Reads a model-specific register.
///
/// # Safety
/// The register exists on this CPU, and reading it has no side effect.
#[must_use]
pub unsafe fn read_msr(register: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: the caller vouches for the register.
    unsafe {
        asm!("rdmsr", in("ecx") register, out("eax") low, out("edx") high,
            options(nomem, nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// Writes a model-specific register.
///
/// # Safety
/// The register exists, and with this value in it the image can go on.
pub unsafe fn write_msr(register: u32, value: u64) {
    let (low, high) = (value as u32, (value >> 32) as u32);
    // SAFETY: the caller vouches for register and value.
    unsafe {
        asm!("wrmsr", in("ecx") register, in("eax") low, in("edx") high,
            options(nostack, preserves_flags));
    }
}

/// One instruction that may fault, under the exception table
/// ([`crate::exception`]): whether it did not.
macro_rules! unless_it_faults {
    ($instruction:literal, $($operand:tt)*) => {{
        let fault: u32;
        // SAFETY: a fault at label 2 continues at label 3 with `fault` still 1;
        // the function around vouches for what the instruction does.
        unsafe {
            asm!(
                "mov {fault:e}, 1",
                concat!("2: ", $instruction),
                "xor {fault:e}, {fault:e}",
                "3:",
                ".pushsection .exception_table, \"a\"",
                ".quad 2b, 3b",
                ".popsection",
                fault = out(reg) fault,
                $($operand)*
            );
        }
        fault == 0
    }};
}

/// Reads a register that the guest named; `None` if the CPU faults.
///
/// # Safety
/// The exception table is in force (IDT of [`crate::exception`]).
#[must_use]
pub unsafe fn try_read_msr(register: u32) -> Option<u64> {
    let (low, high): (u32, u32);
    let done = unless_it_faults!("rdmsr",
        in("ecx") register, lateout("eax") low, lateout("edx") high,
        options(nomem, nostack));
    done.then_some(u64::from(high) << 32 | u64::from(low))
}

/// Writes a register that the guest named; `false` if the CPU faults.
///
/// # Safety
/// The exception table is in force, and the image can go on whatever the
/// register does with the value.
#[must_use]
pub unsafe fn try_write_msr(register: u32, value: u64) -> bool {
    let (low, high) = (value as u32, (value >> 32) as u32);
    unless_it_faults!("wrmsr",
        in("ecx") register, in("eax") low, in("edx") high, options(nostack))
}

macro_rules! control_register {
    ($read:ident, $name:literal) => {
        #[doc = concat!("Reads ", $name, ".")]
        #[must_use]
        pub fn $read() -> u64 {
            let value;
            // SAFETY: reading has no side effect at privilege level 0.
            unsafe {
                asm!(concat!("mov {}, ", $name), out(reg) value,
                    options(nomem, nostack, preserves_flags));
            }
            value
        }
    };
    ($read:ident, $write:ident, $name:literal) => {
        control_register!($read, $name);
        #[doc = concat!("Writes ", $name, ".")]
        ///
        /// # Safety
        /// The image can go on with this value in the register.
        pub unsafe fn $write(value: u64) {
            // SAFETY: the caller vouches for the value.
            unsafe {
                asm!(concat!("mov ", $name, ", {}"), in(reg) value,
                    options(nostack, preserves_flags));
            }
        }
    };
}

control_register!(read_cr0, "cr0");
control_register!(read_cr2, write_cr2, "cr2");
control_register!(read_cr4, write_cr4, "cr4");
control_register!(read_cr8, "cr8");
control_register!(read_dr6, write_dr6, "dr6");
control_register!(read_dr7, write_dr7, "dr7");

/// Drops one page's cached translation.
pub fn invalidate_page(address: u64) {
    // SAFETY: dropping a cached translation never makes a mapped page wrong.
    unsafe {
        asm!("invlpg [{}]", in(reg) address, options(nostack, preserves_flags));
    }
}

/// STGI and CLGI: the moment in which an NMI that was held off is taken (APM 15.17).
///
/// # Safety
/// The image's IDT and GDT are loaded, interrupts are off, SVM is enabled.
pub unsafe fn let_nmi_in() {
    // SAFETY: the caller vouches for the tables.
    unsafe { asm!("stgi", "nop", "nop", "clgi", options(nostack)) };
}

/// STGI, for good: the CPU leaves the image's side of SVM.
///
/// # Safety
/// As [`let_nmi_in`], and nothing that comes of it is of anybody's concern.
pub unsafe fn set_global_interrupt_flag() {
    // SAFETY: the caller vouches for the tables.
    unsafe { asm!("stgi", "nop", "nop", options(nostack)) };
}

/// CLGI: back on the image's side.
///
/// # Safety
/// SVM is enabled.
pub unsafe fn clear_global_interrupt_flag() {
    // SAFETY: the caller vouches for SVM.
    unsafe { asm!("clgi", options(nostack)) };
}

/// STI and CLI: the moment in which one interrupt is taken. The IDT of
/// [`crate::exception`] has no gate for it, so it raises #GP (APM 8.2.14), and the
/// exception table says where to go on: all that has become of it is that it is in
/// service now.
///
/// # Safety
/// The exception table is in force, and interrupts are not held off by other means.
pub unsafe fn let_interrupt_in() {
    // SAFETY: the caller vouches for the table, which names each place at which the
    // interrupt may be taken.
    unsafe {
        asm!(
            "sti",
            "2: nop",
            "3: nop",
            "4: cli",
            ".pushsection .exception_table, \"a\"",
            ".quad 2b, 4b",
            ".quad 3b, 4b",
            ".quad 4b, 4b",
            ".popsection",
            options(nostack)
        );
    }
}

/// Halts until an NMI, INIT or SMI, with interrupts off.
pub fn halt() {
    // SAFETY: halting changes nothing.
    unsafe { asm!("hlt", options(nostack)) };
}

/// CPUID: EAX, EBX, ECX, EDX.
#[must_use]
pub fn identify(leaf: u32, subleaf: u32) -> [u32; 4] {
    let result = core::arch::x86_64::__cpuid_count(leaf, subleaf);
    [result.eax, result.ebx, result.ecx, result.edx]
}

/// VMLOAD: FS, GS, TR, LDTR, KERNEL_GS_BASE, STAR, LSTAR, CSTAR, SFMASK and
/// SYSENTER from a control block (APM 15.5.2).
///
/// # Safety
/// `control_block` is the host physical address of a control block whose save
/// area holds a state that this CPU can be in; SVM is enabled.
pub unsafe fn vmload(control_block: u64) {
    // SAFETY: the caller vouches for the control block.
    unsafe {
        asm!("vmload rax", in("rax") control_block, options(nostack, preserves_flags));
    }
}

/// VMSAVE: the reverse of [`vmload`].
///
/// # Safety
/// `control_block` is the host physical address of a control block that is
/// ours; SVM is enabled.
pub unsafe fn vmsave(control_block: u64) {
    // SAFETY: the caller vouches for the control block.
    unsafe {
        asm!("vmsave rax", in("rax") control_block, options(nostack, preserves_flags));
    }
}

/// Reads a register that is known to exist: a capability that CPUID names, or
/// one that says so itself.
#[must_use]
pub fn read_known_msr(register: u32) -> u64 {
    // SAFETY: what is read this way (capabilities, MTRRs) has no side effect,
    // and the callers have looked at CPUID first.
    unsafe { read_msr(register) }
}

/// XSETBV with what the guest named; `false` if the CPU faults.
///
/// # Safety
/// The exception table is in force, CR4.OSXSAVE is set, and the image uses none
/// of the state that the register governs.
#[must_use]
pub unsafe fn try_set_extended_control(register: u32, value: u64) -> bool {
    let (low, high) = (value as u32, (value >> 32) as u32);
    unless_it_faults!("xsetbv",
        in("ecx") register, in("eax") low, in("edx") high, options(nostack))
}

/// WBINVD.
pub fn write_back_caches() {
    // SAFETY: writing caches back changes no memory.
    unsafe { asm!("wbinvd", options(nostack, preserves_flags)) };
}

/// The page attribute table, a register that every CPU in long mode has.
#[must_use]
pub fn page_attributes() -> u64 {
    // SAFETY: IA32_PAT exists wherever long mode does and reads without effect.
    unsafe { read_msr(x86::msr::IA32_PAT) }
}
