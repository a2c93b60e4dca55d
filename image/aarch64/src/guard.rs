// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checkpoint and roll-back at EL2.
//!
//! The CPU that takes a checkpoint stands behind its hypercall; its registers, which the
//! vectors stored and which EL1 has, go into the store, and beside them how its
//! interrupts were set. For a roll-back the whole map is taken away: every other CPU
//! faults at its next step, and those that sleep are woken for it. A CPU that came out
//! parks. When the leader has decided, the others are switched off by the firmware as
//! Linux had switched them off, and only when it says that they are is memory changed.
//! They come back as in every hot-plug, natively, and are taken in again by the module.
#![expect(unsafe_code, reason = "reads other CPUs' areas")]

use core::hint;
use core::sync::atomic::Ordering;

use aarch64_cpu::registers::CNTFRQ_EL0;
use aarch64_cpu::registers::ELR_EL2;
use aarch64_cpu::registers::SP_EL0;
use aarch64_cpu::registers::SP_EL1;
use aarch64_cpu::registers::SPSR_EL2;
use mercury_aarch64::area;
use mercury_aarch64::area::Area;
use mercury_aarch64::area::Kept;
use mercury_aarch64::frame::FRAME_BYTES;
use mercury_aarch64::frame::Frame;
use mercury_aarch64::guard::ecam::Ecam;
use mercury_aarch64::guard::gic::Gic;
use mercury_aarch64::guard::platform::Platform;
use mercury_aarch64::guard::psci;
use mercury_aarch64::guard::saved;
use mercury_aarch64::guard::sight::Sight;
use mercury_aarch64::guest;
use mercury_aarch64::instruction;
use mercury_core::guard::pci;
use mercury_core::guard::record::CPU_WORDS;
use mercury_core::hypervisor::Cpu;
use mercury_core::hypervisor::guarded::Gathered;
use mercury_core::hypervisor::guarded::Outcome;
use mercury_hal::addr::HostPhysical;
use mercury_hal::call::Answer;
use mercury_hal::call::Request;
use mercury_hal::door::CPU_STACK_TOP;
use mercury_hal::error::Error;
use mercury_hal::exit::Policy;
use mercury_hal::life::Life;
use mercury_hal::pages::Pages;
use mercury_hal::repetition::Repetition;
use spin::mutex::SpinMutex;
use tock_registers::interfaces::Readable;
use tock_registers::interfaces::Writeable;

use crate::call::COMES_BACK;
use crate::call::RUNS_ON;
use crate::death;
use crate::machine::CPUS;
use crate::machine::HYPERVISOR;
use crate::machine::Machine;
use crate::machine::PEEK_ENTRIES;
use crate::machine::PLATFORM;

/// How long the leader waits for the others, in seconds.
const PATIENCE: u64 = 8;

/// Whoever looks through the slots for all memory.
static LOOKING: SpinMutex<()> = SpinMutex::new(());

/// This CPU, out of its guest.
struct Out<'a> {
    area: &'a mut Area<Cpu>,
    frame: &'a mut Frame,
}

impl Gathered for Out<'_> {
    fn lead(&mut self) -> Result<(), Error> {
        lead(self.area, self.frame)
    }

    fn patience(&self) -> u64 {
        2 * PATIENCE * CNTFRQ_EL0.get()
    }

    fn switch_off(&mut self) -> ! {
        switch_off(self.area)
    }
}

/// Looks at memory; nothing if the image died meanwhile.
fn look<R>(with: impl FnOnce(&mut Sight, &Platform) -> R) -> Result<R, Error> {
    let _looking = loop {
        match LOOKING.try_lock() {
            Some(looking) => break looking,
            None if HYPERVISOR.is_dead() => return Err(Error::Died),
            None => hint::spin_loop(),
        }
    };
    let platform = PLATFORM.try_lock().and_then(|platform| *platform);
    let platform = platform.ok_or(Error::Unsupported)?;
    let cpus = CPUS.load(Ordering::Relaxed);
    // SAFETY: the module mapped the slots behind the CPUs' own, and the lock keeps all
    // others away until the value is dropped.
    let mut sight = unsafe { Sight::new(cpus, PEEK_ENTRIES.load(Ordering::Relaxed)) };
    Ok(with(&mut sight, &platform))
}

