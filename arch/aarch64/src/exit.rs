// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exits, taken apart.
//!
//! A guest comes to EL2 for three reasons: it calls (HVC), its stage 2 faults,
//! or something happened that was not asked for. Each ends in one of two ways:
//! the guest goes on, with an exception if it is to see one, or the CPU leaves.
//!
//! A call with a number of ours is a hypercall. All others are for the stub
//! that Linux leaves at EL2, which natively would have answered them
//! (`arch/arm64/kernel/hyp-stub.S` says what it does; numbers as of 5.10 and
//! later): to take EL2 is refused, to give it back succeeds and does nothing,
//! and to run code at EL2 lets this CPU go first: that is how a crash kernel is
//! started, and afterwards nobody is left who could ask.
//!
//! Should the image die ([`mercury_hal::life`]), the guest must be as it was when it
//! came out. So a handler asks and records first, then calls [`Exit::settle`], and
//! only then writes the frame, ELR_EL2 and SPSR_EL2 (of which there are copies) or
//! registers of EL1 (of which there are none).

use aarch64_cpu::registers::ELR_EL1;
use aarch64_cpu::registers::ELR_EL2;
use aarch64_cpu::registers::ESR_EL1;
use aarch64_cpu::registers::ESR_EL2;
use aarch64_cpu::registers::FAR_EL1;
use aarch64_cpu::registers::FAR_EL2;
use aarch64_cpu::registers::HPFAR_EL2;
use aarch64_cpu::registers::ID_AA64PFR1_EL1;
use aarch64_cpu::registers::SCTLR_EL1;
use aarch64_cpu::registers::SPSR_EL1;
use aarch64_cpu::registers::SPSR_EL2;
use aarch64_cpu::registers::VBAR_EL1;
use mercury_hal::addr::GuestPhysical;
use mercury_hal::call::Answer;
use mercury_hal::call::Request;
use mercury_hal::event::Event;
use mercury_hal::exit::FaultAnswer;
use mercury_hal::exit::Policy;
use mercury_hal::exit::Reason;
use mercury_hal::exit::Touch;
use mercury_hal::life::Life;
use mercury_hal::repetition;
use tock_registers::interfaces::Readable;
use tock_registers::interfaces::Writeable;

use crate::area::Area;
use crate::el2;
use crate::el2::ThisCpu;
use crate::frame::Frame;
use crate::frame::Vector;
use crate::guest;
use crate::inject;
use crate::instruction;
use crate::leave;
use crate::mutant;
use crate::mutant::Mutant;
use crate::syndrome;
use crate::syndrome::Cause;
use crate::syndrome::Fault;

/// What happens after an exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The guest runs on.
    Guest,
    /// The CPU is the machine's again: back to the kernel with what the frame
    /// has in X0, or, if X3 is not 0, on at EL2 at that physical address with
    /// what it has in X0 to X2.
    Leave,
    /// The image is dead, and the guest is as it was at the exit: the CPU is
    /// freed.
    Dead,
    /// What the guest asked for needs all memory in sight, or other CPUs.
    Guard(Request),
    /// All CPUs are to come out, and the guest is as it was at the exit.
    ComeOut,
}

/// Numbers of the stub's calls, and its answer to what it does not know.
mod stub {
    pub(super) const SET_VECTORS: u64 = 0;
    pub(super) const SOFT_RESTART: u64 = 1;
    pub(super) const RESET_VECTORS: u64 = 2;
    pub(super) const UNKNOWN: u64 = 0x0bad_ca11;
}

/// Bits of SPSR_EL2 that belong to the instruction that was skipped: single
/// step and branch type.
const OF_THE_INSTRUCTION: u64 = 1 << 21 | 0b11 << 10;

/// One exit of one CPU.
struct Exit<'a, P: Policy> {
    area: &'a mut Area<P::Cpu>,
    frame: &'a mut Frame,
    policy: &'a P,
}

