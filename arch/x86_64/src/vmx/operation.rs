// SPDX-License-Identifier: MIT OR Apache-2.0
//! Into VMX operation and out of it (SDM volume 3, 23.6 to 23.8, 30.3).
#![expect(unsafe_code, reason = "VMXON, VMXOFF, INVEPT and what goes with them")]

use core::arch::asm;

use mercury_hal::error::Error;
use x86::bits64::vmx;

use super::capabilities::Capabilities;
use crate::instruction;

/// CR4.VMXE.
pub const CR4_VMXE: u64 = 1 << 13;
/// FEATURE_CONTROL: bits cannot change any more.
const LOCK: u64 = 1;
/// FEATURE_CONTROL: VMXON is allowed outside SMX.
const ALLOWED: u64 = 1 << 2;

/// What FEATURE_CONTROL has to become, if anything.
///
/// # Errors
/// [`Error::Unsupported`] if it is locked without VMX outside SMX.
pub const fn wanted(found: u64) -> Result<Option<u64>, Error> {
    if found & LOCK == 0 {
        Ok(Some(found | LOCK | ALLOWED))
    } else if found & ALLOWED == 0 {
        Err(Error::Unsupported)
    } else {
        Ok(None)
    }
}

/// Makes sure that VMXON is allowed: locks FEATURE_CONTROL where firmware has
/// left it open, which nothing but a reset undoes. Says whether it did.
///
/// # Errors
/// [`Error::Unsupported`] if it is locked without.
pub fn allow() -> Result<bool, Error> {
    let read = || instruction::read_known_msr(x86::msr::IA32_FEATURE_CONTROL);
    let Some(value) = wanted(read())? else {
        return Ok(false);
    };
    // SAFETY: the register exists where VMX does, and is open.
    unsafe { instruction::write_msr(x86::msr::IA32_FEATURE_CONTROL, value) };
    wanted(read()).map(|_| true)
}

/// Enters VMX operation and makes the VMCS current and clear.
///
/// # Errors
/// [`Error::EntryRefused`]; VMX operation is left again.
///
/// # Safety
/// Both regions are frames of this CPU's own, physical, that begin with the
/// revision; the CPU is not in VMX operation.
pub unsafe fn begin(capabilities: Capabilities, region: u64, vmcs: u64) -> Result<(), Error> {
    let cr0 = instruction::read_cr0();
    if cr0 & capabilities.cr0_ones != capabilities.cr0_ones {
        return Err(Error::Unsupported);
    }
    // SAFETY: VMXE may be set where VMX exists; the way out sets the kernel's.
    unsafe { instruction::write_cr4(instruction::read_cr4() | capabilities.cr4_ones) };
    // SAFETY: the caller vouches for the region.
    if unsafe { vmx::vmxon(region) }.is_err() {
        return Err(Error::EntryRefused);
    }
    // SAFETY: as above, for the VMCS.
    let cleared = unsafe { vmx::vmclear(vmcs) };
    // SAFETY: as above.
    let current = cleared.and_then(|()| unsafe { vmx::vmptrld(vmcs) });
    if current.is_err() {
        // SAFETY: the CPU is in VMX operation since above.
        unsafe { end(vmcs) };
        return Err(Error::EntryRefused);
    }
    Ok(())
}

/// Leaves VMX operation.
///
/// # Safety
/// The CPU is in VMX operation, and no field of the VMCS is needed any more.
pub unsafe fn end(vmcs: u64) {
    // SAFETY: the VMCS is this CPU's; clearing writes it back.
    let _ = unsafe { vmx::vmclear(vmcs) };
    // SAFETY: the caller is done with it.
    let _ = unsafe { vmx::vmxoff() };
}

/// Drops what the CPU has cached of the nested map.
pub fn forget(pointer: u64) {
    const SINGLE_CONTEXT: u64 = 1;
    let descriptor = [pointer, 0];
    // SAFETY: dropping cached translations makes none wrong; the type is one
    // that the capabilities promise.
    unsafe {
        asm!("invept {kind}, [{at}]", kind = in(reg) SINGLE_CONTEXT,
            at = in(reg) &raw const descriptor, options(nostack));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_feature_control_is_locked_with_vmx() {
        assert_eq!(wanted(0), Ok(Some(5)));
        // What else firmware has set stays: SENTER (8 to 15), SGX (18).
        assert_eq!(wanted(0x4_ff00), Ok(Some(0x4_ff05)));
        assert_eq!(wanted(2), Ok(Some(7)));
    }

    #[test]
    fn a_locked_one_decides() {
        assert_eq!(wanted(5), Ok(None));
        assert_eq!(wanted(7), Ok(None));
        // Without VMX, and with VMX inside SMX alone.
        assert_eq!(wanted(1), Err(Error::Unsupported));
        assert_eq!(wanted(3), Err(Error::Unsupported));
    }
}
