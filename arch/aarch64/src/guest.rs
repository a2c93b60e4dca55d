// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stage 2 on, and off again.
//!
//! That is all that makes a guest of a kernel at EL1: its own registers, its
//! interrupts and its timers are the machine's before, during and after. Three
//! registers change. VTTBR_EL2 gets the map's root and keeps the VMID that was
//! found: Linux's broadcast invalidations go by the VMID of the CPU that sends
//! them, and while CPUs go in one after another those that are in and those
//! that are not must hear each other. HCR_EL2 gets VM and keeps every other bit
//! (pointer authentication, memory tagging and much else hang on them).
//! VTCR_EL2 is nothing before stage 2 is on, and is set as a whole: after a
//! reset its value is unknown (Arm ARM D24.2.199).

use aarch64_cpu::registers::HCR_EL2;
use aarch64_cpu::registers::VTCR_EL2;
use aarch64_cpu::registers::VTTBR_EL2;
use mercury_hal::addr::HostPhysical;
use mercury_hal::error::Error;
use tock_registers::interfaces::Readable;
use tock_registers::interfaces::Writeable;

use crate::area::Area;
use crate::area::Found;
use crate::el2::El2;
use crate::el2::ThisCpu;
use crate::mutant;
use crate::mutant::Mutant;

const VM: u64 = 1 << 0;
const PTW: u64 = 1 << 2;
const DC: u64 = 1 << 12;
const TGE: u64 = 1 << 27;
const E2H: u64 = 1 << 34;
const FWB: u64 = 1 << 46;
/// VTTBR_EL2.VMID.
const VMID: u64 = 0xffff << 48;

/// Whether EL2 is as Linux leaves it for whoever wants it.
///
/// # Errors
/// [`Error::ExtensionTaken`] if somebody's stage 2 is on; [`Error::Unsupported`]
/// if EL2 hosts a kernel, or changes what stage 2 means.
pub const fn judge(hcr: u64) -> Result<(), Error> {
    if hcr & VM != 0 {
        return Err(Error::ExtensionTaken);
    }
    if hcr & (E2H | TGE | DC | FWB | PTW) != 0 {
        return Err(Error::Unsupported);
    }
    Ok(())
}

/// Notes the three registers.
///
/// # Errors
/// As [`judge`].
pub fn note(found: &mut Found) -> Result<(), Error> {
    let hcr = HCR_EL2.get();
    judge(hcr)?;
    found.hcr = hcr;
    found.vtcr = VTCR_EL2.get();
    found.vttbr = VTTBR_EL2.get();
    Ok(())
}

/// This CPU goes on beneath the map.
pub fn begin<L>(area: &Area<L>, root: HostPhysical, vtcr: u64) {
    turn_on(&ThisCpu, &area.found, root, vtcr);
    if mutant::active(area.mutant, Mutant::CounterOffset) {
        aarch64_cpu::registers::CNTVOFF_EL2.set(1 << 32);
    }
}

/// This CPU goes on without it.
pub fn end<L>(area: &Area<L>) {
    turn_off(&ThisCpu, &area.found);
}

/// Stage 2 is on when the guest runs.
///
/// A walk that the CPU began at EL1 by itself may still be under way, and reads
/// these registers when it likes (Arm ARM D8.1.5); some CPUs also begin walks
/// of EL1 at EL2 (errata 1165522, 1319367, 1319537 and 1530923, of A76, A57,
/// A72 and A55). None may meet HCR_EL2.VM with the root that was found. So the
/// new root is in force first (ISB), then walks that may have seen the old one
/// are waited for and tables that this CPU has just filled are seen by its own
/// (DSB), and only then is there a stage 2. What was walked without it is
/// forgotten when no walk without it can begin any more (ISB, TLBI, DSB).
pub fn turn_on(cpu: &impl El2, found: &Found, root: HostPhysical, vtcr: u64) {
    cpu.set_vtcr(vtcr);
    cpu.set_vttbr(root.0 | found.vttbr & VMID);
    cpu.isb();
    cpu.dsb_nsh();
    cpu.set_hcr(found.hcr | VM);
    cpu.isb();
    cpu.tlbi_vmalls12e1();
    cpu.dsb_nsh();
}

/// Stage 2 is off when the kernel runs.
///
/// The same the other way round: the old root comes back only when no walk is
/// under way that could take it for a table.
pub fn turn_off(cpu: &impl El2, found: &Found) {
    cpu.set_hcr(found.hcr);
    cpu.isb();
    cpu.tlbi_vmalls12e1();
    cpu.dsb_nsh();
    cpu.set_vtcr(found.vtcr);
    cpu.set_vttbr(found.vttbr);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn el2_as_linux_leaves_it_is_free() {
        // As found on a Cortex-A72, and on `max` with pointer authentication.
        for hcr in [0x8000_0000, 0x300_8000_0000] {
            assert_eq!(judge(hcr), Ok(()));
        }
    }

    #[test]
    fn what_is_taken_or_strange_is_not() {
        assert_eq!(judge(0x8000_0001), Err(Error::ExtensionTaken));
        for bit in [E2H, TGE, DC, FWB, PTW] {
            assert_eq!(judge(0x8000_0000 | bit), Err(Error::Unsupported));
        }
    }
}
