// SPDX-License-Identifier: MIT OR Apache-2.0
//! A call through the door, and the life of a guest, under SVM.
#![expect(unsafe_code, reason = "reaches the CPU's area, enters the guest")]

use core::sync::atomic::Ordering;

use mercury_core::hypervisor::Cpu;
use mercury_hal::addr::HostPhysical;
use mercury_hal::error::Error;
use mercury_hal::event::Event;
use mercury_hal::exit::Policy;
use mercury_hal::life::Life;
use mercury_x86::area;
use mercury_x86::area::Area;
use mercury_x86::area::Blocks;
use mercury_x86::area::Next;
use mercury_x86::area::Registers;
use mercury_x86::guest_memory::PeekSlot;
use mercury_x86::instruction;
use mercury_x86::nmi;
use mercury_x86::registers;
use mercury_x86::segment::SegmentState;
use mercury_x86::sound;
use mercury_x86::svm::build;
use mercury_x86::svm::capabilities::Capabilities;
use mercury_x86::svm::depart;
use mercury_x86::svm::exit;
use mercury_x86::svm::run;
use mercury_x86::svm::sound as svm_sound;
use mercury_x86::svm::vmcb::ControlBlock;
use mercury_x86::svm::vmcb::code;
use mercury_x86::tables;

use crate::call;
#[cfg(feature = "mutants")]
use crate::call::INJECT_DIE;
use crate::call::INJECT_REFUSE;
use crate::death;
use crate::guard;
use crate::machine::HYPERVISOR;
use crate::machine::REGISTER_MAP;
#[cfg(feature = "mutants")]
use crate::provoke;

/// Injection into an entry: VMRUN itself fails.
const INJECT_ASID_0: u64 = 2;

/// Offsets of a CPU's control blocks in its area.
const GUEST_BLOCK: u64 = run::GUEST_BLOCK as u64;
const HOST_BLOCK: u64 = 0x2000;

/// One call; comes back by the way out only.
///
/// # Safety
/// As [`call::mercury_call`]; the snapshot is taken.
pub(crate) unsafe fn call(area: *mut Area<Cpu>) -> ! {
    {
        // SAFETY: only this CPU uses its area.
        let area = unsafe { &mut *area };
        area.blocks.guest = area.door.control_block;
        // SAFETY: the second page of this CPU's area, which is for this.
        unsafe { instruction::vmsave(area.blocks.guest) };
        if area.blocks.host != 0 {
            // SAFETY: filled in by the preparation. Before it the kernel's TSS
            // stays in TR, and there is no stack for a double fault.
            unsafe { instruction::vmload(area.blocks.host) };
        }
    }
    // SAFETY: only this CPU uses its area.
    unsafe { &*area }.life.set(Life::Called);
    // SAFETY: as the caller says.
    let result = unsafe { call::carry_out(area, enter_and_live) };
    // SAFETY: as above.
    let area = unsafe { &*area };
    area.life.set(Life::Leaving);
    // SAFETY: the CPU came through the door, and VMSAVE was the first thing.
    unsafe { depart::return_natively(area, result) }
}

/// Lays out the host's block of a CPU.
///
/// # Safety
/// That CPU is not in the image, or in its first call.
pub(crate) unsafe fn prepare_cpu(cpu: u32) {
    let base = area::address(cpu);
    let host = (base + HOST_BLOCK) as *mut ControlBlock;
    // SAFETY: the module mapped it; the caller vouches for the rest.
    let host = unsafe { &mut *host };
    host.tr = SegmentState {
        selector: tables::TASK,
        attributes: tables::TASK_ATTRIBUTES,
        limit: tables::TASK_LIMIT,
        base: base + core::mem::offset_of!(Area<Cpu>, task) as u64,
    };
}

/// Makes this CPU a guest; comes back only if that fails.
///
/// # Safety
/// `area` is this CPU's, and nothing of it is borrowed.
unsafe fn enter_and_live(area: *mut Area<Cpu>, inject: u64) -> Error {
    // SAFETY: as the caller says.
    match enter(unsafe { &mut *area }, inject) {
        // SAFETY: this CPU's area, whose guest was just built.
        Ok(capabilities) => unsafe { live(area, capabilities) },
        Err(error) => error,
    }
}

/// Builds the guest that goes on as this CPU, and readies the hardware.
fn enter(area: &mut Area<Cpu>, inject: u64) -> Result<Capabilities, Error> {
    let capabilities = Capabilities::read();
    if !capabilities.nested_paging() {
        return Err(Error::Unsupported);
    }
    if area.native.efer & registers::EFER_SVME != 0 {
        return Err(Error::ExtensionTaken);
    }
    if inject == INJECT_REFUSE {
        return Err(Error::Injected);
    }
    let nested_root = HYPERVISOR.entering(&mut area.logic)?;
    area.quick = HYPERVISOR.quick(&area.logic);
    // SAFETY: this CPU's block, mapped by the module; no guest runs on it.
    let block = unsafe { &mut *guest_block(area.index) };
    build::build(
        block,
        &area.native,
        nested_root,
        HostPhysical(REGISTER_MAP.load(Ordering::Relaxed)),
        capabilities,
        HYPERVISOR.guards(),
        area.mutant,
    );
    if inject == INJECT_ASID_0 {
        block.asid = 0;
    }
    area.registers = Registers::default();
    // Whatever handler its last guest was in, this one is in none.
    area.nmi = nmi::Progress::default();
    // SAFETY: SVM is enabled, so the register exists.
    area.save_area_found = unsafe { instruction::read_msr(registers::MSR_VM_HSAVE_PA) };
    if capabilities.tsc_ratio() {
        // SAFETY: the capability says that it exists.
        area.tsc_ratio_found = unsafe { instruction::read_msr(registers::MSR_TSC_RATIO) };
    }
    // All that is to be given back has been read.
    area.life.set(Life::Entering);
    // SAFETY: a frame of ours that holds nothing else.
    unsafe { instruction::write_msr(registers::MSR_VM_HSAVE_PA, area.blocks.save) };
    if capabilities.speculation_control() {
        // The guest runs with the host's value or its own, whichever is set: the
        // host's must be none, or what the interrupted task had would stick.
        // SAFETY: a CPU that switches the register has it; 0 restricts nothing.
        unsafe { instruction::write_msr(registers::MSR_SPEC_CTRL, 0) };
    }
    if capabilities.tsc_ratio() {
        // SAFETY: the guest's TSC runs as the machine's.
        unsafe { instruction::write_msr(registers::MSR_TSC_RATIO, registers::TSC_RATIO_ONE) };
    }
    #[cfg(feature = "mutants")]
    if inject == INJECT_DIE {
        provoke::by(0);
    }
    Ok(capabilities)
}

