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
use mercury_x86::area;
use mercury_x86::area::Area;
use mercury_x86::area::Next;
use mercury_x86::area::Registers;
use mercury_x86::exception;
use mercury_x86::pad::PAD_OFFSET;
use mercury_x86::pad::Pad;
use mercury_x86::vmx::build;
use mercury_x86::vmx::build::Places;
use mercury_x86::vmx::capabilities::Capabilities;
use mercury_x86::vmx::capabilities::Controls;
use mercury_x86::vmx::capabilities::Features;
use mercury_x86::vmx::depart;
use mercury_x86::vmx::exit;
use mercury_x86::vmx::field;
use mercury_x86::vmx::operation;
use mercury_x86::vmx::run;
use mercury_x86::vmx::run::Back;

use crate::call;
use crate::call::INJECT_REFUSE;
use crate::entry::DESCRIPTORS;
use crate::machine::GATES;
use crate::machine::HYPERVISOR;
use crate::machine::REGISTER_MAP;
use crate::machine::ROOT_LEVEL;

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
    // SAFETY: as the caller says.
    let result = unsafe { call::carry_out(area, enter_and_live) };
    let pad = pad(area);
    // SAFETY: only this CPU uses its area.
    let area = unsafe { &*area };
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
    // SAFETY: two frames of this CPU's own, just marked.
    let begun = unsafe { operation::begin(capabilities, area.blocks.host, area.blocks.guest) };
    if let Err(error) = begun {
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
        // SAFETY: likewise; its handlers only count.
        exit::settle(ours, unsafe { &*pad });
        // The switch writes the area, so it is not borrowed here.
        // SAFETY: the VMCS is current and filled in.
        let back = unsafe { run::run(area.cast(), launched) };
        if back == Back::NmiWaits {
            continue;
        }
        // SAFETY: the guest is out: it is ours until the next turn.
        let area = unsafe { &mut *area };
        if !launched && (back == Back::Refused || exit::entry_failed()) {
            let code = if back == Back::Refused {
                field::read(x86::vmx::vmcs::ro::VM_INSTRUCTION_ERROR)
            } else {
                exit::why()
            };
            // SAFETY: nothing else refers to the pad; its handlers only count.
            let pad = unsafe { &mut *pad };
            exit::hand_over(area, pad);
            // SAFETY: the guest never ran.
            unsafe { depart::give_back(area, pad) };
            HYPERVISOR.entry_failed(&area.logic, Error::EntryRefused, code);
            return Error::EntryRefused;
        }
        launched = true;
        match exit::handle(area, &HYPERVISOR) {
            Next::Guest => {}
            Next::Leave(result) => {
                // SAFETY: as above.
                let pad = unsafe { &mut *pad };
                exit::hand_over(area, pad);
                // SAFETY: the guest has just exited.
                unsafe { depart::detach(area, pad, result) }
            }
            // A dead image is not survived under VMX.
            Next::Dead => exception::reset(),
        }
    }
}
