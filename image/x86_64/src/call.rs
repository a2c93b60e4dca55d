// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls through the door: what is alike under VMX and SVM.
#![expect(unsafe_code, reason = "reaches the CPUs' areas")]

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
use mercury_hal::exit::Policy;
use mercury_hal::paging::Shape;
use mercury_x86::area;
use mercury_x86::area::Area;
use mercury_x86::area::Blocks;
use mercury_x86::noted;
use mercury_x86::noted::Noted;
use mercury_x86::snapshot::Snapshot;
use mercury_x86::stage2;
use mercury_x86::svm::permission as svm_permission;
use mercury_x86::vmx::capabilities::Capabilities;
use mercury_x86::vmx::mtrr::MemoryTypes;
use mercury_x86::vmx::permission as vmx_permission;
use mercury_x86::window;

use crate::machine;
use crate::machine::CPUS;
use crate::machine::HYPERVISOR;
use crate::machine::MUTANT;
use crate::machine::REGISTER_MAP;
use crate::machine::ROOT_LEVEL;
use crate::machine::Window;
use crate::svm;
use crate::vmx;

/// Injection into [`Operation::Enter`] (`mercury_door.h`): the image refuses.
pub(crate) const INJECT_REFUSE: u64 = 1;

/// Injection into an entry: the image dies.
#[cfg(feature = "mutants")]
pub(crate) const INJECT_DIE: u64 = 3;

/// A CPU has come through the door.
///
/// # Safety
/// Called by the entry code alone: `area` is the start of this CPU's area.
pub(crate) unsafe extern "C" fn mercury_call(area: *mut Area<Cpu>) -> ! {
    let backend = {
        // SAFETY: only this CPU uses its area.
        let area = unsafe { &mut *area };
        area.native = Snapshot::take(&Noted::from_words(&area.door.noted));
        area.door.backend
    };
    // The trampoline was chosen with the backend, and each has its own way out:
    // there is no third to go by.
    if backend == noted::BACKEND_VMX {
        // SAFETY: as the caller says; the snapshot is taken.
        unsafe { vmx::call(area) }
    } else {
        // SAFETY: as above.
        unsafe { svm::call(area) }
    }
}

/// Makes a CPU a guest; comes back only if that fails.
pub(crate) type Enter = unsafe fn(*mut Area<Cpu>, u64) -> Error;

/// Carries a call out, and gives its status word.
///
/// # Safety
/// `area` is this CPU's, and nothing of it is borrowed; `enter` is the backend's.
pub(crate) unsafe fn carry_out(area: *mut Area<Cpu>, enter: Enter) -> u64 {
    let (backend, operation, [first, second, third, _]) = {
        // SAFETY: only this CPU uses its area.
        let door = unsafe { &(*area).door };
        (door.backend, door.operation, door.arguments)
    };
    let result = match Operation::decode(operation) {
        None => Err(Error::UnknownRequest),
        // Whatever it died of: all that a dead image still does is say so.
        Some(operation) if operation != Operation::Log && HYPERVISOR.is_dead() => Err(Error::Died),
        // Writes every area, so no reference to this one may be alive.
        Some(Operation::Prepare) => prepare(first, backend),
        Some(Operation::Map) => GuestRange::new(first, second)
            .ok_or(Error::BadParameters)
            .and_then(|range| HYPERVISOR.map(range, third == 1)),
        Some(Operation::Punch) => HYPERVISOR.punch(),
        Some(Operation::Log) => {
            // SAFETY: as above.
            unsafe { (*area).door.words = HYPERVISOR.log_words(first) };
            Ok(())
        }
        // SAFETY: as the caller says.
        Some(Operation::Enter) => Err(unsafe { enter(area, first) }),
    };
    match result {
        Ok(()) => door::DOOR_OK,
        Err(error) => error as u64,
    }
}

/// Takes the module's parameters, and lays out every CPU's area.
fn prepare(parameters_frame: u64, backend: u64) -> Result<(), Error> {
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
    let vmx = backend == noted::BACKEND_VMX;
    if vmx && parameters.store_frames != 0 {
        return Err(Error::Unsupported);
    }
    let levels = if vmx {
        let capabilities = Capabilities::read().ok_or(Error::Unsupported)?;
        4 + u8::from(capabilities.five_levels() && parameters.levels == 5)
    } else {
        parameters.levels as u8
    };
    let [plain, other] = parameters.proof_pages;
    let plan = Plan {
        lent,
        first_free: u64::from(parameters.first_free),
        shape: Shape {
            root: levels - 1,
            root_tables: 1,
            largest_leaf: if parameters.huge_leaves == 1 { 2 } else { 1 },
            address_bits: parameters.address_bits,
        },
        proof: ProofPages {
            plain: GuestPhysical(plain),
            other: GuestPhysical(other),
        },
        cpus,
        store_frames: u64::from(parameters.store_frames),
        memory_end: parameters.memory_end,
        crash_loop_ticks: parameters.crash_loop_ticks,
    };
    // SAFETY: `HYPERVISOR.prepare` refuses while any CPU is in, and until it has
    // been asked nothing of an earlier map is in use.
    unsafe { stage2::choose(vmx.then(MemoryTypes::read)) };
    HYPERVISOR.prepare(plan, Window)?;
    let frames = if vmx { 1 } else { svm_permission::FRAMES };
    let map = HYPERVISOR.take_frames(frames)?;
    let frame = |number: u64| HostPhysical(map.0 + number * PAGE_SIZE);
    for number in 0..frames {
        HYPERVISOR.clear_frame(frame(number));
    }
    let write = |index: usize, word| {
        HYPERVISOR.write_frame(frame(index as u64 / 512), index % 512, word);
    };
    if vmx {
        vmx_permission::words(write);
    } else {
        svm_permission::words(write);
    }
    CPUS.store(cpus, Ordering::Relaxed);
    ROOT_LEVEL.store(levels - 1, Ordering::Relaxed);
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
        unsafe { prepare_cpu(cpu, backend, blocks, peek_tables + u64::from(cpu) * 8) };
    }
    Ok(())
}

/// Lays out one CPU's area.
///
/// # Safety
/// That CPU is not in the image, unless it is this one in its first call, which
/// keeps nothing in the fields that are written.
unsafe fn prepare_cpu(cpu: u32, backend: u64, blocks: Blocks, peek_entry: u64) {
    let area = area::address(cpu) as *mut Area<Cpu>;
    // SAFETY: the module mapped it; the caller vouches for the rest.
    let area = unsafe { &mut *area };
    let mutant = MUTANT.load(Ordering::Relaxed);
    area.prepare(cpu, blocks, peek_entry, mutant, Cpu::new(cpu));
    if backend == noted::BACKEND_SVM {
        // SAFETY: as above.
        unsafe { svm::prepare_cpu(cpu) };
    }
}
