// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checkpoint and roll-back under SVM.
//!
//! The CPU that takes a checkpoint stands behind its hypercall; its control block and
//! its registers are all that there is of it, and they go into the store. For a
//! roll-back every other CPU is knocked at by an NMI, which is intercepted while there
//! is a store; a CPU that is in the image finds it at its next entry. It parks. When the
//! leader has decided, it gives back what belongs to the host's side of SVM, clears
//! EFER.SVME, sets the global interrupt flag, and halts until the INIT that the leader
//! sends: from then on it is natively off, waits to be started, and executes nothing
//! that could be taken away beneath it.
#![expect(unsafe_code, reason = "writes CPUs down, reads other CPUs' areas")]

use core::hint;
use core::sync::atomic::Ordering;

use mercury_core::guard::pci;
use mercury_core::guard::record::CPU_WORDS;
use mercury_core::hypervisor::Cpu;
use mercury_core::hypervisor::guarded::Gathered;
use mercury_core::hypervisor::guarded::Outcome;
use mercury_hal::call::Answer;
use mercury_hal::call::Cause;
use mercury_hal::call::Request;
use mercury_hal::error::Error;
use mercury_hal::exit::Policy;
use mercury_hal::life::Life;
use mercury_hal::pages::Pages;
use mercury_hal::pages::WORDS;
use mercury_hal::repetition::Repetition;
use mercury_x86::area;
use mercury_x86::area::Area;
use mercury_x86::area::register;
use mercury_x86::exception;
use mercury_x86::guard::local_apic;
use mercury_x86::guard::pci::Ports;
use mercury_x86::guard::sight::Sight;
use mercury_x86::instruction;
use mercury_x86::nmi;
use mercury_x86::registers;
use mercury_x86::svm::capabilities::Capabilities;
use mercury_x86::svm::depart;
use mercury_x86::svm::vmcb::ControlBlock;
use mercury_x86::svm::vmcb::flush;
use spin::mutex::SpinMutex;

use crate::machine::CPUS;
use crate::machine::HYPERVISOR;
use crate::machine::Machine;
use crate::svm::guest_block;

/// How long the leader waits for the others: some seconds on every machine.
const PATIENCE: u64 = 1 << 34;

/// Whoever looks through the slots for all memory.
static LOOKING: SpinMutex<()> = SpinMutex::new(());

/// This CPU, out of its guest.
struct Out<'a> {
    area: &'a mut Area<Cpu>,
    block: &'a mut ControlBlock,
}

impl Gathered for Out<'_> {
    fn lead(&mut self) -> Result<(), Error> {
        lead(self.area, self.block)
    }

    fn patience(&self) -> u64 {
        2 * PATIENCE
    }

    fn switch_off(&mut self) -> ! {
        switch_off(self.area, self.block)
    }
}

/// Looks at memory; nothing if the image died meanwhile.
fn look<R>(area: &Area<Cpu>, with: impl FnOnce(&mut Sight) -> R) -> Result<R, Error> {
    let _looking = loop {
        match LOOKING.try_lock() {
            Some(looking) => break looking,
            None if HYPERVISOR.is_dead() => return Err(Error::Died),
            None => hint::spin_loop(),
        }
    };
    let entries = area.peek_entry - u64::from(area.index) * 8;
    // SAFETY: the module mapped the slots behind the CPUs' own, and the lock keeps all
    // others away until the value is dropped.
    let mut sight = unsafe { Sight::new(CPUS.load(Ordering::Relaxed), entries) };
    Ok(with(&mut sight))
}

/// Carries out what a guest asked for, which stands behind its hypercall.
pub(crate) fn carry_out(area: &mut Area<Cpu>, block: &mut ControlBlock, request: Request) {
    let answer = match request {
        Request::Checkpoint => checkpoint(area, block),
        Request::RollBack(argument) => match roll_back(area, block, argument) {
            Ok(()) => return,
            // A guest that shut itself down cannot go on.
            Err(_) if argument == Cause::Shutdown as u64 => exception::reset(),
            Err(error) => Answer::Failed(error),
        },
        _ => look(area, |sight| {
            HYPERVISOR.guard_call(&area.logic, request, sight)
        })
        .unwrap_or_else(Answer::Failed),
    };
    block.rax = answer.status();
    area.answer(&answer);
}

/// All CPUs come out: this one came by an NMI.
pub(crate) fn come_out(area: &mut Area<Cpu>, block: &mut ControlBlock) {
    // If nothing comes of it, its guest has noticed nothing.
    let _ = gather(area, block);
}

/// The words of a control block.
fn words(block: &mut ControlBlock) -> &mut [u64; WORDS] {
    let words = (&raw mut *block).cast::<[u64; WORDS]>();
    // SAFETY: a block is a page of numbers, and the borrow is the block's.
    unsafe { &mut *words }
}

fn checkpoint(area: &mut Area<Cpu>, block: &mut ControlBlock) -> Answer {
    look(area, |sight| {
        HYPERVISOR.keep(&area.logic, sight, |sight, [first, second]| {
            for (index, word) in words(block).iter().enumerate() {
                sight.write(first, index, *word);
            }
            for (index, word) in area.registers.0.iter().enumerate() {
                sight.write(second, index, *word);
            }
            Ok(())
        })
    })
    .unwrap_or_else(Answer::Failed)
}

