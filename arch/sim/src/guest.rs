// SPDX-License-Identifier: MIT OR Apache-2.0
//! What runs on a CPU, and the exits that it causes when the CPU is a guest.
//!
//! A script is a list of [`Act`]s; each has an [`Outcome`], and natively most
//! have another one than beneath Mercury. How an exit is taken apart and what
//! is asked of the core is the shape of `arch/x86_64/src/svm/exit.rs`, down to
//! the last question of every exit, whether to flush, and the first, whether the
//! image is dead: then the CPU is freed and the program's next try is native.

use mercury_hal::addr::GuestPhysical;
use mercury_hal::call::Answer;
use mercury_hal::call::Request;
use mercury_hal::error::Error;
use mercury_hal::event::Event;
use mercury_hal::exit::FaultAnswer;
use mercury_hal::exit::Policy;
use mercury_hal::exit::Reason;
use mercury_hal::exit::Touch;

use crate::SimHypervisor;
use crate::cpu::Flaw;
use crate::cpu::SimCpu;
use crate::memory::pattern;
use crate::mmu::allows;

/// Faults at one address in a row after which nobody believes in progress.
const PATIENCE: usize = 4;

/// How long a CPU holds the lock before it dies of it: others come and wait.
const HOLDS_ON: std::time::Duration = std::time::Duration::from_millis(20);

/// Something that a program does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Changes a register.
    Set(usize, u64),
    /// Touches memory.
    Touch(GuestPhysical, Touch),
    /// A hypercall from kernel mode: number and argument.
    Call(u64, u64),
    /// The same from user mode.
    UserCall(u64, u64),
    /// An exit in which the image dies.
    Die(Death),
}

/// Where the image is when it dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// Nowhere in particular.
    Plain,
    /// It has held the map's lock for a while.
    Locked,
    /// In the middle of a record.
    InRecord,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done; a load found this.
    Done(u64),
    /// The store went nowhere, and the program goes on.
    Dropped,
    /// A protection fault.
    Protection,
    /// An undefined instruction.
    Undefined,
    /// A hypercall was answered: status and words.
    Answered(u64, [u64; 8]),
}

impl SimCpu {
    /// Carries out a script.
    pub fn run(&mut self, script: &[Act]) -> Vec<Outcome> {
        script.iter().map(|act| self.act(*act)).collect()
    }

    pub(crate) fn act(&mut self, act: Act) -> Outcome {
        match act {
            Act::Set(number, value) => {
                self.set(number, value);
                Outcome::Done(0)
            }
            Act::Touch(address, touch) if self.is_guest() => self.touch(address, touch),
            Act::Touch(address, _) => Outcome::Done(pattern(address.identity())),
            Act::Call(number, argument) => self.call(number, argument, true),
            Act::UserCall(number, argument) => self.call(number, argument, false),
            Act::Die(death) => self.die(death),
        }
    }

    fn die(&mut self, death: Death) -> Outcome {
        if self.freed_if_dead() || !self.is_guest() {
            return Outcome::Undefined;
        }
        let hypervisor = self.hypervisor();
        match death {
            Death::Plain => hypervisor.die(),
            Death::InRecord => {
                hypervisor.tear_record();
                hypervisor.die();
            }
            Death::Locked => hypervisor.while_locked(|| {
                std::thread::sleep(HOLDS_ON);
                hypervisor.die();
            }),
        }
        hypervisor.record(&self.logic, Event::HostException, [6, 0, 0, 0, 0]);
        self.leave();
        Outcome::Undefined
    }

    /// The first thing at every exit.
    fn freed_if_dead(&mut self) -> bool {
        let dead = self.is_guest() && self.hypervisor().is_dead();
        if dead {
            self.leave();
        }
        dead
    }

    fn hypervisor(&self) -> std::sync::Arc<SimHypervisor> {
        let guest = self.guest.as_ref().expect("only guests exit");
        guest.shared.hypervisor.clone()
    }

    fn touch(&mut self, address: GuestPhysical, touch: Touch) -> Outcome {
        for _ in 0..PATIENCE {
            let guest = self.guest.as_ref().expect("only guests exit");
            let shared = guest.shared.clone();
            let found = self
                .tlb
                .translate(&shared.memory, guest.root, shared.shape, address);
            if let Some((target, access)) = found
                && allows(access, touch)
            {
                let inside = shared.memory.lent().number(target).is_some();
                assert!(
                    !inside || touch == Touch::Read,
                    "a guest's {touch:?} went into Mercury's frame {target:x?}"
                );
                return Outcome::Done(shared.memory.load(target));
            }
            if self.freed_if_dead() {
                return Outcome::Done(pattern(address.identity()));
            }
            let answer = shared
                .hypervisor
                .stage2_fault(&mut self.logic, address, touch);
            if answer == FaultAnswer::Dead {
                self.leave();
                return Outcome::Done(pattern(address.identity()));
            }
            let outcome = self.fault(&shared.hypervisor, address, touch, answer);
            self.back_in(&shared.hypervisor);
            if let Some(outcome) = outcome {
                return outcome;
            }
        }
        panic!("{touch:?} of {address:x?} faults for ever");
    }

    fn fault(
        &mut self,
        policy: &SimHypervisor,
        address: GuestPhysical,
        touch: Touch,
        answer: FaultAnswer,
    ) -> Option<Outcome> {
        let (reason, event, outcome) = match answer {
            FaultAnswer::Again | FaultAnswer::Dead => return None,
            FaultAnswer::Refuse => {
                policy.count(&mut self.logic, Reason::Other);
                return Some(Outcome::Protection);
            }
            FaultAnswer::Hole if touch == Touch::Write => {
                (Reason::HoleStore, Event::HoleStore, Outcome::Dropped)
            }
            FaultAnswer::Hole => (Reason::HoleRefused, Event::HoleRefused, Outcome::Protection),
        };
        assert!(!policy.may_look(address), "a look into the hole");
        policy.count(&mut self.logic, reason);
        policy.record(&self.logic, event, [address.0, touch as u64, 0, 0, 0]);
        Some(outcome)
    }

    fn call(&mut self, number: u64, argument: u64, from_kernel: bool) -> Outcome {
        if self.freed_if_dead() || !self.is_guest() {
            return Outcome::Undefined;
        }
        let policy = self.hypervisor();
        let request = from_kernel
            .then(|| Request::decode(number, argument))
            .flatten();
        let Some(request) = request else {
            policy.count(&mut self.logic, Reason::HypercallRefused);
            let arguments = [number, 3, 0, 0, 0];
            policy.record(&self.logic, Event::HypercallRefused, arguments);
            self.back_in(&policy);
            return Outcome::Undefined;
        };
        policy.count(&mut self.logic, Reason::Hypercall);
        let answer = policy.hypercall(&mut self.logic, request);
        let words = match answer {
            Answer::Leave => {
                self.leave();
                return Outcome::Answered(answer.status(), [0; 8]);
            }
            // It died meanwhile: the call is made again, and nobody answers.
            Answer::Failed(Error::Died) => {
                self.leave();
                return Outcome::Undefined;
            }
            Answer::Failed(_) | Answer::Guard(_) => [0; 8],
            Answer::Words(words) => words,
        };
        self.back_in(&policy);
        Outcome::Answered(answer.status(), words)
    }

    /// The last thing before the guest goes on.
    fn back_in(&mut self, policy: &SimHypervisor) {
        if policy.must_flush(&mut self.logic) && self.flaw != Flaw::NeverFlushes {
            self.tlb.flush();
        }
    }
}
