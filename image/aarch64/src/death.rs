// SPDX-License-Identifier: MIT OR Apache-2.0
//! The image dies on this CPU: an exception of its own, or a panic.
//!
//! The image touches only what the module mapped for it and reads no register
//! that a CPU may lack, so there is nothing to expect here and no table of
//! exceptions: whatever comes is a bug of ours, and the machine is worth more than
//! the hypervisor. The image is marked dead for all CPUs, what happened is
//! recorded, and this CPU is freed as far as it had come ([`mercury_hal::life`]).
//! The others find the mark at their next exit.
//!
//! Freed means: stage 2 off, EL2 as it was found, and the guest goes on at the
//! instruction that exited, with every register it had. A hypercall is made again
//! and finds the kernel's stub. The ordinary way out uses registers that a call may
//! change; here all are in use. So it hands over to `mercury_freed` in the image's
//! first page, which runs with the MMU off as the end of the way out does, and
//! takes all of them from the second page of this CPU's area, which was cleaned to
//! the point of coherency for that.
//!
//! Where nothing is known to go back to, the firmware is asked for a reset.
#![expect(unsafe_code, reason = "reaches the CPU's area, and leaves it")]

use core::arch::global_asm;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering;

use aarch64_cpu::registers::ELR_EL2;
use aarch64_cpu::registers::ESR_EL2;
use aarch64_cpu::registers::FAR_EL2;
use aarch64_cpu::registers::SPSR_EL2;
use aarch64_cpu::registers::TPIDR_EL2;
use mercury_aarch64::area::Area;
use mercury_aarch64::area::Kept;
use mercury_aarch64::frame::FRAME_BYTES;
use mercury_aarch64::frame::Frame;
use mercury_aarch64::guest;
use mercury_aarch64::instruction;
use mercury_core::hypervisor::Cpu;
use mercury_hal::door::CPU_STACK_TOP;
use mercury_hal::error::Error;
use mercury_hal::event::Event;
use mercury_hal::exit::Policy;
use mercury_hal::life::Life;
use tock_registers::interfaces::Readable;
use tock_registers::interfaces::Writeable;

use crate::machine::HYPERVISOR;

/// [`CONDUIT`]: the firmware is asked by SMC.
pub(crate) const BY_SMC: u64 = 1;

/// How the firmware is asked (the module knows; 0: there is none to ask).
pub(crate) static CONDUIT: AtomicU64 = AtomicU64::new(0);

/// From a CPU's area to the page that a freed CPU takes its registers from.
const REGISTERS: usize = 0x1000;
/// The smallest line that a cache may have (CTR_EL0.DminLine is in words).
const LINE: usize = 16;
/// ESR_EL2.EC of an HVC.
const HVC: u64 = 0x16;

// X0: physical address of X0 to X30.
global_asm!(
    ".pushsection .text.first, \"ax\"",
    ".global mercury_freed",
    "mercury_freed:",
    "   ldp  x2, x3, [x0, 16]",
    "   ldp  x4, x5, [x0, 32]",
    "   ldp  x6, x7, [x0, 48]",
    "   ldp  x8, x9, [x0, 64]",
    "   ldp  x10, x11, [x0, 80]",
    "   ldp  x12, x13, [x0, 96]",
    "   ldp  x14, x15, [x0, 112]",
    "   ldp  x16, x17, [x0, 128]",
    "   ldp  x18, x19, [x0, 144]",
    "   ldp  x20, x21, [x0, 160]",
    "   ldp  x22, x23, [x0, 176]",
    "   ldp  x24, x25, [x0, 192]",
    "   ldp  x26, x27, [x0, 208]",
    "   ldp  x28, x29, [x0, 224]",
    "   ldr  x30, [x0, 240]",
    "   ldp  x0, x1, [x0]",
    "   eret",
    "   dsb  nsh",
    "   isb",
    ".popsection",
);

unsafe extern "C" {
    static mercury_freed: u8;
}

/// An exception of the image.
pub(crate) extern "C" fn mercury_exception(vector: u64) -> ! {
    die(
        Event::HostException,
        [vector, ESR_EL2.get(), ELR_EL2.get(), FAR_EL2.get(), 0],
    )
}

/// No code of the image panics; what the compiler puts in for the impossible
/// ends as an exception does.
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let place = info.location().map_or([0; 5], |location| {
        let (line, column) = (u64::from(location.line()), u64::from(location.column()));
        [line, column, location.file().as_ptr() as u64, 0, 0]
    });
    die(Event::HostPanic, place)
}

