// SPDX-License-Identifier: MIT OR Apache-2.0
//! A call through the door, and the life of a guest, under VMX.
#![expect(unsafe_code, reason = "reaches the CPU's area, enters the guest")]

use core::mem::offset_of;
use core::sync::atomic::Ordering;

use mercury_core::hypervisor::Cpu;
use mercury_hal::addr::HostPhysical;
use mercury_hal::error::Error;
use mercury_hal::event::Event;
use mercury_hal::exit::Policy;
use mercury_hal::life::Life;
use mercury_x86::area;
use mercury_x86::area::Area;
use mercury_x86::area::Next;
use mercury_x86::area::Registers;
use mercury_x86::guest_memory::PeekSlot;
use mercury_x86::instruction;
use mercury_x86::pad::PAD_OFFSET;
use mercury_x86::pad::Pad;
use mercury_x86::sound;
use mercury_x86::sound::Obstacle;
use mercury_x86::vmx::build;
use mercury_x86::vmx::build::Places;
use mercury_x86::vmx::capabilities::Capabilities;
use mercury_x86::vmx::capabilities::Controls;
use mercury_x86::vmx::capabilities::Features;
use mercury_x86::vmx::depart;
use mercury_x86::vmx::exit;
use mercury_x86::vmx::field;
use mercury_x86::vmx::operation;
use mercury_x86::vmx::pending;
use mercury_x86::vmx::run;
use mercury_x86::vmx::run::Back;
use mercury_x86::vmx::sound as vmx_sound;
use mercury_x86::vmx::sound::Situation;

use crate::call;
#[cfg(feature = "mutants")]
use crate::call::INJECT_DIE;
use crate::call::INJECT_REFUSE;
use crate::death;
use crate::entry::DESCRIPTORS;
use crate::machine::GATES;
use crate::machine::HYPERVISOR;
use crate::machine::REGISTER_MAP;
use crate::machine::ROOT_LEVEL;
#[cfg(feature = "mutants")]
use crate::provoke;

/// Injection into an entry: the CPU refuses the guest's state.
const INJECT_BAD_STATE: u64 = 2;

/// Offsets in a CPU's area: its VMCS, its VMXON region, lists of registers.
const VMCS: u64 = 0x1000;
const REGION: u64 = 0x2000;
const LISTS: u64 = 0x3000;

/// One call; comes back by the way out only.
///
/// # Safety
/// As [`call::mercury_call`]; the snapshot is taken.
pub(crate) unsafe fn call(area: *mut Area<Cpu>) -> ! {
    // SAFETY: only this CPU uses its area.
    unsafe { &*area }.life.set(Life::Called);
    // SAFETY: as the caller says.
    let result = unsafe { call::carry_out(area, enter_and_live) };
    let pad = pad(area);
    // SAFETY: only this CPU uses its area.
    let area = unsafe { &*area };
    area.life.set(Life::Leaving);
    // SAFETY: nothing else refers to the pad; its handlers only count.
    let pad = unsafe { &mut *pad };
    // SAFETY: the CPU came through the door, and an entry that failed has left
    // VMX operation.
    unsafe { depart::return_natively(area, pad, result) }
}

/// A CPU's landing pad.
const fn pad(area: *mut Area<Cpu>) -> *mut Pad {
    area.wrapping_byte_add(PAD_OFFSET).cast()
}

/// What this CPU can, and how its guest is controlled.
fn controls() -> Result<(Capabilities, Controls), Error> {
    let capabilities = Capabilities::read().ok_or(Error::Unsupported)?;
    let controls = capabilities
        .controls(Features::read())
        .filter(|_| capabilities.ept_usable())
        .ok_or(Error::Unsupported)?;
    Ok((capabilities, controls))
}

/// Makes this CPU a guest; comes back only if that fails.
///
/// # Safety
/// `area` is this CPU's, and nothing of it is borrowed.
unsafe fn enter_and_live(area: *mut Area<Cpu>, inject: u64) -> Error {
    // SAFETY: as the caller says.
    let built = enter(unsafe { &mut *area }, pad(area), inject);
    match built {
        // SAFETY: this CPU's area, whose guest was just built.
        Ok(()) => unsafe { live(area) },
        Err(error) => error,
    }
}

