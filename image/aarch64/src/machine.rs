// SPDX-License-Identifier: MIT OR Apache-2.0
//! What there is once: the hypervisor, and where things are.
#![expect(unsafe_code, reason = "reaches frames through the window")]

use core::sync::atomic::AtomicU32;
use core::sync::atomic::AtomicU64;

use mercury_aarch64::el2::ThisCpu;
use mercury_aarch64::frames::Frames;
use mercury_aarch64::frames::Words;
use mercury_aarch64::guard::platform::Platform;
use mercury_aarch64::instruction::VirtualCounter;
use mercury_aarch64::stage2::Stage2Tables;
use mercury_aarch64::window::FRAME_BASE;
use mercury_core::hypervisor::Hypervisor;
use mercury_hal::addr::PAGE_SIZE;
use spin::mutex::SpinMutex;

/// The hypervisor, as it is on this architecture.
pub(crate) type Machine = Hypervisor<Stage2Tables, Window, VirtualCounter>;

/// The hypervisor.
pub(crate) static HYPERVISOR: Machine = Machine::new();

/// VTCR_EL2 for the map.
pub(crate) static VTCR: AtomicU64 = AtomicU64::new(0);

/// How many CPUs there may be, and where the entries of the slots for pages begin.
pub(crate) static CPUS: AtomicU32 = AtomicU32::new(0);
pub(crate) static PEEK_ENTRIES: AtomicU64 = AtomicU64::new(0);

/// The machine around the CPUs; where it is not known there is no store.
pub(crate) static PLATFORM: SpinMutex<Option<Platform>> = SpinMutex::new(None);

/// Test build: the defect that was asked for.
pub(crate) static MUTANT: AtomicU64 = AtomicU64::new(0);

/// Lent frames, where the module mapped them, and this CPU at work on them.
pub(crate) type Window = Frames<ThisCpu, Mapped>;

/// The hypervisor's way to lent frames.
pub(crate) const WINDOW: Window = Window::new(ThisCpu, Mapped);

/// The words of lent frames.
#[derive(Debug)]
pub(crate) struct Mapped;

impl Words for Mapped {
    fn load(&self, frame: u64, index: usize) -> u64 {
        let word = (FRAME_BASE + frame * PAGE_SIZE) as *const u64;
        // SAFETY: the module mapped every free frame at its number, and
        // `index` is below 512.
        let word = unsafe { word.add(index & 511) };
        // SAFETY: as above; another CPU's walks only read it.
        unsafe { word.read_volatile() }
    }

    fn store(&mut self, frame: u64, index: usize, value: u64) {
        let word = (FRAME_BASE + frame * PAGE_SIZE) as *mut u64;
        // SAFETY: as above.
        let word = unsafe { word.add(index & 511) };
        // SAFETY: as above; the frame is a table's, behind the map's lock.
        unsafe { word.write_volatile(value) };
    }
}
