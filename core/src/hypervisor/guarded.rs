// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checkpoint and roll-back, as far as all architectures have them in common.
//!
//! A checkpoint is taken by one CPU, the *leader*, when it is the only one that is in.
//! For a roll-back all that are in come out ([`crate::guard::gather`]); the leader, whose
//! state the checkpoint has, does the rest. The backend knows how a CPU is written
//! down, woken and switched off, and calls these in this order:
//!
//! 1. [`Hypervisor::roll_back`] on the CPU that asks, which then knocks at the others, and
//!    [`Hypervisor::gather`] on each that is out;
//! 2. [`Hypervisor::gathered`] on the leader, until it is true or its patience ends
//!    ([`Hypervisor::wait`]);
//! 3. [`Hypervisor::may_go_back`]: the last that can fail;
//! 4. [`Hypervisor::go_back`], when devices no longer write to memory.

use core::hint;
use core::sync::atomic::Ordering;

use mercury_hal::addr::HostPhysical;
use mercury_hal::call::Answer;
use mercury_hal::call::Cause;
use mercury_hal::call::Request;
use mercury_hal::clock::Clock;
use mercury_hal::error::Error;
use mercury_hal::event::Event;
use mercury_hal::exit::Policy;
use mercury_hal::frames::FrameAccess;
use mercury_hal::pages::Pages;
use mercury_hal::paging::Stage2Format;
use spin::mutex::SpinMutexGuard;

use super::Cpu;
use super::Hypervisor;
use super::Prepared;
use crate::guard::Store;
use crate::guard::gather::Verdict;
use crate::guard::record;
use crate::guard::record::Head;

/// What came of a gathering, on a CPU that still has a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing: the guest goes on as it was.
    CalledOff,
    /// The guest is the checkpoint's.
    Back,
}

/// A CPU that is out of its guest for a roll-back, and what the backend does with it.
pub trait Gathered {
    /// It leads: steps 2 to 4, and its guest is the checkpoint's. An error comes before
    /// anything was changed.
    ///
    /// # Errors
    /// Why it is to be called off.
    fn lead(&mut self) -> Result<(), Error>;
    /// Ticks of the clock that it waits for a leader: more than a leader waits for it.
    fn patience(&self) -> u64;
    /// It has no guest any more: it says so ([`Hypervisor::gone`]), and is off until the
    /// kernel starts it.
    fn switch_off(&mut self) -> !;
}

/// Bits of [`Request::RollBack`]'s argument.
const CAUSE: u64 = 0xff;
const STORY_SHIFT: u32 = 8;
const STORY_MASK: u64 = 0xffff_ffff;

/// In [`Hypervisor::leader`]: there is none.
pub(super) const NO_LEADER: u32 = u32::MAX;

impl<F: Stage2Format, A: FrameAccess, C: Clock> Hypervisor<F, A, C> {
    fn with_store<R>(&self, what: impl FnOnce(&mut Store) -> Result<R, Error>) -> Result<R, Error> {
        let mut guard = self.map_lock()?;
        let prepared = guard.as_mut().ok_or(Error::WrongPhase)?;
        what(prepared.store.as_mut().ok_or(Error::StoreTooSmall)?)
    }

    /// Answers what needs all memory in sight but no other CPU.
    pub fn guard_call(&self, cpu: &Cpu, request: Request, pages: &mut impl Pages) -> Answer {
        let answer = match request {
            Request::Mark(argument) => self.with_store(|store| {
                self.leader.store(NO_LEADER, Ordering::Release);
                store.mark(pages, argument)?;
                Ok([0; 8])
            }),
            Request::Tell(argument) => self.with_store(|store| {
                store.tell(pages, argument)?;
                Ok([0; 8])
            }),
            Request::Retell(from) => self.with_store(|store| Ok(store.retell(pages, from))),
            Request::Guarded => self.with_store(|store| {
                let figures = store.figures();
                Ok([
                    figures.checkpoints,
                    figures.rolled_back,
                    figures.kept,
                    store.room(),
                    figures.changed,
                    figures.wanted,
                    0,
                    0,
                ])
            }),
            Request::GiveUp => self.with_store(|store| {
                self.leader.store(NO_LEADER, Ordering::Release);
                if store.give_up() {
                    let number = store.figures().checkpoints;
                    self.record(cpu, Event::CheckpointGivenUp, [number, 0, 0, 0, 0]);
                }
                Ok([0; 8])
            }),
            _ => Err(Error::UnknownRequest),
        };
        answer.map_or_else(Answer::Failed, Answer::Words)
    }