/// Builds the guest that goes on as this CPU, in VMX operation.
fn enter(area: &mut Area<Cpu>, pad: *mut Pad, inject: u64) -> Result<(), Error> {
    let (capabilities, controls) = controls()?;
    // SAFETY: the pad is this CPU's; what is read here nobody writes meanwhile.
    let pad = unsafe { &*pad };
    if !depart::has_place(pad.segments[3].selector) {
        return Err(Error::Unsupported);
    }
    if area.native.cr4 & operation::CR4_VMXE != 0 {
        return Err(Error::ExtensionTaken);
    }
    if inject == INJECT_REFUSE {
        return Err(Error::Injected);
    }
    let locked = operation::allow()?;
    let root = HYPERVISOR.entering(&mut area.logic)?;
    if locked {
        HYPERVISOR.record(&area.logic, Event::FeatureLocked, [0; 5]);
    }
    let base = area::address(area.index);
    for offset in [VMCS, REGION] {
        let first = (base + offset) as *mut u64;
        // SAFETY: pages of this CPU's, mapped by the module; outside of VMX
        // operation they are plain memory.
        unsafe { first.write_volatile(capabilities.revision()) };
    }
    // From here on VMX operation has to be ended.
    area.life.set(Life::Entering);
    // SAFETY: two frames of this CPU's own, just marked.
    let begun = unsafe { operation::begin(capabilities, area.blocks.host, area.blocks.guest) };
    if let Err(error) = begun {
        area.life.set(Life::Called);
        HYPERVISOR.entry_failed(&area.logic, error, 0);
        return Err(error);
    }
    let places = Places {
        root,
        root_level: ROOT_LEVEL.load(Ordering::Relaxed),
        register_map: HostPhysical(REGISTER_MAP.load(Ordering::Relaxed)),
        host_root: area.door.host_root,
        task: base + offset_of!(Area<Cpu>, task) as u64,
        tables: [&raw const DESCRIPTORS as u64, &raw const GATES as u64],
        lists: [base + LISTS, area.blocks.save],
    };
    area.vmx = build::build(
        &area.native,
        pad,
        controls,
        capabilities,
        places,
        area.mutant,
    );
    if inject == INJECT_BAD_STATE {
        // Bit 1 of RFLAGS is always 1.
        field::write(x86::vmx::vmcs::guest::RFLAGS, 0);
    }
    area.registers = Registers::default();
    operation::forget(area.vmx.pointer);
    #[cfg(feature = "mutants")]
    if inject == INJECT_DIE {
        provoke::by(0);
    }
    Ok(())
}

/// The guest's life, from its first entry to its detach. Comes back only if the
/// first entry fails.
///
/// # Safety
/// `area` is this CPU's, and [`enter`] was the last to touch it.
unsafe fn live(area: *mut Area<Cpu>) -> Error {
    let mut launched = false;
    let pad = pad(area);
    loop {
        // SAFETY: this CPU's; the guest is out.
        let ours = unsafe { &mut *area };
        ours.life.set(Life::Settling);
        // SAFETY: likewise; its handlers only count.
        pending::before_entry(ours, unsafe { &*pad });
        ours.life.set(Life::Outside);
        // The switch writes the area, so it is not borrowed here.
        // SAFETY: the VMCS is current and filled in.
        let back = unsafe { run::run(area.cast(), launched) };
        if back == Back::NmiWaits {
            continue;
        }
        // SAFETY: the guest is out: it is ours until the next turn.
        let ours = unsafe { &mut *area };
        if !launched && (back == Back::Refused || exit::entry_failed()) {
            let code = if back == Back::Refused {
                field::read(x86::vmx::vmcs::ro::VM_INSTRUCTION_ERROR)
            } else {
                exit::why()
            };
            ours.life.set(Life::Leaving);
            // SAFETY: nothing else refers to the pad; its handlers only count.
            let pad = unsafe { &mut *pad };
            pending::before_leaving(ours, pad);
            // SAFETY: the guest never ran.
            unsafe { depart::give_back(ours, pad) };
            HYPERVISOR.entry_failed(&ours.logic, Error::EntryRefused, code);
            return Error::EntryRefused;
        }
        launched = true;
        ours.vmx.fault_address = instruction::read_cr2();
        ours.life.set(Life::Exited);
        if HYPERVISOR.is_dead() {
            if can_only_go_on(ours) {
                exit::answer_identification(&mut ours.registers);
                continue;
            }
            // SAFETY: the guest has just exited, and is as it was.
            unsafe { free(area) }
        }
        #[cfg(feature = "mutants")]
        provoke::if_asked(exit::is_call(), ours.registers.0[0], &ours.registers);
        match exit::handle(ours, &HYPERVISOR) {
            // There is no store under VMX.
            Next::Guest | Next::Guard(_) | Next::Gather => {}
            Next::Leave(result) => {
                ours.life.set(Life::Leaving);
                // SAFETY: as above.
                let pad = unsafe { &mut *pad };
                pending::before_leaving(ours, pad);
                // SAFETY: the guest has just exited.
                unsafe { depart::detach(ours, pad, result) }
            }
            // SAFETY: the guest has just exited, and is as it was.
            Next::Dead => unsafe { free(area) },
        }
    }
}

