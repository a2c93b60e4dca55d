// SPDX-License-Identifier: MIT OR Apache-2.0
//! NMIs and machine checks that arrived while the CPU was in the image: handed on
//! to the guest with an entry, or to the kernel by the way out (SDM volume 3, 6.7.1,
//! 24.4.2, 25.5.2).
//!
//! An NMI goes in front of a fault, which will be raised again. Behind an
//! interrupt whose delivery was cut short it has to wait: for as long as that
//! takes and no longer, by the monitor trap flag. While the guest is in its own
//! NMI handler it waits for an exit after that.

use core::sync::atomic::Ordering;

use x86::vmx::vmcs::control;
use x86::vmx::vmcs::guest;

use super::event;
use super::field;
use super::initialize;
use crate::area::Area;
use crate::mutant;
use crate::mutant::Mutant;
use crate::pad::Pad;

/// Primary control: an exit after the next instruction, or event.
const MONITOR_TRAP_FLAG: u32 = 1 << 27;

/// Before an entry: hands on what arrived. The guest changes by it.
pub fn before_entry<L>(area: &mut Area<L>, pad: &Pad) {
    // Nothing can be injected into a CPU that waits for its SIPI (26.3.1.5); there
    // NMIs are shut.
    if field::read(guest::ACTIVITY_STATE) == initialize::WAIT_FOR_SIPI {
        return;
    }
    if pad.machine_checks.load(Ordering::Relaxed) != 0 && event::waiting() == 0 {
        pad.machine_checks.fetch_sub(1, Ordering::Relaxed);
        event::inject(event::MACHINE_CHECK);
    }
    if pad.nmis.load(Ordering::Relaxed) != 0 {
        let lost = u64::from(mutant::active(area.mutant, Mutant::LostNmi));
        area.vmx.held += pad.nmis.swap(0, Ordering::Relaxed) - lost;
    }
    if area.vmx.held == 0 || field::read(guest::INTERRUPTIBILITY_STATE) & event::NMI_SHUT != 0 {
        return;
    }
    let waiting = event::waiting();
    if waiting == 0 || event::repeats(waiting) {
        event::inject(event::NMI);
        event::change_interruptibility(event::SHADOWS, 0);
        area.vmx.held -= 1;
    } else {
        trap_next(area.vmx.primary, true);
    }
}

/// Before the CPU leaves: what the guest could not have any more, the way out
/// has to hand on.
pub fn before_leaving<L>(area: &mut Area<L>, pad: &Pad) {
    let undelivered = u64::from(event::waiting() == event::NMI);
    pad.nmis
        .fetch_add(area.vmx.held + undelivered, Ordering::Relaxed);
    area.vmx.held = 0;
}

/// Whether the guest is to exit after its next instruction.
pub(super) fn trap_next(primary: u32, on: bool) {
    let value = primary | if on { MONITOR_TRAP_FLAG } else { 0 };
    field::write(control::PRIMARY_PROCBASED_EXEC_CONTROLS, u64::from(value));
}