    /// Takes a checkpoint. `write_down` writes this CPU into the two frames.
    pub fn keep<P: Pages>(
        &self,
        cpu: &Cpu,
        pages: &mut P,
        write_down: impl FnOnce(&mut P, [HostPhysical; 2]) -> Result<(), Error>,
    ) -> Answer {
        let kept = self.with_store(|store| {
            self.leader.store(NO_LEADER, Ordering::Release);
            if self.progress.inside() != 1 {
                return Err(Error::NotGathered);
            }
            store.keep(pages, write_down)
        });
        match kept {
            Ok(figures) => {
                self.leader.store(cpu.index, Ordering::Release);
                let told = [figures.checkpoints, figures.kept, 0, 0, 0];
                self.record(cpu, Event::CheckpointTaken, told);
                Answer::Words([0, figures.checkpoints, figures.kept, 0, 0, 0, 0, 0])
            }
            Err(error) => {
                let room = self.with_store(|store| Ok([store.figures().wanted, store.room()]));
                let [wanted, room] = room.unwrap_or_default();
                let told = [error as u64, wanted, room, 0, 0];
                self.record(cpu, Event::CheckpointRefused, told);
                Answer::Failed(error)
            }
        }
    }

    /// Whether this CPU is the one that leads a roll-back.
    fn leads(&self, cpu: &Cpu) -> bool {
        self.leader.load(Ordering::Acquire) == cpu.index
    }

    /// Whether there is a checkpoint to go back to.
    pub fn can_go_back(&self) -> bool {
        self.leader.load(Ordering::Acquire) != NO_LEADER
    }

    /// This CPU asks for a roll-back ([`Request::RollBack`]). If there is no error, all
    /// others are to be knocked at; this CPU leads or parks.
    ///
    /// # Errors
    /// [`Error::NoCheckpoint`]; [`Error::CrashLoop`], unless somebody wanted it;
    /// [`Error::WrongPhase`] if somebody else asked already, and
    /// this CPU is to park like any other.
    pub fn roll_back(&self, cpu: &Cpu, argument: u64) -> Result<(), Error> {
        let refusal = if !self.can_go_back() {
            Some(Error::NoCheckpoint)
        } else if argument & CAUSE != Cause::Asked as u64 {
            let loops = self.with_store(|store| Ok(store.loops(C::ticks())))?;
            loops.then_some(Error::CrashLoop)
        } else {
            None
        };
        if let Some(error) = refusal {
            self.record(cpu, Event::RollBackRefused, [error as u64, 0, 0, 0, 0]);
            return Err(error);
        }
        if !self.gather.call() {
            return Err(Error::WrongPhase);
        }
        self.asked.store(argument, Ordering::Relaxed);
        self.asker.store(cpu.index, Ordering::Release);
        let told = [argument & CAUSE, u64::from(cpu.index), 0, 0, 0];
        self.record(cpu, Event::RollBackBegins, told);
        Ok(())
    }

    /// A way to knock where there is no interrupt that nobody can mask: the whole map is
    /// taken away, and every CPU that runs beneath it faults. It is there again when the
    /// roll-back is over or called off.
    pub fn shut(&self) {
        if let Ok(mut guard) = self.map_lock()
            && self.gather.is_called()
            && let Some(prepared) = guard.as_mut()
        {
            prepared.map.shut();
        }
    }

    /// Opens the map again. Nobody shuts it before its lock is given back; if the image
    /// died, every CPU is freed at its next exit.
    fn open(guard: &mut Result<SpinMutexGuard<'_, Option<Prepared<F, A>>>, Error>) {
        if let Ok(guard) = guard
            && let Some(prepared) = guard.as_mut()
        {
            prepared.map.open();
        }
    }

    /// A CPU came out of its guest: it leads, or it parks until it is known what becomes
    /// of it.
    pub fn gather(&self, cpu: &Cpu, out: &mut impl Gathered) -> Outcome {
        if self.leads(cpu) {
            return match out.lead() {
                Ok(()) => Outcome::Back,
                Err(error) => {
                    self.call_off(cpu, error);
                    Outcome::CalledOff
                }
            };
        }
        if !self.gather.park() {
            return Outcome::CalledOff;
        }
        let begin = C::ticks();
        loop {
            match self.gather.verdict() {
                Verdict::GoOn => return Outcome::CalledOff,
                Verdict::Gone => out.switch_off(),
                // Whoever was to decide is no more; the backend finds that, too.
                Verdict::Wait if self.is_dead() => return Outcome::CalledOff,
                Verdict::Wait if C::ticks().wrapping_sub(begin) > out.patience() => {
                    self.call_off(cpu, Error::NotGathered);
                }
                Verdict::Wait => hint::spin_loop(),
            }
        }
    }

