// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hypervisor: the one object that every CPU's exits ask.
//!
//! It is `const`-constructible and lives in the image's data. The module
//! prepares it through the door ([`Hypervisor::prepare`], [`Hypervisor::map`],
//! [`Hypervisor::punch`]); from then on only [`Policy`] is used, from exits.
//!
//! One lock guards the nested map. It is taken when the guest faults outside
//! iomem or touches the hole and by hypercalls that change or describe the map:
//! never on a path that an undisturbed guest takes. No interrupt can arrive
//! while it is held (the image runs with all of them off), so the holder always
//! makes progress, unless it dies.
//!
//! The image may die on one CPU, by an exception or a panic of its own
//! ([`Policy::die`]). From then on the map is nobody's: its lock may be held
//! for ever, and what it guards may be half changed. So the lock is taken in one
//! place only ([`Hypervisor::map_lock`]), which gives up when the image is dead,
//! and everybody who wanted it has an answer that says so: [`Error::Died`] or
//! [`FaultAnswer::Dead`], never a fault for a guest that did nothing. A CPU that
//! gets one leaves with its guest's state as it was at the exit. Records go on
//! without the lock, before and after.

use core::hint;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering;

use mercury_hal::addr::GuestPhysical;
use mercury_hal::addr::GuestRange;
use mercury_hal::addr::HostPhysical;
use mercury_hal::call::Answer;
use mercury_hal::call::ProofPages;
use mercury_hal::call::Request;
use mercury_hal::clock::Clock;
use mercury_hal::error::Error;
use mercury_hal::event::Event;
use mercury_hal::exit::FaultAnswer;
use mercury_hal::exit::Policy;
use mercury_hal::exit::Reason;
use mercury_hal::exit::Touch;
use mercury_hal::frames::FrameAccess;
use mercury_hal::frames::FrameSource;
use mercury_hal::frames::TableMemory;
use mercury_hal::paging::Access;
use mercury_hal::paging::Shape;
use mercury_hal::paging::Stage2Format;
use mercury_hal::paging::span;
use mercury_hal::quick::Quick;
use spin::mutex::SpinMutex;
use spin::mutex::SpinMutexGuard;

use crate::generation::Generation;
use crate::guard::Store;
use crate::guard::gather::Gather;
use crate::lent::Lent;
use crate::lent::LentTables;
use crate::phase::Phase;
use crate::phase::Progress;
use crate::ring::RECORD_WORDS;
use crate::ring::Ring;
use crate::stage2::Stage2;
use crate::stats::ExitCounters;

pub mod guarded;

use guarded::NO_LEADER;

/// What the logic keeps for one CPU.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    index: u32,
    counters: ExitCounters,
    generation: u64,
    entries: u64,
}

impl Cpu {
    /// The CPU of this number.
    #[must_use]
    pub const fn new(index: u32) -> Self {
        Self {
            index,
            counters: ExitCounters::ZERO,
            generation: 0,
            entries: 0,
        }
    }
    /// The CPU's number, as the kernel counts.
    #[must_use]
    pub const fn index(&self) -> u32 {
        self.index
    }
}

/// What the module told at the preparation.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The frames that were lent.
    pub lent: Lent,
    /// First of them that is free for tables.
    pub first_free: u64,
    /// Shape of the nested map.
    pub shape: Shape,
    /// The module's proof pages.
    pub proof: ProofPages,
    /// CPUs that may ever enter.
    pub cpus: u32,
    /// How many of the frames, the last ones, are the store; 0: there is none, and no
    /// checkpoint.
    pub store_frames: u64,
    /// First page behind all memory.
    pub memory_end: u64,
    /// Ticks within which so many roll-backs are a loop; 0: any number is none.
    pub crash_loop_ticks: u64,
}

/// Frames that are still free when the preparation is over, so that addresses
/// outside iomem can be mapped when they are touched. Beside them, where leaves
/// are small, one for each gigabyte of the windows that were not mapped, up to
/// [`MOST_RESERVED`].
const RESERVED: u64 = 16;
/// Most frames held back.
const MOST_RESERVED: u64 = 64;
/// Of them, memory that is added leaves so many to addresses that are touched
/// without notice: the registers of a device may lie in a gigabyte of its own.
const KEPT_FROM_MEMORY: u64 = 4;

