// SPDX-License-Identifier: MIT OR Apache-2.0
//! The image dies on this CPU: an exception that nobody expected, or a panic.
//!
//! It is a bug of ours, and the machine is worth more than the hypervisor. The
//! image is marked dead for all CPUs, what happened is recorded, and this CPU is
//! freed as far as it had come ([`mercury_hal::life`]). The others find the mark at
//! their next exit and are freed then; an attached machine that asks for nothing
//! makes none, so whoever wants to have it all native asks each CPU (`mercury
//! status`, `mercury detach`).
//!
//! All this happens on the stack on which it died, or on the exception stack if
//! that one ran into its guard page. The stack lies in the CPU's area, so the area
//! is found from it, whatever else is wrong. Where freeing is not sound the end is what
//! a triple fault would have done: a reset.
#![expect(unsafe_code, reason = "reaches the CPU's area")]

use mercury_core::hypervisor::Cpu;
use mercury_hal::door::CPU_STRIDE;
use mercury_hal::event::Event;
use mercury_hal::exit::Policy;
use mercury_hal::life::Life;
use mercury_x86::area::Area;
use mercury_x86::exception;
use mercury_x86::noted;

use crate::machine::HYPERVISOR;
use crate::svm;
use crate::vmx;

/// How a backend frees a guest that has exited.
type Free = unsafe fn(*mut Area<Cpu>) -> !;
/// How it ends a call.
type EndCall = unsafe fn(*mut Area<Cpu>, Life) -> !;

/// Dies, of this.
pub(crate) fn die(event: Event, arguments: [u64; 5]) -> ! {
    let on_stack = 0u8;
    let area = ((&raw const on_stack as u64) & !(CPU_STRIDE - 1)) as *mut Area<Cpu>;
    // SAFETY: the stack is in this CPU's area, and only this CPU uses that.
    let life = unsafe { (*area).life.end() };
    // SAFETY: as above.
    let vmx = unsafe { (*area).door.backend } == noted::BACKEND_VMX;
    let (free, end_call): (Free, EndCall) = if vmx {
        (vmx::free, vmx::end_call)
    } else {
        (svm::free, svm::end_call)
    };
    HYPERVISOR.die();
    if life == Life::Leaving {
        // Dying it died: whatever is tried again may fail again.
        exception::reset()
    }
    // SAFETY: as above.
    HYPERVISOR.record(unsafe { &(*area).logic }, event, arguments);
    match life {
        // SAFETY: this CPU's; the guest has exited and nothing of it was changed
        // yet; nobody who held a reference runs again.
        Life::Exited => unsafe { free(area) },
        // SAFETY: as above.
        Life::Called | Life::Entering => unsafe { end_call(area, life) },
        // SAFETY: as above.
        _ => not_freed(unsafe { &*area }, life, 0, 0),
    }
}

/// Nothing can be saved.
pub(crate) fn not_freed(area: &Area<Cpu>, life: Life, obstacle: u64, event: u64) -> ! {
    let arguments = [life as u64, event, obstacle, 0, 0];
    HYPERVISOR.record(&area.logic, Event::NotFreed, arguments);
    exception::reset()
}