    /// Waits for this so many ticks of the clock.
    ///
    /// # Errors
    /// [`Error::NotGathered`] if they are over.
    pub fn wait(patience: u64, until: impl Fn() -> bool) -> Result<(), Error> {
        let begin = C::ticks();
        while !until() {
            if C::ticks().wrapping_sub(begin) > patience {
                return Err(Error::NotGathered);
            }
            hint::spin_loop();
        }
        Ok(())
    }

    /// A CPU that parked has nothing of its own left to do.
    pub fn gone(&self) {
        self.gather.gone();
    }

    /// On the leader: whether all other CPUs that are in have parked.
    pub fn gathered(&self) -> bool {
        self.gather.parked() + 1 >= u64::from(self.progress.inside())
    }

    /// On the leader: not to be done. Everybody goes on where he was.
    ///
    /// Also on a CPU that parked, when no leader came: it may be where nothing reaches it.
    /// The lock of the map says who was first, it or a leader that came late.
    fn call_off(&self, cpu: &Cpu, error: Error) {
        let mut guard = self.map_lock();
        if !self.gather.is_called() {
            return;
        }
        self.record(cpu, Event::RollBackRefused, [error as u64, 0, 0, 0, 0]);
        self.refusal.store(error as u32, Ordering::Release);
        Self::open(&mut guard);
        self.gather.cancel();
    }

    /// Why the last roll-back was called off.
    pub fn refusal(&self) -> Error {
        let refusal = self.refusal.load(Ordering::Acquire);
        let mut all = Error::ALL.iter().copied();
        all.find(|error| *error as u32 == refusal)
            .unwrap_or(Error::NotGathered)
    }

    /// On the leader, alone: whether the store is what it was, and each CPU's registers
    /// are written into the record, `registers` naming those of a CPU that is there.
    /// When there is no error, no other CPU has a guest any more.
    ///
    /// # Errors
    /// As [`Store::verify`].
    pub fn may_go_back<P: Pages>(
        &self,
        pages: &mut P,
        registers: impl Fn(u32) -> Option<[u64; record::CPU_WORDS]>,
    ) -> Result<(), Error> {
        let argument = self.asked.load(Ordering::Relaxed);
        let mut guard = self.map_lock()?;
        let prepared = guard.as_mut().ok_or(Error::WrongPhase)?;
        let cpus = prepared.plan.cpus;
        let store = prepared.store.as_mut().ok_or(Error::NoCheckpoint)?;
        store.verify(pages)?;
        let head = Head {
            number: store.figures().rolled_back + 1,
            cause: argument & CAUSE,
            cpu: u64::from(self.asker.load(Ordering::Acquire)),
            ticks: C::ticks(),
            story: argument >> STORY_SHIFT & STORY_MASK,
            cpus: u64::from(cpus),
            changed: 0,
            frames: record::frames(cpus),
        };
        let frame = store.record(0)?;
        for (index, word) in head.words().into_iter().enumerate() {
            pages.write(frame, index, word);
        }
        for cpu in 0..cpus {
            let (number, at) = record::place(cpu);
            let frame = store.record(number)?;
            let words = registers(cpu).unwrap_or([0; record::CPU_WORDS]);
            for (offset, word) in words.into_iter().enumerate() {
                pages.write(frame, at + offset, word);
            }
        }
        // One that parked has waited long enough, and all go on.
        if !self.gather.is_called() {
            return Err(Error::NotGathered);
        }
        self.gather.dismiss();
        Ok(())
    }

    /// On the leader, alone: puts memory back, and gives the frames that the leader is
    /// written down in and the number of the roll-back.
    ///
    /// # Errors
    /// None after [`Self::may_go_back`] had none.
    pub fn go_back(
        &self,
        cpu: &Cpu,
        pages: &mut impl Pages,
        devices: u64,
    ) -> Result<([HostPhysical; 2], u64), Error> {
        /// [`Head::changed`].
        const CHANGED: usize = 6;
        let (saved, figures) = self.with_store(|store| {
            let figures = store.put_back(pages, C::ticks())?;
            pages.write(store.record(0)?, CHANGED, figures.changed);
            Ok((store.saved()?, figures))
        })?;
        self.progress.recall();
        let told = [
            figures.rolled_back,
            figures.changed,
            figures.kept,
            devices,
            0,
        ];
        self.record(cpu, Event::RolledBack, told);
        Ok((saved, figures.rolled_back))
    }

    /// On the leader: whether all that were dismissed are gone.
    pub fn alone(&self) -> bool {
        self.gather.parked() == 0
    }

    /// On the leader: the roll-back is over.
    pub fn gone_back(&self) {
        let mut guard = self.map_lock();
        Self::open(&mut guard);
        self.gather.over();
    }

    /// The argument with which the image itself asks, for a cause that the kernel
    /// cannot tell a story about.
    #[must_use]
    pub const fn by_itself(cause: Cause) -> u64 {
        cause as u64
    }
}