/// In the record of an exit that is no hypercall.
const NO_CALL: u64 = u64::MAX;

struct Prepared<F, A> {
    plan: Plan,
    map: Stage2<F, LentTables<A>>,
    zeros: HostPhysical,
    store: Option<Store>,
    on_demand: u64,
    /// Gigabytes of windows that wait until they are touched.
    waiting: u64,
}

/// See the module's documentation.
pub struct Hypervisor<F, A, C> {
    progress: Progress,
    ring: Ring,
    /// The nested map's generation, readable without the lock.
    generation: Generation,
    prepared: SpinMutex<Option<Prepared<F, A>>>,
    /// Whether the image died on some CPU. Never cleared: the next attach brings
    /// an image of its own.
    dead: AtomicBool,
    /// Whether each exit is recorded. One load and one branch of every exit; nobody
    /// orders anything by it.
    tracing: AtomicBool,
    /// Whether null hypercalls go the way of all exits ([`Quick::usual`]): the image
    /// is dead, or exits are recorded.
    usual: AtomicBool,
    /// Whether there is a store.
    guarded: AtomicBool,
    /// All CPUs come out for a roll-back.
    gather: Gather,
    /// The CPU that the checkpoint has; [`NO_LEADER`]: there is no checkpoint.
    leader: AtomicU32,
    /// What the roll-back was asked with, by whom, and why it was refused.
    asked: AtomicU64,
    asker: AtomicU32,
    refusal: AtomicU32,
    clock: core::marker::PhantomData<fn() -> C>,
}

impl<F, A, C> core::fmt::Debug for Hypervisor<F, A, C> {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter
            .debug_struct("Hypervisor")
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}

