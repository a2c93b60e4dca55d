// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exits, as far as all architectures have them in common.
//!
//! The architecture's own code takes an exit apart. What only it can know (a
//! register of its own, an instruction of its own) it answers itself; what is
//! Mercury's business it turns into one of the questions of [`Policy`], which
//! the core answers. No question has an error for an answer: after the seal
//! everything that the guest does has a defined outcome.

use crate::addr::GuestPhysical;
use crate::call::Answer;
use crate::call::Request;
use crate::event::Event;
use crate::quick::Quick;

/// Why a CPU came out of the guest. The numbers are those of
/// `enum mercury_exit_reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// A hypercall of ours from kernel mode.
    Hypercall = 0,
    /// A hypercall from user mode or of an unknown number.
    HypercallRefused = 1,
    /// An intercepted register was read.
    RegisterRead = 2,
    /// An intercepted register was written.
    RegisterWrite = 3,
    /// A fault outside iomem, mapped at once.
    Stage2Mapped = 4,
    /// A store to the hole, dropped.
    HoleStore = 5,
    /// An access to the hole answered by a fault.
    HoleRefused = 6,
    /// A virtualization instruction of the guest.
    Virtualization = 7,
    /// An identification instruction that always exits.
    Identification = 8,
    /// The guest shut itself down.
    Reset = 9,
    /// An interrupt that had to pass through us.
    Interrupt = 10,
    /// Anything else.
    Other = 11,
}

/// How many counters a CPU has; the unused ones stay 0.
pub const REASONS: usize = 16;

/// How the guest touched an address that its nested map does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// The guest's own load.
    Read,
    /// The guest's own store.
    Write,
    /// An instruction fetch.
    Fetch,
    /// The CPU's page walker, on behalf of the guest.
    Walk,
}

/// What to do about a fault of the nested map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultAnswer {
    /// The map now allows it: run the instruction again.
    Again,
    /// It is the hole. A store whose instruction can be decoded is dropped;
    /// anything else gets the architecture's protection fault.
    Hole,
    /// It cannot be mapped: the architecture's protection fault.
    Refuse,
    /// Nobody can say: the image died. The CPU leaves with its guest's state as
    /// it was at the exit.
    Dead,
}

/// Mercury's decisions, one CPU asking at a time for itself.
pub trait Policy {
    /// What the logic keeps for each CPU; lies in that CPU's area, and only
    /// that CPU touches it.
    type Cpu;

    /// Whether the image died on some CPU. That is the first question of every
    /// exit: if so, the CPU leaves, with no lock and from its own state only.
    fn is_dead(&self) -> bool;
    /// The image dies: nothing can go on beneath this guest.
    fn die(&self);
    /// Counts an exit of this CPU.
    fn count(&self, cpu: &mut Self::Cpu, reason: Reason);
    /// Counts null hypercalls that the world switch has answered by itself.
    fn count_quick(&self, cpu: &mut Self::Cpu, calls: u64);
    /// What the world switch must look at before it does so.
    fn quick(&self, cpu: &Self::Cpu) -> Quick;
    /// Decides about a fault of the nested map at `address`.
    fn stage2_fault(
        &self,
        cpu: &mut Self::Cpu,
        address: GuestPhysical,
        touch: Touch,
    ) -> FaultAnswer;
    /// Whether we may look at a page on the guest's word: it is within the
    /// address space, and not one of ours (the guest must not read through us
    /// what it cannot read itself).
    fn may_look(&self, address: GuestPhysical) -> bool;
    /// Whether there is a store, so that this CPU is to be found wherever it is.
    fn guards(&self) -> bool;
    /// Whether all CPUs are to come out, for a roll-back.
    fn gathers(&self) -> bool;
    /// Answers a hypercall that came from kernel mode.
    fn hypercall(&self, cpu: &mut Self::Cpu, request: Request) -> Answer;
    /// Whether the nested map changed a present translation since this CPU
    /// last asked; if so the CPU must drop what it has cached before it goes on.
    fn must_flush(&self, cpu: &mut Self::Cpu) -> bool;
    /// Puts a record into the log.
    fn record(&self, cpu: &Self::Cpu, event: Event, arguments: [u64; 5]);
}