/// Why this guest, whose exit is as it was, cannot be freed.
fn obstacle(area: &Area<Cpu>) -> Option<Obstacle> {
    Situation::read().obstacle().or_else(|| {
        // The guest's own tables are looked at, and nothing is asked of a map that
        // may be half changed.
        // SAFETY: only this CPU uses its slot, and whoever looked last is gone.
        let mut slot = unsafe { PeekSlot::new(area.index, area.peek_entry, |_| true) };
        sound::of_tables(area, vmx_sound::paging(), &mut slot)
    })
}

/// Whether a guest beneath which the image is dead has to stay one until its next
/// exit. Every program asks CPUID when it starts, and under page table isolation a
/// program's tables lack the way out. What it asks needs nothing of what died.
fn can_only_go_on(area: &Area<Cpu>) -> bool {
    exit::is_identification() && obstacle(area) == Some(Obstacle::Unreachable)
}

/// The image is dead: this guest's CPU goes on natively where it exited, or the
/// machine is reset if that cannot be.
///
/// # Safety
/// The area is this CPU's; its guest has exited and is as it was then. Whoever
/// held references to it never runs again.
pub(crate) unsafe fn free(area: *mut Area<Cpu>) -> ! {
    let pad = pad(area);
    // SAFETY: as the caller says.
    let area = unsafe { &mut *area };
    // SAFETY: nothing else refers to the pad; its handlers only count.
    let pad = unsafe { &mut *pad };
    area.life.set(Life::Leaving);
    if let Some(obstacle) = obstacle(area) {
        let event = field::read(x86::vmx::vmcs::ro::IDT_VECTORING_INFO);
        death::not_freed(area, Life::Exited, obstacle as u64, event)
    }
    let place = field::read(x86::vmx::vmcs::guest::RIP);
    HYPERVISOR.record(&area.logic, Event::Freed, [place, 0, 0, 0, 0]);
    pending::before_leaving(area, pad);
    // SAFETY: as the caller says, and nothing stands against it.
    unsafe { depart::free(area, pad) }
}

/// The image died in a call: it is over, and failed.
///
/// # Safety
/// The area is this CPU's, and its life was this. Whoever held references to it
/// never runs again.
pub(crate) unsafe fn end_call(area: *mut Area<Cpu>, life: Life) -> ! {
    let pad = pad(area);
    // SAFETY: as the caller says.
    let area = unsafe { &*area };
    // SAFETY: nothing else refers to the pad; its handlers only count.
    let pad = unsafe { &mut *pad };
    if life == Life::Entering {
        // SAFETY: its guest never was entered.
        unsafe { depart::give_up(area) };
    }
    HYPERVISOR.record(&area.logic, Event::Freed, [0; 5]);
    // SAFETY: the CPU came through the door, and is not in VMX operation any more.
    unsafe { depart::return_natively(area, pad, Error::Died as u64) }
}