impl<F: Stage2Format, A: FrameAccess, C: Clock> Default for Hypervisor<F, A, C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<F: Stage2Format, A: FrameAccess, C: Clock> Hypervisor<F, A, C> {
    /// Nothing prepared.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            progress: Progress::new(),
            ring: Ring::new(),
            generation: Generation::new(),
            prepared: SpinMutex::new(None),
            dead: AtomicBool::new(false),
            tracing: AtomicBool::new(false),
            usual: AtomicBool::new(false),
            guarded: AtomicBool::new(false),
            gather: Gather::new(),
            leader: AtomicU32::new(NO_LEADER),
            asked: AtomicU64::new(0),
            asker: AtomicU32::new(0),
            refusal: AtomicU32::new(0),
            clock: core::marker::PhantomData,
        }
    }

    /// The one place where the lock is taken. Nothing if the image is dead,
    /// whether its holder died or the map just is nobody's any more.
    ///
    /// # Errors
    /// [`Error::Died`].
    fn map_lock(&self) -> Result<SpinMutexGuard<'_, Option<Prepared<F, A>>>, Error> {
        loop {
            let guard = self.prepared.try_lock();
            if self.is_dead() {
                return Err(Error::Died);
            }
            if let Some(guard) = guard {
                return Ok(guard);
            }
            hint::spin_loop();
        }
    }

    /// For tests: something that happens while this CPU holds the lock, and of
    /// which it dies: the lock is never given back.
    #[cfg(feature = "mutants")]
    pub fn while_locked(&self, what: impl FnOnce()) {
        let guard = self.prepared.lock();
        what();
        core::mem::forget(guard);
    }

    /// For tests: begins a record and leaves it at that.
    #[cfg(feature = "mutants")]
    pub fn tear_record(&self) {
        self.ring.tear();
    }

    /// Begins anew with these frames. Nothing is mapped yet.
    ///
    /// # Errors
    /// [`Error::WrongPhase`] while a CPU is in; [`Error::FramesExhausted`];
    /// [`Error::BadParameters`].
    pub fn prepare(&self, plan: Plan, access: A) -> Result<(), Error> {
        self.progress.begin()?;
        // What an earlier preparation built lies in frames that have gone back
        // to the kernel. If this one fails, nothing may be left of it.
        *self.map_lock()? = None;
        let store = match plan.store_frames {
            0 => None,
            frames => Some(Store::new(
                plan.lent,
                frames,
                plan.cpus,
                plan.memory_end,
                plan.crash_loop_ticks,
            )?),
        };
        let end = plan.lent.frames().saturating_sub(plan.store_frames);
        let tables = LentTables::new(plan.lent, plan.first_free, end, access);
        let mut map = Stage2::new(plan.shape, tables)?;
        let zeros = map.memory_mut().take().ok_or(Error::FramesExhausted)?;
        map.memory_mut().fill(zeros, |_| 0);
        if store.is_some() {
            map.may_shut()?;
        }
        self.guarded.store(store.is_some(), Ordering::Release);
        self.leader.store(NO_LEADER, Ordering::Release);
        *self.map_lock()? = Some(Prepared {
            plan,
            map,
            zeros,
            store,
            on_demand: 0,
            waiting: 0,
        });
        Ok(())
    }

    /// Maps what iomem names. Ranges that are not RAM and would cost more
    /// tables than leaves are left to be mapped when they are touched: only
    /// CPUs without 1-GiB leaves have any.
    ///
    /// # Errors
    /// As [`Stage2::map_identity`]; [`Error::WrongPhase`] unless preparing.
    pub fn map(&self, range: GuestRange, is_ram: bool) -> Result<(), Error> {
        if self.progress.phase() != Phase::Preparing {
            return Err(Error::WrongPhase);
        }
        let mut guard = self.map_lock()?;
        let prepared = guard.as_mut().ok_or(Error::WrongPhase)?;
        let wide = range.end() - range.start() > 1 << 30;
        if wide && !is_ram && prepared.plan.shape.largest_leaf < 2 {
            prepared.waiting += (range.end() - range.start()) >> 30;
            return Ok(());
        }
        prepared.map.map_identity(range)
    }

    /// Takes every lent frame out of the guest's reach, and ends the
    /// preparation.
    ///
    /// # Errors
    /// As [`Stage2::replace`]; [`Error::FramesExhausted`] also if too few would
    /// be left for what may be touched later; [`Error::WrongPhase`] unless preparing.
    pub fn punch(&self) -> Result<(), Error> {
        if self.progress.phase() != Phase::Preparing {
            return Err(Error::WrongPhase);
        }
        let mut guard = self.map_lock()?;
        let prepared = guard.as_mut().ok_or(Error::WrongPhase)?;
        let access = if cfg!(feature = "planted-hole-writable") {
            Access::All
        } else {
            Access::Read
        };
        let zeros = Some((prepared.zeros, access));
        for number in 0..prepared.plan.lent.frames() {
            let frame = prepared
                .plan
                .lent
                .address(number)
                .ok_or(Error::BadParameters)?;
            prepared.map.replace(GuestPhysical(frame.0), zeros)?;
        }
        let reserve = RESERVED + prepared.waiting.min(MOST_RESERVED);
        if prepared.map.memory().left() < reserve {
            return Err(Error::FramesExhausted);
        }
        self.generation.publish(prepared.map.generation());
        let plan = &prepared.plan;
        self.record_as(
            0,
            Event::Prepared,
            [
                plan.lent.frames(),
                u64::from(plan.cpus),
                u64::from(plan.shape.address_bits),
                0,
                0,
            ],
        );
        self.progress.ready()
    }

    /// A CPU is about to enter. Returns the root of the nested map.
    ///
    /// # Errors
    /// [`Error::WrongPhase`] before the preparation is over or for a CPU that
    /// was not announced; [`Error::Died`].
    pub fn entering(&self, cpu: &mut Cpu) -> Result<HostPhysical, Error> {
        let (root, cpus) = {
            let guard = self.map_lock()?;
            let prepared = guard.as_ref().ok_or(Error::WrongPhase)?;
            (prepared.map.root(), prepared.plan.cpus)
        };
        if cpu.index >= cpus {
            return Err(Error::BadParameters);
        }
        self.progress.entering()?;
        cpu.counters = ExitCounters::ZERO;
        cpu.generation = self.generation.now();
        cpu.entries += 1;
        self.record(cpu, Event::Entered, [0; 5]);
        Ok(root)
    }

    /// The entry of this CPU failed (with what the hardware said): it goes on
    /// natively.
    pub fn entry_failed(&self, cpu: &Cpu, error: Error, hardware: u64) {
        if !cfg!(feature = "planted-entry-uncounted") {
            self.progress.left();
        }
        self.record(cpu, Event::EntryFailed, [error as u64, hardware, 0, 0, 0]);
    }

    /// A frame, or frames that follow each other, for what the architecture
    /// keeps beside the nested map. Frames that are passed over to find them
    /// stay unused until detach.
    ///
    /// # Errors
    /// [`Error::FramesExhausted`]; [`Error::WrongPhase`] unless preparing.
    pub fn take_frames(&self, count: u64) -> Result<HostPhysical, Error> {
        if self.progress.phase() != Phase::Preparing {
            return Err(Error::WrongPhase);
        }
        let mut guard = self.map_lock()?;
        let prepared = guard.as_mut().ok_or(Error::WrongPhase)?;
        prepared
            .map
            .memory_mut()
            .take_run(count, 1)
            .ok_or(Error::FramesExhausted)
    }

    /// Clears such a frame.
    pub fn clear_frame(&self, frame: HostPhysical) {
        // A dead image has none: whoever prepares it finds out by what it says.
        if let Ok(mut guard) = self.map_lock()
            && let Some(prepared) = guard.as_mut()
        {
            prepared.map.memory_mut().fill(frame, |_| 0);
        }
    }

    /// Stores a word of such a frame.
    pub fn write_frame(&self, frame: HostPhysical, index: usize, value: u64) {
        // As above.
        if let Ok(mut guard) = self.map_lock()
            && let Some(prepared) = guard.as_mut()
        {
            prepared.map.memory_mut().write(frame, index, value);
        }
    }

    /// The log record of this number or the oldest after it, as eight words:
    /// sequence number, then the record.
    pub fn log_words(&self, wanted: u64) -> [u64; 8] {
        let mut words = [0; 8];
        if let Some((sequence, record)) = self.ring.read(wanted) {
            for (to, from) in words
                .iter_mut()
                .zip(core::iter::once(sequence).chain(record))
            {
                *to = from;
            }
        }
        words
    }

    fn record_as(&self, cpu: u32, event: Event, arguments: [u64; 5]) {
        let mut words = [0; RECORD_WORDS];
        let head = [
            C::ticks(),
            event as u64 | (event.level() as u64) << 16 | u64::from(cpu) << 32,
        ];
        for (to, from) in words.iter_mut().zip(head.into_iter().chain(arguments)) {
            *to = from;
        }
        self.ring.write(words);
    }

    /// Whether each exit is to be recorded.
    #[inline]
    fn traces(&self) -> bool {
        self.tracing.load(Ordering::Relaxed)
    }

    /// Records an exit. Out of line, as its callers are: an exit that is not recorded
    /// shall not save registers for one that is.
    #[cold]
    #[inline(never)]
    fn trace(&self, cpu: &Cpu, reason: Reason, call: u64) {
        self.record(cpu, Event::Exit, [reason as u64, call, 0, 0, 0]);
    }

    /// Records a hypercall, but for those that read the log: it would never be read to
    /// its end.
    #[cold]
    #[inline(never)]
    fn trace_call(&self, cpu: &Cpu, request: Request) {
        if !matches!(request, Request::Log(_)) {
            self.trace(cpu, Reason::Hypercall, request.number());
        }
    }

    /// Changes what the first proof page points at, sealed or not: nobody but
    /// the module knows the page.
    fn prove(&self, with: impl FnOnce(ProofPages) -> Option<GuestPhysical>) -> Answer {
        let mut guard = match self.map_lock() {
            Ok(guard) => guard,
            Err(error) => return Answer::Failed(error),
        };
        let Some(prepared) = guard.as_mut() else {
            return Answer::Failed(Error::WrongPhase);
        };
        let proof = prepared.plan.proof;
        let target = with(proof).map(|page| (page.identity(), Access::All));
        let covered =
            prepared.plan.lent.covers(proof.plain) || prepared.plan.lent.covers(proof.other);
        if covered {
            return Answer::Failed(Error::BadAddress);
        }
        let result = prepared.map.replace(proof.plain, target);
        self.generation.publish(prepared.map.generation());
        match result {
            Ok(()) => Answer::Words([0; 8]),
            Err(error) => Answer::Failed(error),
        }
    }

    /// Maps an address before the guest uses it, so that it never faults there
    /// (a guest that is refused a page of its own memory dies of it).
    fn cover(&self, cpu: &mut Cpu, address: GuestPhysical) -> Answer {
        let mut guard = match self.map_lock() {
            Ok(guard) => guard,
            Err(error) => return Answer::Failed(error),
        };
        let Some(prepared) = guard.as_mut() else {
            return Answer::Failed(Error::WrongPhase);
        };
        let mut mapped = false;
        if prepared.map.translate(address).is_none() {
            if prepared.map.memory().left() <= KEPT_FROM_MEMORY {
                return Answer::Failed(Error::FramesExhausted);
            }
            if let Err(error) = prepared.map.map_at(address) {
                return Answer::Failed(error);
            }
            mapped = true;
        }
        let end = prepared.map.translate(address).map_or(0, |found| {
            (address.0 | (span(found.level) - 1)).wrapping_add(1)
        });
        drop(guard);
        if mapped {
            self.record(cpu, Event::Covered, [address.0, end, 0, 0, 0]);
        }
        Answer::Words([end, 0, 0, 0, 0, 0, 0, 0])
    }

    fn memory_words(&self) -> Result<[u64; 8], Error> {
        let guard = self.map_lock()?;
        Ok(guard.as_ref().map_or([0; 8], |prepared| {
            let census = prepared.map.census();
            let [small, middle, large] = census.leaves;
            [
                census.tables,
                small,
                middle,
                large,
                prepared.on_demand,
                prepared.map.memory().left(),
                u64::from(prepared.plan.shape.root) + 1,
                prepared.plan.lent.frames(),
            ]
        }))
    }
}

