// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls through the door, and exits.
#![expect(unsafe_code, reason = "reaches the CPU's area")]

use core::sync::atomic::Ordering;

use aarch64_cpu::registers::MPIDR_EL1;
use mercury_aarch64::area;
use mercury_aarch64::area::Area;
use mercury_aarch64::exit;
use mercury_aarch64::exit::Next;
use mercury_aarch64::frame::Frame;
use mercury_aarch64::frame::Vector;
use mercury_aarch64::guard::platform::Platform;
use mercury_aarch64::guest;
use mercury_aarch64::shape;
use mercury_aarch64::window;
use mercury_core::hypervisor::Cpu;
use mercury_core::hypervisor::Plan;
use mercury_core::lent::Lent;
use mercury_hal::addr::GuestPhysical;
use mercury_hal::addr::GuestRange;
use mercury_hal::addr::PAGE_SIZE;
use mercury_hal::call::ProofPages;
use mercury_hal::door;
use mercury_hal::door::Operation;
use mercury_hal::door::Parameters;
use mercury_hal::error::Error;
use mercury_hal::exit::Policy;
use mercury_hal::life::Life;
use mercury_hal::paging::Shape;
use mercury_hal::repetition::Repetition;
use tock_registers::interfaces::Readable;

use crate::death;
use crate::death::CONDUIT;
use crate::guard;
use crate::machine::CPUS;
use crate::machine::HYPERVISOR;
use crate::machine::MUTANT;
use crate::machine::PEEK_ENTRIES;
use crate::machine::PLATFORM;
use crate::machine::VTCR;
use crate::machine::WINDOW;
#[cfg(feature = "mutants")]
use crate::provoke;

/// Injection into [`Operation::Enter`] (`mercury_door.h`).
const INJECT_REFUSE: u64 = 1;
/// The same: the image dies.
#[cfg(feature = "mutants")]
const INJECT_DIE: u64 = 3;

/// What the vectors do after an exit: the guest runs on.
pub(crate) const RUNS_ON: u64 = 0;
/// The CPU leaves.
pub(crate) const LEAVES: u64 = 1;
/// The guest is another: all of its registers are those in the frame and in the area.
pub(crate) const COMES_BACK: u64 = 2;

/// How a call comes back: in X0 and X1.
#[repr(C)]
pub(crate) struct Return {
    /// What the kernel finds in X0.
    result: u64,
    /// 1: as a guest, so EL2 stays ours.
    stays: u64,
}

/// A CPU has come through the door.
///
/// # Safety
/// Called by the entry code alone: `area` is the start of this CPU's area.
pub(crate) unsafe extern "C" fn mercury_call(area: *mut Area<Cpu>) -> Return {
    let (operation, arguments, noted) = {
        // SAFETY: only this CPU uses its area.
        let door = unsafe { &(*area).door };
        (door.operation, door.arguments, door.noted)
    };
    let [first, second, third, _] = arguments;
    let operation = Operation::decode(operation);
    // SAFETY: as above.
    unsafe { &*area }.life.set(Life::Called);
    let result = match operation {
        None => Err(Error::UnknownRequest),
        // Whatever it died of: all that a dead image still does is say so.
        Some(operation) if operation != Operation::Log && HYPERVISOR.is_dead() => Err(Error::Died),
        // Writes every area, so no reference to this one may be alive.
        Some(Operation::Prepare) => {
            let [conduit, ..] = noted;
            CONDUIT.store(conduit, Ordering::Relaxed);
            prepare(first, Platform::from_noted(&noted))
        }
        Some(Operation::Map) => GuestRange::new(first, second)
            .ok_or(Error::BadParameters)
            .and_then(|range| HYPERVISOR.map(range, third == 1)),
        Some(Operation::Punch) => HYPERVISOR.punch(),
        Some(Operation::Log) => {
            // SAFETY: as above.
            unsafe { (*area).door.words = HYPERVISOR.log_words(first) };
            Ok(())
        }
        // SAFETY: as above.
        Some(Operation::Enter) => enter(unsafe { &mut *area }, first),
    };
    // SAFETY: as above.
    unsafe { &*area }.life.set(Life::Outside);
    Return {
        stays: u64::from(operation == Some(Operation::Enter) && result.is_ok()),
        result: match result {
            Ok(()) => door::DOOR_OK,
            Err(error) => error as u64,
        },
    }
}