/// This CPU's guest's control block.
pub(crate) fn guest_block(cpu: u32) -> *mut ControlBlock {
    (area::address(cpu) + GUEST_BLOCK) as *mut ControlBlock
}

/// The guest's life, from its first entry to its detach. Comes back only if the
/// first entry fails.
///
/// # Safety
/// `area` is this CPU's, and [`enter`] was the last to touch it.
unsafe fn live(area: *mut Area<Cpu>, capabilities: Capabilities) -> Error {
    // SAFETY: the caller vouches for the area; nothing of it is borrowed.
    let Blocks { guest, host, .. } = unsafe { (*area).blocks };
    let mut first = true;
    loop {
        // SAFETY: as above.
        unsafe { &*area }.life.set(Life::Outside);
        // The hardware writes the block and the switch writes the area, so
        // neither is borrowed here.
        // SAFETY: both are this CPU's; the global interrupt flag has been clear
        // since the trampoline.
        unsafe { run::run(area.cast(), guest, host) };
        // SAFETY: the guest is out: both are ours until the next turn.
        let area = unsafe { &mut *area };
        // SAFETY: as above.
        let block = unsafe { &mut *guest_block(area.index) };
        if block.exit_code as u32 == code::INVALID && first {
            area.life.set(Life::Entering);
            // SAFETY: the guest never ran.
            unsafe { depart::give_back(area, block, capabilities) };
            HYPERVISOR.entry_failed(&area.logic, Error::EntryRefused, block.exit_code);
            return Error::EntryRefused;
        }
        first = false;
        area.life.set(Life::Exited);
        if HYPERVISOR.is_dead() {
            // SAFETY: the guest has just exited, and is as it was.
            unsafe { free(area) }
        }
        #[cfg(feature = "mutants")]
        provoke::if_asked(block.exit_code == code::VMMCALL, block.rax, &area.registers);
        match exit::handle(area, block, &HYPERVISOR, capabilities) {
            Next::Guest => {}
            Next::Guard(request) => guard::carry_out(area, block, request),
            Next::Gather => guard::come_out(area, block),
            Next::Leave(result) => {
                area.life.set(Life::Leaving);
                // SAFETY: the guest has just exited.
                unsafe { depart::detach(area, block, capabilities, result) }
            }
            // SAFETY: the guest has just exited, and is as it was.
            Next::Dead => unsafe { free(area) },
        }
    }
}

/// The image is dead: this guest's CPU goes on natively where it exited, or the
/// machine is reset if that cannot be.
///
/// # Safety
/// The area is this CPU's; its guest has exited and is as it was then. Whoever
/// held references to either never runs again.
pub(crate) unsafe fn free(area: *mut Area<Cpu>) -> ! {
    // SAFETY: as the caller says.
    let area = unsafe { &mut *area };
    // SAFETY: as the caller says.
    let block = unsafe { &*guest_block(area.index) };
    area.life.set(Life::Leaving);
    // The guest's own tables are looked at, and nothing is asked of a map that
    // may be half changed.
    // SAFETY: only this CPU uses its slot, and whoever looked last is gone.
    let mut slot = unsafe { PeekSlot::new(area.index, area.peek_entry, |_| true) };
    let obstacle =
        svm_sound::of_block(block).or_else(|| sound::of_tables(area, block.paging(), &mut slot));
    if let Some(obstacle) = obstacle {
        death::not_freed(area, Life::Exited, obstacle as u64, block.exit_event)
    }
    let data = [block.ds.selector, block.es.selector]
        .map(|selector| svm_sound::data_selector(block, &mut slot, selector));
    HYPERVISOR.record(&area.logic, Event::Freed, [block.rip, 0, 0, 0, 0]);
    // SAFETY: as the caller says, and nothing stands against it.
    unsafe { depart::free(area, block, Capabilities::read(), data) }
}

/// The image died in a call: it is over, and failed.
///
/// # Safety
/// The area is this CPU's, and its life was this. Whoever held references to it
/// never runs again.
pub(crate) unsafe fn end_call(area: *mut Area<Cpu>, life: Life) -> ! {
    // SAFETY: as the caller says.
    let area = unsafe { &*area };
    if life == Life::Entering {
        // SAFETY: this CPU's block.
        let block = unsafe { &*guest_block(area.index) };
        // SAFETY: no guest runs.
        unsafe { depart::give_back(area, block, Capabilities::read()) };
    }
    HYPERVISOR.record(&area.logic, Event::Freed, [0; 5]);
    // SAFETY: the CPU came through the door, and VMSAVE was the first thing.
    unsafe { depart::return_natively(area, Error::Died as u64) }
}