impl<F: Stage2Format, A: FrameAccess, C: Clock> Policy for Hypervisor<F, A, C> {
    type Cpu = Cpu;

    fn count(&self, cpu: &mut Cpu, reason: Reason) {
        cpu.counters.count(reason);
        // A hypercall is recorded when it is known which one it is.
        if reason != Reason::Hypercall && self.traces() {
            self.trace(cpu, reason, NO_CALL);
        }
    }

    fn count_quick(&self, cpu: &mut Cpu, calls: u64) {
        cpu.counters.add(Reason::Hypercall, calls);
    }

    fn quick(&self, cpu: &Cpu) -> Quick {
        Quick {
            calls: 0,
            usual: &raw const self.usual as u64,
            generation: self.generation.address(),
            seen: cpu.generation,
        }
    }

    fn guards(&self) -> bool {
        self.guarded.load(Ordering::Acquire)
    }

    fn gathers(&self) -> bool {
        self.gather.is_called()
    }

    fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// Every other CPU finds it at its next exit, or while it waits for the lock.
    fn die(&self) {
        self.dead.store(true, Ordering::Release);
        self.usual.store(true, Ordering::Release);
    }

    fn stage2_fault(&self, cpu: &mut Cpu, address: GuestPhysical, touch: Touch) -> FaultAnswer {
        let Ok(mut guard) = self.map_lock() else {
            return FaultAnswer::Dead;
        };
        let Some(prepared) = guard.as_mut() else {
            return FaultAnswer::Refuse;
        };
        if prepared.map.is_shut() {
            // Nothing is known of the address; whoever took it away has a word for this CPU.
            return FaultAnswer::Again;
        }
        if prepared.plan.lent.covers(address) {
            return FaultAnswer::Hole;
        }
        match prepared.map.map_at(address) {
            Ok(()) => {
                prepared.on_demand += 1;
                cpu.counters.count(Reason::Stage2Mapped);
                drop(guard);
                self.record(
                    cpu,
                    Event::MappedOnDemand,
                    [address.0, touch as u64, 0, 0, 0],
                );
                FaultAnswer::Again
            }
            // Another CPU was quicker.
            Err(Error::MapConflict) => FaultAnswer::Again,
            Err(error) => {
                drop(guard);
                self.record(
                    cpu,
                    Event::NotMapped,
                    [address.0, error as u64, touch as u64, 0, 0],
                );
                FaultAnswer::Refuse
            }
        }
    }