/// Handles an exit.
pub fn handle<P: Policy>(
    area: &mut Area<P::Cpu>,
    frame: &mut Frame,
    vector: Vector,
    policy: &P,
) -> Next {
    let calls = area.quick.take();
    policy.count_quick(&mut area.logic, calls);
    let mut exit = Exit {
        area,
        frame,
        policy,
    };
    match vector {
        Vector::Synchronous => exit.synchronous(),
        // Interrupts and system errors go to EL1 (HCR_EL2.IMO, FMO and AMO are
        // as Linux left them: clear).
        other => {
            exit.unexpected(other as u64, 0);
            Next::Guest
        }
    }
}

impl<P: Policy> Exit<'_, P> {
    fn synchronous(&mut self) -> Next {
        let esr = ESR_EL2.get();
        let place = ELR_EL2.get();
        match syndrome::decode(esr) {
            // The guest is behind its HVC already.
            Cause::Hypercall => {
                self.area.repetition.entry(true);
                return self.call();
            }
            _ if self.stands_still(esr) => {
                self.policy.die();
                return Next::Dead;
            }
            // The map may be shut; whatever it was, it faults again if nothing comes of it.
            Cause::Fault(_) if self.policy.gathers() => {
                self.count(Reason::Interrupt);
                self.area.repetition.entry(true);
                return Next::ComeOut;
            }
            Cause::Fault(fault) => self.fault(fault, esr),
            Cause::Other(_) => {
                self.unexpected(0, esr);
                if self.settle() {
                    self.take_exception(inject::UNDEFINED);
                }
            }
        }
        if self.area.life.now() == Life::Exited && self.policy.is_dead() {
            return Next::Dead;
        }
        let came_on = ELR_EL2.get() != place;
        self.area.repetition.entry(came_on);
        Next::Guest
    }

    /// The same exit, over and over (see [`repetition`]): the guest came on if it
    /// is at another instruction than the one that exited last. Exceptions that
    /// it got from us took it to its own vector.
    fn stands_still(&mut self, esr: u64) -> bool {
        let what = [esr, ELR_EL2.get(), FAR_EL2.get(), HPFAR_EL2.get()];
        let still = self.area.repetition.exit(what, false) == repetition::LIMIT;
        if still {
            let [esr, place, address, page] = what;
            self.count(Reason::Other);
            self.record(Event::Standstill, [esr, place, address, page, 0]);
        }
        still
    }

    /// The last look before the guest is changed: if the image has died, what was
    /// found out is worth nothing, and the guest stays as it is.
    fn settle(&self) -> bool {
        let alive = !self.policy.is_dead();
        if alive {
            self.area.life.set(Life::Settling);
        }
        alive
    }

    fn count(&mut self, reason: Reason) {
        self.policy.count(&mut self.area.logic, reason);
    }

    fn record(&self, event: Event, arguments: [u64; 5]) {
        self.policy.record(&self.area.logic, event, arguments);
    }

    fn call(&mut self) -> Next {
        let [number, argument, ..] = self.frame.x;
        let Some(request) = Request::decode(number, argument) else {
            return self.call_of_stub(number, argument);
        };
        self.count(Reason::Hypercall);
        let answer = self.policy.hypercall(&mut self.area.logic, request);
        if let Answer::Guard(request) = answer {
            return Next::Guard(request);
        }
        if !self.settle() {
            return Next::Dead;
        }
        self.frame.answer(&answer);
        match answer {
            Answer::Leave => self.leave(0),
            _ => Next::Guest,
        }
    }

    fn leave(&mut self, target: u64) -> Next {
        guest::end(self.area);
        leave::break_something(self.area);
        self.frame.x[3] = target;
        Next::Leave
    }

    fn call_of_stub(&mut self, number: u64, argument: u64) -> Next {
        self.count(Reason::Virtualization);
        let honoured = mutant::active(self.area.mutant, Mutant::ResetVectors);
        match number {
            // One plain store: nothing before it has changed, nothing after it can fail.
            stub::RESET_VECTORS if !honoured => self.frame.x[0] = 0,
            stub::RESET_VECTORS => {
                self.policy.hypercall(&mut self.area.logic, Request::Detach);
                if !self.settle() {
                    return Next::Dead;
                }
                self.frame.x[0] = 0;
                return self.leave(0);
            }
            stub::SOFT_RESTART => {
                let [_, target, first, second, third, ..] = self.frame.x;
                self.policy.hypercall(&mut self.area.logic, Request::Detach);
                if !self.settle() {
                    return Next::Dead;
                }
                self.frame.x[0] = first;
                self.frame.x[1] = second;
                self.frame.x[2] = third;
                return self.leave(target);
            }
            _ => {
                if number == stub::SET_VECTORS {
                    self.record(Event::ModeRefused, [argument, ELR_EL2.get(), 0, 0, 0]);
                }
                self.frame.x[0] = stub::UNKNOWN;
            }
        }
        Next::Guest
    }

    fn fault(&mut self, fault: Fault, esr: u64) {
        let Some(address) = self.fault_address(fault) else {
            // Stage 1 has changed since: the guest finds out by itself.
            return;
        };
        if fault.is_conflict() {
            el2::forget_here(&ThisCpu);
            return;
        }
        let known = fault.is_translation() || fault.is_permission() || fault.is_address_size();
        if !known {
            self.unexpected(0, esr);
            self.abort(esr);
            return;
        }
        match self
            .policy
            .stage2_fault(&mut self.area.logic, address, fault.touch)
        {
            FaultAnswer::Again => el2::publish(&ThisCpu),
            FaultAnswer::Hole => self.hole(address, fault, esr),
            FaultAnswer::Refuse => self.abort(esr),
            // The last question of the exit sees it.
            FaultAnswer::Dead => {}
        }
    }

    /// Where the fault was. For a permission fault of an access of the guest's
    /// own only the virtual address is known (Arm ARM D24.2.68).
    fn fault_address(&self, fault: Fault) -> Option<GuestPhysical> {
        let far = FAR_EL2.get();
        if fault.is_permission() && fault.touch != Touch::Walk {
            let found = instruction::guest_translation(far);
            return syndrome::translated(found, far).map(GuestPhysical);
        }
        Some(GuestPhysical(syndrome::fault_address(HPFAR_EL2.get(), far)))
    }

    /// An access to our frames.
    fn hole(&mut self, address: GuestPhysical, fault: Fault, esr: u64) {
        let place = ELR_EL2.get();
        if fault.is_plain_store() || fault.maintenance {
            self.count(Reason::HoleStore);
            self.record(
                Event::HoleStore,
                [address.0, u64::from(fault.size), place, 0, 0],
            );
            if self.settle() {
                self.skip();
            }
        } else {
            self.count(Reason::HoleRefused);
            self.record(
                Event::HoleRefused,
                [address.0, fault.touch as u64, place, 0, 0],
            );
            self.abort(esr);
        }
    }

    /// The instruction is done. Only 32-bit programs have shorter ones.
    fn skip(&mut self) {
        let short = ESR_EL2.get() & 1 << 25 == 0;
        let mut length = if short { 2 } else { 4 };
        if mutant::active(self.area.mutant, Mutant::HoleLength) {
            length *= 2;
        }
        ELR_EL2.set(ELR_EL2.get().wrapping_add(length));
        SPSR_EL2.set(SPSR_EL2.get() & !OF_THE_INSTRUCTION);
    }

    /// The guest gets a synchronous external abort.
    fn abort(&mut self, esr: u64) {
        if !self.settle() {
            return;
        }
        FAR_EL1.set(FAR_EL2.get());
        let before = self.before();
        self.take_exception(inject::external_abort(esr, before.is_user()));
    }

    fn before(&self) -> inject::Before {
        const TAGGING: u64 = 0xf << 8;
        inject::Before {
            state: SPSR_EL2.get(),
            sctlr: SCTLR_EL1.get(),
            vectors: VBAR_EL1.get(),
            tagging: ID_AA64PFR1_EL1.get() & TAGGING != 0,
        }
    }

    fn take_exception(&mut self, esr: u64) {
        let after = self.before().take();
        ESR_EL1.set(esr);
        ELR_EL1.set(ELR_EL2.get());
        SPSR_EL1.set(SPSR_EL2.get());
        ELR_EL2.set(after.address);
        SPSR_EL2.set(after.state);
    }

    fn unexpected(&mut self, vector: u64, esr: u64) {
        self.count(Reason::Other);
        self.record(
            Event::UnknownExit,
            [vector, esr, FAR_EL2.get(), ELR_EL2.get(), 0],
        );
    }
}