fn roll_back(area: &mut Area<Cpu>, block: &mut ControlBlock, argument: u64) -> Result<(), Error> {
    match HYPERVISOR.roll_back(&area.logic, argument) {
        Ok(()) => look(area, local_apic::knock)?,
        // Somebody else asked first, and knocked.
        Err(Error::WrongPhase) => {}
        Err(error) => return Err(error),
    }
    match gather(area, block) {
        Outcome::Back => Ok(()),
        Outcome::CalledOff => Err(HYPERVISOR.refusal()),
    }
}

fn gather(area: &mut Area<Cpu>, block: &mut ControlBlock) -> Outcome {
    let cpu = area.logic;
    HYPERVISOR.gather(&cpu, &mut Out { area, block })
}

/// This CPU has no guest any more.
fn switch_off(area: &Area<Cpu>, block: &ControlBlock) -> ! {
    area.life.set(Life::Leaving);
    // SAFETY: no guest runs on this CPU after it.
    unsafe { depart::give_back(area, block, Capabilities::read()) };
    // SAFETY: this is the image; NMIs are counted and of no concern.
    unsafe { instruction::set_global_interrupt_flag() };
    // SAFETY: every CPU in long mode has the register.
    let extended = unsafe { instruction::read_msr(x86::msr::IA32_EFER) };
    // SAFETY: no instruction of SVM follows on this CPU.
    unsafe {
        instruction::write_msr(x86::msr::IA32_EFER, extended & !registers::EFER_SVME);
    }
    HYPERVISOR.gone();
    loop {
        instruction::halt();
    }
}

fn wait(until: impl Fn() -> bool) -> Result<(), Error> {
    Machine::wait(PATIENCE, until)
}

fn lead(area: &mut Area<Cpu>, block: &mut ControlBlock) -> Result<(), Error> {
    wait(|| HYPERVISOR.gathered())?;
    let own = registers_of(&area.registers.0, block);
    let index = area.index;
    look(area, |sight| {
        HYPERVISOR.may_go_back(
            sight,
            |cpu| {
                if cpu == index { Some(own) } else { parked(cpu) }
            },
        )
    })??;
    // From here on nobody else has a guest, and nothing fails but by a bug of ours.
    let went = look(area, |sight| {
        let devices = pci::quiet_all(&mut Ports);
        wait(|| HYPERVISOR.alone())?;
        local_apic::switch_others_off(sight);
        let ([first, second], number) = HYPERVISOR.go_back(&area.logic, sight, devices)?;
        // SAFETY: this is the image; NMIs are counted and of no concern.
        unsafe { instruction::set_global_interrupt_flag() };
        // SAFETY: the image's tables are loaded, and its interrupt flag is clear.
        unsafe { local_apic::end_interrupts(sight) };
        // SAFETY: SVM is enabled on a CPU that has a guest.
        unsafe { instruction::clear_global_interrupt_flag() };
        for (index, word) in words(block).iter_mut().enumerate() {
            *word = sight.read(first, index);
        }
        let mut general = [0; 16];
        for (index, word) in general.iter_mut().enumerate() {
            *word = sight.read(second, index);
        }
        Ok::<_, Error>((general, number))
    });
    let Ok(Ok((general, number))) = went else {
        exception::reset()
    };
    area.registers.0 = general;
    area.nmi = nmi::Progress::default();
    area.repetition = Repetition::default();
    // Whatever is cached is of a memory that is gone.
    block.tlb_control = flush::EVERYTHING;
    block.clean = 0;
    let answer = Answer::Words([number, 0, 0, 0, 0, 0, 0, 0]);
    block.rax = answer.status();
    area.answer(&answer);
    HYPERVISOR.gone_back();
    Ok(())
}

/// The registers of a CPU that is parked; nothing of one that is not in.
fn parked(cpu: u32) -> Option<[u64; CPU_WORDS]> {
    let area = area::address(cpu) as *const Area<Cpu>;
    // SAFETY: every CPU's area is mapped; a CPU that is parked does not write its own,
    // and of any other only this word is read, which is atomic.
    let life = unsafe { &(*area).life }.now();
    if life != Life::Exited && life != Life::Settling {
        return None;
    }
    // SAFETY: as above: it is parked.
    let general = unsafe { (*area).registers.0 };
    // SAFETY: as above.
    let block = unsafe { &*guest_block(cpu) };
    Some(registers_of(&general, block))
}

/// As the record has them: 1, the general registers in the order of their numbers, RIP,
/// RFLAGS, CR0, CR2, CR3, CR4, EFER, GS base, kernel GS base, CS, SS.
fn registers_of(general: &[u64; 16], block: &ControlBlock) -> [u64; CPU_WORDS] {
    /// RSP has no place among the general registers.
    const RSP: usize = 4;
    let mut words = [0; CPU_WORDS];
    let own = [
        block.rip,
        block.rflags,
        block.cr0,
        block.cr2,
        block.cr3,
        block.cr4,
        block.efer,
        block.gs.base,
        block.kernel_gs_base,
        u64::from(block.cs.selector),
        u64::from(block.ss.selector),
    ];
    let mut general = *general;
    general[register::RAX] = block.rax;
    general[RSP] = block.rsp;
    let all = core::iter::once(1).chain(general).chain(own);
    for (place, word) in words.iter_mut().zip(all) {
        *place = word;
    }
    words
}