    fn may_look(&self, address: GuestPhysical) -> bool {
        self.map_lock().is_ok_and(|guard| {
            guard.as_ref().is_some_and(|prepared| {
                address.0 < prepared.plan.shape.limit() && !prepared.plan.lent.covers(address)
            })
        })
    }

    fn hypercall(&self, cpu: &mut Cpu, request: Request) -> Answer {
        if self.traces() {
            self.trace_call(cpu, request);
        }
        match request {
            Request::Null => Answer::Words([0; 8]),
            Request::Status => Answer::Words([
                u64::from(cpu.index),
                self.progress.phase() as u64,
                u64::from(self.progress.inside()),
                cpu.counters.total(),
                cpu.entries,
                self.progress.entries(),
                0,
                0,
            ]),
            Request::Detach => {
                let sealed = self.progress.phase() == Phase::Sealed;
                // A checkpoint has this CPU as a guest.
                let _ = self.leader.compare_exchange(
                    cpu.index,
                    NO_LEADER,
                    Ordering::AcqRel,
                    Ordering::Acquire,
                );
                self.progress.left();
                let event = if sealed { Event::Left } else { Event::Undone };
                self.record(cpu, event, [0; 5]);
                Answer::Leave
            }
            Request::Seal(announced) => {
                let sealed = self.memory_words().and_then(|words| {
                    let announced = u32::try_from(announced).map_err(|_| Error::NotAllIn)?;
                    self.progress.seal(announced)?;
                    Ok(words[7])
                });
                match sealed {
                    Ok(frames) => {
                        self.record(cpu, Event::Sealed, [announced, frames, 0, 0, 0]);
                        Answer::Words([0; 8])
                    }
                    Err(error) => Answer::Failed(error),
                }
            }
            Request::Log(wanted) => Answer::Words(self.log_words(wanted)),
            Request::Flip => self.prove(|proof| Some(proof.other)),
            Request::Restore => self.prove(|proof| Some(proof.plain)),
            Request::Unmap => self.prove(|_| None),
            Request::Counters(first) => Answer::Words(cpu.counters.eight_from(first)),
            Request::Memory => match self.memory_words() {
                Ok(words) => Answer::Words(words),
                Err(error) => Answer::Failed(error),
            },
            Request::Trace(wanted) => {
                self.tracing.store(wanted != 0, Ordering::Relaxed);
                self.usual.store(wanted != 0, Ordering::Release);
                // It may have died in between, and then it is so for good.
                if self.is_dead() {
                    self.usual.store(true, Ordering::Release);
                }
                Answer::Words([0; 8])
            }
            Request::Cover(address) => self.cover(cpu, GuestPhysical(address)),
            Request::Mark(_)
            | Request::Checkpoint
            | Request::RollBack(_)
            | Request::Tell(_)
            | Request::Retell(_)
            | Request::Guarded
            | Request::GiveUp
                if self.guards() =>
            {
                Answer::Guard(request)
            }
            Request::Mark(_)
            | Request::Checkpoint
            | Request::RollBack(_)
            | Request::Tell(_)
            | Request::Retell(_)
            | Request::Guarded
            | Request::GiveUp => Answer::Failed(Error::StoreTooSmall),
        }
    }

    fn must_flush(&self, cpu: &mut Cpu) -> bool {
        let stale = self.generation.is_stale(&mut cpu.generation);
        stale && !cfg!(feature = "planted-flush-missing")
    }

    fn record(&self, cpu: &Cpu, event: Event, arguments: [u64; 5]) {
        self.record_as(cpu.index, event, arguments);
    }
}