/// Carries out what a guest asked for, which stands behind its hypercall. Out of line, as
/// its neighbour is: no other exit shall save registers for it.
#[cold]
#[inline(never)]
pub(crate) fn carry_out(area: &mut Area<Cpu>, frame: &mut Frame, request: Request) -> u64 {
    let answer = match request {
        Request::Checkpoint => checkpoint(area, frame),
        Request::RollBack(argument) => match roll_back(area, frame, argument) {
            Ok(()) => return COMES_BACK,
            Err(error) => Answer::Failed(error),
        },
        _ => look(|sight, _| HYPERVISOR.guard_call(&area.logic, request, sight))
            .unwrap_or_else(Answer::Failed),
    };
    if HYPERVISOR.is_dead() {
        // SAFETY: the guest has exited, and is as it was.
        unsafe { death::free(area) }
    }
    area.life.set(Life::Settling);
    frame.answer(&answer);
    area.life.set(Life::Outside);
    RUNS_ON
}

/// All CPUs come out: this one came because the map is shut.
#[cold]
#[inline(never)]
pub(crate) fn come_out(area: &mut Area<Cpu>, frame: &mut Frame) -> u64 {
    match gather(area, frame) {
        Outcome::Back => COMES_BACK,
        // Its guest has noticed nothing.
        Outcome::CalledOff => {
            if HYPERVISOR.is_dead() {
                // SAFETY: the guest has exited, and is as it was.
                unsafe { death::free(area) }
            }
            area.life.set(Life::Outside);
            RUNS_ON
        }
    }
}

/// X0 to X30 in the order of their numbers, ELR_EL2, SPSR_EL2.
fn general<'a>(frame: &'a Frame, kept: &'a Kept) -> impl Iterator<Item = u64> + 'a {
    let rest = [frame.link, kept.place, kept.state];
    frame.x.iter().chain(&kept.x).copied().chain(rest)
}

fn checkpoint(area: &mut Area<Cpu>, frame: &Frame) -> Answer {
    look(|sight, platform| {
        if !Gic::new(sight, platform).is_known(area.affinity) {
            return Answer::Failed(Error::Unsupported);
        }
        HYPERVISOR.keep(&area.logic, sight, |sight, [first, second]| {
            for (index, word) in general(frame, &area.kept).enumerate() {
                sight.write(first, index, word);
            }
            saved::write_down(|index, word| sight.write(first, index, word));
            Gic::new(sight, platform).write_down(area.affinity, second);
            Ok(())
        })
    })
    .unwrap_or_else(Answer::Failed)
}

fn roll_back(area: &mut Area<Cpu>, frame: &mut Frame, argument: u64) -> Result<(), Error> {
    match HYPERVISOR.roll_back(&area.logic, argument) {
        Ok(()) => {
            HYPERVISOR.shut();
            look(|sight, platform| Gic::new(sight, platform).knock())?;
        }
        // Somebody else asked first, and knocked.
        Err(Error::WrongPhase) => {}
        Err(error) => return Err(error),
    }
    match gather(area, frame) {
        Outcome::Back => Ok(()),
        Outcome::CalledOff => Err(HYPERVISOR.refusal()),
    }
}

fn gather(area: &mut Area<Cpu>, frame: &mut Frame) -> Outcome {
    area.stack_pointer = stack_pointer(area.kept.state);
    let cpu = area.logic;
    HYPERVISOR.gather(&cpu, &mut Out { area, frame })
}

/// Which of its two the guest used.
fn stack_pointer(state: u64) -> u64 {
    /// SPSR_EL2.M: EL1 with SP_EL1.
    const OWN: u64 = 0b101;
    if state & 0b1_1111 == OWN {
        SP_EL1.get()
    } else {
        SP_EL0.get()
    }
}

/// This CPU has no guest any more.
fn switch_off(area: &Area<Cpu>) -> ! {
    area.life.set(Life::Leaving);
    // Where the controller cannot be seen, the leader fails too, and ends the machine.
    let _ = look(|sight, platform| Gic::new(sight, platform).forget_private(area.affinity));
    guest::end(area);
    HYPERVISOR.gone();
    loop {
        psci::switch_off();
    }
}

fn wait(until: impl Fn() -> bool) -> Result<(), Error> {
    Machine::wait(PATIENCE * CNTFRQ_EL0.get(), until)
}