/// Takes the module's parameters, and lays out every CPU's area.
fn prepare(parameters_frame: u64, platform: Option<Platform>) -> Result<(), Error> {
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
    let range = shape::physical_range(parameters.address_bits).ok_or(Error::BadParameters)?;
    let start = shape::start_of_walk(range).ok_or(Error::BadParameters)?;
    let known = parameters.abi == door::DOOR_ABI
        && lent.frames() == u64::from(parameters.frame_count)
        && (1..=door::MAX_CPUS as u32).contains(&cpus);
    if !known {
        return Err(Error::BadParameters);
    }
    // What it would take to go back is not known.
    if parameters.store_frames != 0 && platform.is_none() {
        return Err(Error::Unsupported);
    }
    *PLATFORM.try_lock().ok_or(Error::WrongPhase)? = platform;
    let [plain, other] = parameters.proof_pages;
    let plan = Plan {
        lent,
        first_free: u64::from(parameters.first_free),
        shape: Shape {
            root: start.levels as u8 - 1,
            root_tables: u64::from(start.root_tables),
            largest_leaf: 2,
            address_bits: start.address_bits,
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
    HYPERVISOR.prepare(plan, WINDOW)?;
    VTCR.store(start.vtcr(range), Ordering::Relaxed);
    MUTANT.store(parameters.mutant, Ordering::Relaxed);
    CPUS.store(cpus, Ordering::Relaxed);
    let entries = window::FRAME_BASE + parameters.peek_table_frame * PAGE_SIZE;
    PEEK_ENTRIES.store(entries, Ordering::Relaxed);
    for cpu in 0..cpus {
        let area = area::address(cpu) as *mut Area<Cpu>;
        // SAFETY: the module mapped it. No CPU but this one is inside, and its
        // own call keeps nothing in the fields that are written.
        let area = unsafe { &mut *area };
        area.index = cpu;
        area.mutant = parameters.mutant;
        area.affinity = 0;
        area.repetition = Repetition::default();
        area.logic = Cpu::new(cpu);
    }
    Ok(())
}

/// Puts this CPU beneath the map. It goes on as the guest when the call is over.
fn enter(area: &mut Area<Cpu>, inject: u64) -> Result<(), Error> {
    guest::note(&mut area.found)?;
    if inject == INJECT_REFUSE {
        return Err(Error::Injected);
    }
    let root = HYPERVISOR.entering(&mut area.logic)?;
    area.quick = HYPERVISOR.quick(&area.logic);
    area.affinity = MPIDR_EL1.get();
    area.life.set(Life::Entering);
    guest::begin(area, root, VTCR.load(Ordering::Relaxed));
    #[cfg(feature = "mutants")]
    if inject == INJECT_DIE {
        provoke::by(0);
    }
    Ok(())
}

/// An exit of this CPU's guest. What is to follow: [`RUNS_ON`], [`LEAVES`] or
/// [`COMES_BACK`].
///
/// # Safety
/// Called by the vectors alone: `area` is the start of this CPU's area, and
/// `frame` its guest's registers.
pub(crate) unsafe extern "C" fn mercury_exit(
    frame: *mut Frame,
    vector: u64,
    area: *mut Area<Cpu>,
) -> u64 {
    // SAFETY: only this CPU uses its area.
    let area = unsafe { &mut *area };
    area.life.set(Life::Exited);
    if HYPERVISOR.is_dead() {
        // SAFETY: the guest has just exited, and is as it was.
        unsafe { death::free(area) }
    }
    // SAFETY: pushed a moment ago on this CPU's stack.
    let frame = unsafe { &mut *frame };
    #[cfg(feature = "mutants")]
    provoke::if_asked(&area.kept, frame);
    match exit::handle(area, frame, Vector::from_number(vector), &HYPERVISOR) {
        Next::Guest => {
            area.life.set(Life::Outside);
            RUNS_ON
        }
        Next::Guard(request) => guard::carry_out(area, frame, request),
        Next::ComeOut => guard::come_out(area, frame),
        Next::Leave => {
            area.life.set(Life::Leaving);
            area.affinity = 0;
            LEAVES
        }
        // SAFETY: the guest has just exited, and is as it was.
        Next::Dead => unsafe { death::free(area) },
    }
}
