// SPDX-License-Identifier: MIT OR Apache-2.0
//! The last resort: an exception of the image itself.
//!
//! The image touches only what the module mapped for it and reads no register
//! that a CPU may lack, so there is nothing to expect here and no table of
//! exceptions: whatever comes is a bug of ours. It is recorded, and the firmware
//! is asked for a reset.

use aarch64_cpu::registers::ELR_EL2;
use aarch64_cpu::registers::ESR_EL2;
use aarch64_cpu::registers::FAR_EL2;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering;
use mercury_aarch64::instruction;
use mercury_core::hypervisor::Cpu;
use mercury_hal::event::Event;
use mercury_hal::exit::Policy;
use tock_registers::interfaces::Readable;

use crate::machine::HYPERVISOR;

/// [`CONDUIT`]: the firmware is asked by SMC.
pub(crate) const BY_SMC: u64 = 1;

/// How the firmware is asked (the module knows; 0: there is none to ask).
pub(crate) static CONDUIT: AtomicU64 = AtomicU64::new(0);

/// Whether it is not the first.
static AGAIN: AtomicBool = AtomicBool::new(false);

/// An exception of the image.
pub(crate) extern "C" fn mercury_exception(vector: u64) -> ! {
    if AGAIN.swap(true, Ordering::Relaxed) {
        instruction::reset(false)
    }
    HYPERVISOR.record(
        &Cpu::new(u32::MAX),
        Event::HostException,
        [vector, ESR_EL2.get(), ELR_EL2.get(), FAR_EL2.get(), 0],
    );
    end()
}

/// Nothing can go on here.
pub(crate) fn end() -> ! {
    instruction::reset(CONDUIT.load(Ordering::Relaxed) == BY_SMC)
}

/// No code of the image panics; what the compiler puts in for the impossible
/// ends as an exception does.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    end()
}
