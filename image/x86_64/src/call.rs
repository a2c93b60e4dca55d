// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls through the door, and the life of a guest.
#![expect(unsafe_code, reason = "reaches the CPU's area, enters the guest")]

use core::sync::atomic::Ordering;

use mercury_core::hypervisor::Cpu;
use mercury_core::hypervisor::Plan;
use mercury_core::lent::Lent;
use mercury_hal::addr::GuestPhysical;
use mercury_hal::addr::GuestRange;
use mercury_hal::addr::HostPhysical;
use mercury_hal::addr::PAGE_SIZE;
use mercury_hal::call::ProofPages;
use mercury_hal::door;
use mercury_hal::door::Operation;
use mercury_hal::door::Parameters;
use mercury_hal::error::Error;
use mercury_hal::paging::Shape;
use mercury_x86::area;
use mercury_x86::area::Area;
use mercury_x86::area::Blocks;
use mercury_x86::area::Registers;
use mercury_x86::instruction;
use mercury_x86::noted;
use mercury_x86::noted::Noted;
use mercury_x86::registers;
use mercury_x86::segment::SegmentState;
use mercury_x86::snapshot::Snapshot;
use mercury_x86::svm::build;
use mercury_x86::svm::capabilities::Capabilities;
use mercury_x86::svm::depart;
use mercury_x86::svm::exit;
use mercury_x86::svm::exit::Next;
use mercury_x86::svm::permission;
use mercury_x86::svm::run;
use mercury_x86::svm::vmcb::ControlBlock;
use mercury_x86::svm::vmcb::code;
use mercury_x86::tables;
use mercury_x86::window;

use crate::machine;
use crate::machine::HYPERVISOR;
use crate::machine::MUTANT;
use crate::machine::REGISTER_MAP;
use crate::machine::Window;

/// Injections into [`Operation::Enter`] (`mercury_door.h`).
const INJECT_REFUSE: u64 = 1;
const INJECT_ASID_0: u64 = 2;

/// Offsets of a CPU's control blocks in its area.
const GUEST_BLOCK: u64 = 0x1000;
const HOST_BLOCK: u64 = 0x2000;

/// A CPU has come through the door.
///
/// # Safety
/// Called by the entry code alone: `area` is the start of this CPU's area.
pub(crate) unsafe extern "C" fn mercury_call(area: *mut Area<Cpu>) -> ! {
    let arguments = {
        // SAFETY: only this CPU uses its area.
        let area = unsafe { &mut *area };
        area.native = Snapshot::take(&Noted::from_words(&area.door.noted));
        area.blocks.guest = area.door.control_block;
        // SAFETY: the second page of this CPU's area, which is for this.
        unsafe { instruction::vmsave(area.blocks.guest) };
        if area.blocks.host != 0 {
            // SAFETY: filled in by the preparation. Before it the kernel's TSS
            // stays in TR, and there is no stack for a double fault.
            unsafe { instruction::vmload(area.blocks.host) };
        }
        (area.door.backend, area.door.operation, area.door.arguments)
    };
    let (backend, operation, [first, second, third, _]) = arguments;
    let result = match Operation::decode(operation) {
        _ if backend != noted::BACKEND_SVM => Err(Error::Unsupported),
        None => Err(Error::UnknownRequest),
        // Writes every area, so no reference to this one may be alive.
        Some(Operation::Prepare) => prepare(first),
        Some(Operation::Map) => GuestRange::new(first, second)
            .ok_or(Error::BadParameters)
            .and_then(|range| HYPERVISOR.map(range, third == 1)),
        Some(Operation::Punch) => HYPERVISOR.punch(),
        Some(Operation::Log) => {
            // SAFETY: as above.
            unsafe { (*area).door.words = HYPERVISOR.log_words(first) };
            Ok(())
        }
        Some(Operation::Enter) => {
            // SAFETY: as above.
            let built = enter(unsafe { &mut *area }, first);
            match built {
                // SAFETY: this CPU's area, whose guest was just built.
                Ok(capabilities) => Err(unsafe { live(area, capabilities) }),
                Err(error) => Err(error),
            }
        }
    };
    let result = match result {
        Ok(()) => door::DOOR_OK,
        Err(error) => error as u64,
    };
    // SAFETY: as above.
    let area = unsafe { &*area };
    // SAFETY: the CPU came through the door, and VMSAVE was the first thing.
    unsafe { depart::return_natively(area, result) }
}