fn lead(area: &mut Area<Cpu>, frame: &mut Frame) -> Result<(), Error> {
    wait(|| HYPERVISOR.gathered())?;
    let own = registers_of(frame, &area.kept, area.stack_pointer);
    let index = area.index;
    look(|sight, _| {
        HYPERVISOR.may_go_back(
            sight,
            |cpu| {
                if cpu == index { Some(own) } else { parked(cpu) }
            },
        )
    })??;
    // From here on nobody else has a guest, and nothing fails but by a bug of ours.
    area.life.set(Life::Leaving);
    let affinity = area.affinity;
    // The others look at the controller before they go.
    let went = wait(|| HYPERVISOR.alone()).and_then(|()| {
        look(|sight, platform| {
            let devices = pci::quiet_all(&mut Ecam::new(sight, platform));
            Gic::new(sight, platform).take_off_memory();
            let others = (0..CPUS.load(Ordering::Relaxed)).filter(|cpu| *cpu != index);
            for other in others {
                if let Some(affinity) = forget(other) {
                    wait(|| psci::is_off(affinity))?;
                }
            }
            let ([first, second], number) = HYPERVISOR.go_back(&area.logic, sight, devices)?;
            Gic::new(sight, platform).put_back(affinity, second);
            restore(area, frame, sight, first);
            Ok::<_, Error>(number)
        })
    });
    let Ok(Ok(number)) = went else { death::end() };
    area.repetition = Repetition::default();
    frame.answer(&Answer::Words([number, 0, 0, 0, 0, 0, 0, 0]));
    HYPERVISOR.gone_back();
    // Whatever was fetched or translated is of a memory that is gone.
    instruction::forget_all_memory();
    area.life.set(Life::Outside);
    Ok(())
}

/// The guest is the one that was written down.
fn restore(area: &mut Area<Cpu>, frame: &mut Frame, sight: &mut Sight, first: HostPhysical) {
    let places = frame.x.iter_mut().chain(&mut area.kept.x);
    for (index, place) in places
        .chain([&mut frame.link, &mut area.kept.place, &mut area.kept.state])
        .enumerate()
    {
        *place = sight.read(first, index);
    }
    saved::put_back(|index| sight.read(first, index));
    ELR_EL2.set(area.kept.place);
    SPSR_EL2.set(area.kept.state);
}

/// A CPU that was in is in no longer; its MPIDR_EL1.
fn forget(cpu: u32) -> Option<u64> {
    let area = area::address(cpu) as *mut Area<Cpu>;
    // SAFETY: every CPU's area is mapped, and this word of one that is in is written by
    // itself only on its way in and out; it is parked.
    let place = unsafe { &raw mut (*area).affinity };
    // SAFETY: as above.
    let affinity = unsafe { place.read() };
    // SAFETY: as above.
    unsafe { place.write(0) };
    (affinity != 0).then_some(affinity)
}

/// The registers of a CPU that is parked; nothing of one that is not in.
fn parked(cpu: u32) -> Option<[u64; CPU_WORDS]> {
    let area = area::address(cpu) as *const Area<Cpu>;
    // SAFETY: every CPU's area is mapped; a CPU that is parked does not write its own,
    // and of any other only this word is read, which is atomic.
    let life = unsafe { &(*area).life }.now();
    if life != Life::Exited {
        return None;
    }
    let frame = area.wrapping_byte_add(CPU_STACK_TOP as usize - FRAME_BYTES);
    // SAFETY: the vectors pushed it there, on an empty stack, and it is parked.
    let frame = unsafe { frame.cast::<Frame>().read() };
    // SAFETY: as above: it is parked.
    let kept = unsafe { (*area).kept };
    // SAFETY: as above.
    let stack_pointer = unsafe { (*area).stack_pointer };
    Some(registers_of(&frame, &kept, stack_pointer))
}

/// As the record has them: 1, X0 to X15, PC, PSTATE, SP, X19 to X30. (X16 to X18 say
/// nothing in Linux: scratch and unused.)
fn registers_of(frame: &Frame, kept: &Kept, stack_pointer: u64) -> [u64; CPU_WORDS] {
    let mut words = [0; CPU_WORDS];
    let all = core::iter::once(1)
        .chain(frame.x.iter().copied().take(16))
        .chain([kept.place, kept.state, stack_pointer])
        .chain(kept.x)
        .chain([frame.link]);
    for (place, word) in words.iter_mut().zip(all) {
        *place = word;
    }
    words
}
