// SPDX-License-Identifier: MIT OR Apache-2.0
//! What there is once: the hypervisor, the IDT, and where things are.
#![expect(unsafe_code, reason = "reaches frames through the window")]

use core::cell::UnsafeCell;
use core::sync::atomic::AtomicU8;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::AtomicU64;

use mercury_core::hypervisor::Hypervisor;
use mercury_hal::addr::PAGE_SIZE;
use mercury_hal::frames::FrameAccess;
use mercury_x86::exception;
use mercury_x86::instruction::TimeStampCounter;
use mercury_x86::stage2::ChosenFormat;
use mercury_x86::window::FRAME_BASE;

/// The hypervisor, as it is on this architecture.
pub(crate) type Machine = Hypervisor<ChosenFormat, Window, TimeStampCounter>;

/// The hypervisor.
pub(crate) static HYPERVISOR: Machine = Machine::new();

/// Physical address of the map of intercepted registers.
pub(crate) static REGISTER_MAP: AtomicU64 = AtomicU64::new(0);

/// CPUs that have an area.
pub(crate) static CPUS: AtomicU32 = AtomicU32::new(0);

/// Level of the nested map's root.
pub(crate) static ROOT_LEVEL: AtomicU8 = AtomicU8::new(3);

/// Test build: the defect that was asked for.
pub(crate) static MUTANT: AtomicU64 = AtomicU64::new(0);

/// Lent frames, where the module mapped them.
#[derive(Debug)]
pub(crate) struct Window;

impl FrameAccess for Window {
    fn read(&self, frame: u64, index: usize) -> u64 {
        let word = (FRAME_BASE + frame * PAGE_SIZE) as *const u64;
        // SAFETY: the module mapped every free frame at its number, and
        // `index` is below 512.
        let word = unsafe { word.add(index & 511) };
        // SAFETY: as above; the hardware may set bits in it, hence volatile.
        unsafe { word.read_volatile() }
    }

    fn write(&mut self, frame: u64, index: usize, value: u64) {
        let word = (FRAME_BASE + frame * PAGE_SIZE) as *mut u64;
        // SAFETY: as above.
        let word = unsafe { word.add(index & 511) };
        // x86 keeps stores in order; the compiler must too, hence volatile.
        // SAFETY: as above; the frame is a table's, behind the map's lock.
        unsafe { word.write_volatile(value) };
    }
}

/// The IDT; the entry code loads it.
pub(crate) struct Gates(UnsafeCell<[[u64; 2]; exception::VECTORS]>);

// SAFETY: written by one CPU at each preparation, when no other is inside.
unsafe impl Sync for Gates {}

/// The IDT.
pub(crate) static GATES: Gates = Gates(UnsafeCell::new([[0; 2]; exception::VECTORS]));

/// Fills the IDT in.
///
/// # Safety
/// No other CPU is in the image.
pub(crate) unsafe fn prepare_gates() {
    // SAFETY: the caller is alone.
    unsafe { GATES.0.get().write(exception::gates()) };
}