/// Dies, of this.
fn die(event: Event, arguments: [u64; 5]) -> ! {
    let area = TPIDR_EL2.get() as *mut Area<Cpu>;
    // SAFETY: TPIDR_EL2 names this CPU's area while it is in the image.
    let life = unsafe { (*area).life.end() };
    HYPERVISOR.die();
    if life == Life::Leaving {
        // Dying it died: whatever is tried again may fail again.
        end()
    }
    // SAFETY: as above.
    HYPERVISOR.record(unsafe { &(*area).logic }, event, arguments);
    match life {
        // SAFETY: this CPU's; the guest has exited and nothing of it was changed
        // yet; nobody who held a reference runs again.
        Life::Exited => unsafe { free(area) },
        // SAFETY: as above.
        Life::Called | Life::Entering => unsafe { end_call(area, life) },
        Life::Outside | Life::Settling | Life::Leaving => {
            // SAFETY: as above.
            let cpu = unsafe { &(*area).logic };
            HYPERVISOR.record(cpu, Event::NotFreed, [life as u64, 0, 0, 0, 0]);
            end()
        }
    }
}

/// The image is dead: this guest's CPU goes on natively where it exited.
///
/// # Safety
/// The area is this CPU's; its guest has exited and is as it was then. Whoever
/// held references to it never runs again.
pub(crate) unsafe fn free(area: *mut Area<Cpu>) -> ! {
    let frame = area.wrapping_byte_add(CPU_STACK_TOP as usize - FRAME_BYTES);
    // SAFETY: the vectors pushed it there, on an empty stack.
    let frame = unsafe { frame.cast::<Frame>().read() };
    // SAFETY: as the caller says.
    let ours = unsafe { &*area };
    ours.life.set(Life::Leaving);
    let Kept {
        mut place,
        state,
        syndrome,
        ..
    } = ours.kept;
    if syndrome >> 26 == HVC {
        // It stands behind the call.
        place = place.wrapping_sub(4);
    }
    HYPERVISOR.record(&ours.logic, Event::Freed, [place, 0, 0, 0, 0]);
    guest::end(ours);
    // SAFETY: as the caller says.
    unsafe { leave(area, &frame.x, frame.link, place, state) }
}

/// The image died in a call: it is over, and failed.
///
/// # Safety
/// The area is this CPU's, and its life was this. Whoever held references to it
/// never runs again.
unsafe fn end_call(area: *mut Area<Cpu>, life: Life) -> ! {
    let pushed = area.wrapping_byte_add(CPU_STACK_TOP as usize - 16);
    // SAFETY: X18 and X30, which the entry pushed on an empty stack.
    let [platform, link] = unsafe { pushed.cast::<[u64; 2]>().read() };
    // SAFETY: as the caller says.
    let ours = unsafe { &*area };
    HYPERVISOR.record(&ours.logic, Event::Freed, [0; 5]);
    if life == Life::Entering {
        guest::end(ours);
    }
    let mut low = [0; 19];
    low[0] = Error::Died as u64;
    low[18] = platform;
    // SAFETY: as the caller says.
    unsafe { leave(area, &low, link, ours.kept.place, ours.kept.state) }
}

/// Out, with these registers and X19 to X29 as kept.
///
/// # Safety
/// Stage 2 is off, and all of it is what this CPU had.
unsafe fn leave(area: *mut Area<Cpu>, low: &[u64; 19], link: u64, place: u64, state: u64) -> ! {
    // SAFETY: this CPU's area.
    let ours = unsafe { &*area };
    let at = area.wrapping_byte_add(REGISTERS).cast::<u64>();
    let all = low
        .iter()
        .chain(&ours.kept.x)
        .chain(core::iter::once(&link));
    for (number, register) in all.enumerate() {
        // SAFETY: the area's second page, which nothing else is in; 31 words.
        unsafe { at.wrapping_add(number).write_volatile(*register) };
    }
    for line in 0..256 / LINE {
        instruction::clean(at as u64 + (line * LINE) as u64);
    }
    instruction::dsb_sy();
    ELR_EL2.set(place);
    SPSR_EL2.set(state);
    let code = ours.found.way_out & !0xfff | (&raw const mercury_freed as u64) & 0xfff;
    // SAFETY: the way out; both lie in the image's first page.
    unsafe {
        core::arch::asm!(
            "b mercury_leave",
            in("x0") ours.door.control_block,
            in("x1") 0,
            in("x2") 0,
            in("x3") code,
            options(noreturn)
        )
    }
}

/// Nothing can go on here.
pub(crate) fn end() -> ! {
    instruction::reset(CONDUIT.load(Ordering::Relaxed) == BY_SMC)
}