/// Takes the module's parameters, and lays out every CPU's area.
fn prepare(parameters_frame: u64) -> Result<(), Error> {
    let at = (window::FRAME_BASE + parameters_frame * PAGE_SIZE) as *const Parameters;
    // SAFETY: the module mapped the frame there, wrote the structure and does
    // not write it again; it stays lent as long as this image is in memory.
    let parameters: &'static Parameters = unsafe { &*at };
    let blocks = parameters
        .blocks
        .get(..parameters.block_count as usize)
        .ok_or(Error::BadParameters)?;
    let lent = Lent::new(blocks)?;
    let cpus = parameters.cpus_possible;
    let known = parameters.abi == door::DOOR_ABI
        && lent.frames() == u64::from(parameters.frame_count)
        && (1..=door::MAX_CPUS as u32).contains(&cpus)
        && (4..=5).contains(&parameters.levels);
    if !known {
        return Err(Error::BadParameters);
    }
    let [plain, other] = parameters.proof_pages;
    let plan = Plan {
        lent,
        first_free: u64::from(parameters.first_free),
        shape: Shape {
            root: parameters.levels as u8 - 1,
            root_tables: 1,
            largest_leaf: if parameters.huge_leaves == 1 { 2 } else { 1 },
            address_bits: parameters.address_bits,
        },
        proof: ProofPages {
            plain: GuestPhysical(plain),
            other: GuestPhysical(other),
        },
        cpus,
    };
    HYPERVISOR.prepare(plan, Window)?;
    let map = HYPERVISOR.take_frames(permission::FRAMES as u64)?;
    for word in 0..permission::FRAMES * 512 {
        let frame = HostPhysical(map.0 + (word / 512) as u64 * PAGE_SIZE);
        HYPERVISOR.write_frame(frame, word % 512, permission::word(word));
    }
    REGISTER_MAP.store(map.0, Ordering::Relaxed);
    MUTANT.store(parameters.mutant, Ordering::Relaxed);
    // SAFETY: `HYPERVISOR.prepare` refuses while any CPU is in.
    unsafe { machine::prepare_gates() };
    let peek_tables = window::FRAME_BASE + parameters.peek_table_frame * PAGE_SIZE;
    for cpu in 0..cpus {
        let first = u64::from(parameters.image_frames) + u64::from(cpu) * door::CPU_PAGES as u64;
        let page = |slot: u64| lent.address(first + slot).ok_or(Error::BadParameters);
        let blocks = Blocks {
            guest: page(1)?.0,
            host: page(2)?.0,
            save: page(3)?.0,
        };
        // SAFETY: no other CPU is inside, so nobody else uses any CPU's area.
        unsafe { prepare_cpu(cpu, blocks, peek_tables + u64::from(cpu) * 8) };
    }
    Ok(())
}

/// Lays out one CPU's area.
///
/// # Safety
/// That CPU is not in the image, unless it is this one in its first call, which
/// keeps nothing in the fields that are written.
unsafe fn prepare_cpu(cpu: u32, blocks: Blocks, peek_entry: u64) {
    let base = area::address(cpu);
    let area = base as *mut Area<Cpu>;
    // SAFETY: the module mapped it; the caller vouches for the rest.
    let area = unsafe { &mut *area };
    let mutant = MUTANT.load(Ordering::Relaxed);
    area.prepare(cpu, blocks, peek_entry, mutant, Cpu::new(cpu));
    let host = (base + HOST_BLOCK) as *mut ControlBlock;
    // SAFETY: as above.
    let host = unsafe { &mut *host };
    host.tr = SegmentState {
        selector: tables::TASK,
        attributes: tables::TASK_ATTRIBUTES,
        limit: tables::TASK_LIMIT,
        base: base + core::mem::offset_of!(Area<Cpu>, task) as u64,
    };
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
    // SAFETY: this CPU's block, mapped by the module; no guest runs on it.
    let block = unsafe { &mut *guest_block(area.index) };
    build::build(
        block,
        &area.native,
        nested_root,
        HostPhysical(REGISTER_MAP.load(Ordering::Relaxed)),
        capabilities,
        area.mutant,
    );
    if inject == INJECT_ASID_0 {
        block.asid = 0;
    }
    area.registers = Registers::default();
    // SAFETY: SVM is enabled, so the register exists.
    area.save_area_found = unsafe { instruction::read_msr(registers::MSR_VM_HSAVE_PA) };
    // SAFETY: a frame of ours that holds nothing else.
    unsafe { instruction::write_msr(registers::MSR_VM_HSAVE_PA, area.blocks.save) };
    if capabilities.tsc_ratio() {
        // SAFETY: the capability says that it exists.
        area.tsc_ratio_found = unsafe { instruction::read_msr(registers::MSR_TSC_RATIO) };
        // SAFETY: the guest's TSC runs as the machine's.
        unsafe { instruction::write_msr(registers::MSR_TSC_RATIO, registers::TSC_RATIO_ONE) };
    }
    Ok(capabilities)
}

/// This CPU's guest's control block.
fn guest_block(cpu: u32) -> *mut ControlBlock {
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
            // SAFETY: the guest never ran.
            unsafe { depart::give_back(area, block, capabilities) };
            HYPERVISOR.entry_failed(&area.logic, Error::EntryRefused, block.exit_code);
            return Error::EntryRefused;
        }
        first = false;
        if let Next::Leave(result) = exit::handle(area, block, &HYPERVISOR, capabilities) {
            // SAFETY: the guest has just exited.
            unsafe { depart::detach(area, block, capabilities, result) }
        }
    }
}
