// SPDX-License-Identifier: MIT OR Apache-2.0
//! What lies in the first page of a CPU's area.
//!
//! The door comes first: it is what the module and the trampoline know. All the
//! rest is the image's. Only the CPU that it belongs to touches it, once the
//! preparation is over, so nothing here needs a lock.

use mercury_hal::call::Answer;
use mercury_hal::call::Request;
use mercury_hal::door::CPU_STRIDE;
use mercury_hal::door::Door;
use mercury_hal::life::LifeWord;
use mercury_hal::quick::Quick;
use mercury_hal::repetition::Repetition;

use crate::freed::Freed;
use crate::nmi;
use crate::pad::PAD_OFFSET;
use crate::snapshot::Snapshot;
use crate::tables;
use crate::tables::TaskState;
use crate::vmx;
use crate::window::CPU_BASE;

/// What happens after an exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The guest runs on.
    Guest,
    /// The CPU leaves, with this for the kernel to find in RAX.
    Leave(u64),
    /// The image carries this out, and answers ([`Area::answer`]). The guest stands
    /// behind its hypercall.
    Guard(Request),
    /// All CPUs come out for a roll-back: the CPU parks or leads. If nothing comes of
    /// it, its guest goes on as if it had not come out.
    Gather,
    /// The image is dead, and the guest is as it was at the exit: the CPU is
    /// freed.
    Dead,
}

/// General registers, in the order in which instructions number them. RSP's
/// place stays empty: the control block has it, and under SVM RAX.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Registers(pub [u64; 16]);

/// Indices into [`Registers`].
#[expect(missing_docs, reason = "the names are the registers'")]
pub mod register {
    pub const RAX: usize = 0;
    pub const RCX: usize = 1;
    pub const RDX: usize = 2;
    pub const RBX: usize = 3;
    pub const RBP: usize = 5;
    pub const RSI: usize = 6;
    pub const RDI: usize = 7;
    pub const R8: usize = 8;
    pub const R9: usize = 9;
    pub const R10: usize = 10;
    pub const R11: usize = 11;
    pub const R12: usize = 12;
    pub const R13: usize = 13;
    pub const R14: usize = 14;
    pub const R15: usize = 15;
}

/// Physical addresses of a CPU's other pages.
#[derive(Clone, Copy, Debug, Default)]
pub struct Blocks {
    /// The guest's control block.
    pub guest: u64,
    /// The control block that VMLOAD takes the host's hidden state from.
    pub host: u64,
    /// Where the hardware keeps the host while the guest runs.
    pub save: u64,
}

/// The first page of CPU n's area, at [`CPU_BASE`] + n * [`CPU_STRIDE`] in the
/// image's address space. `L` is what the logic keeps for a CPU.
#[derive(Debug)]
#[repr(C)]
pub struct Area<L> {
    /// The door; the offset 0 is part of the contract with the module.
    pub door: Door,
    /// The guest's general registers while it is out; the world switch knows
    /// their offset.
    pub registers: Registers,
    /// For null hypercalls; the world switch knows where it is.
    pub quick: Quick,
    /// Whether the guest comes on; the world switch knows where it is.
    pub repetition: Repetition,
    /// This CPU's TSS.
    pub task: TaskState,
    /// The CPU as it came in.
    pub native: Snapshot,
    /// Its other pages.
    pub blocks: Blocks,
    /// VM_HSAVE_PA as found.
    pub save_area_found: u64,
    /// TSC_RATIO as found, where the CPU has it.
    pub tsc_ratio_found: u64,
    /// VMX: what the image keeps for this CPU.
    pub vmx: vmx::State,
    /// Number of the CPU.
    pub index: u32,
    /// Test build: the restore that is left out.
    pub mutant: u64,
    /// Entry of the page table that maps this CPU's peek slot (virtual).
    pub peek_entry: u64,
    /// How far this CPU has come, should the image die on it.
    pub life: LifeWord,
    /// How far the guest is with an NMI that was intercepted.
    pub nmi: nmi::Progress,
    /// What it is freed with then.
    pub freed: Freed,
    /// The logic's.
    pub logic: L,
}

/// Virtual address of a CPU's area.
#[must_use]
pub const fn address(cpu: u32) -> u64 {
    CPU_BASE + cpu as u64 * CPU_STRIDE
}

impl<L> Area<L> {
    /// Fills in everything that stays the same from the preparation on. The
    /// door is the module's, the snapshot is of the call that is under way:
    /// both stay as they are.
    pub fn prepare(&mut self, index: u32, blocks: Blocks, peek_entry: u64, mutant: u64, logic: L) {
        self.registers = Registers::default();
        self.task = tables::task_state(address(index));
        self.blocks = blocks;
        self.save_area_found = 0;
        self.tsc_ratio_found = 0;
        self.vmx = vmx::State::default();
        self.index = index;
        self.mutant = mutant;
        self.peek_entry = peek_entry;
        self.repetition = Repetition::default();
        self.quick = Quick::default();
        self.nmi = nmi::Progress::default();
        self.logic = logic;
    }

    /// Puts the answer to a hypercall where the guest expects it.
    pub fn answer(&mut self, answer: &Answer) {
        self.registers.0[register::RAX] = answer.status();
        if let Answer::Words(words) = answer {
            let order = [
                register::RDI,
                register::RSI,
                register::RDX,
                register::RCX,
                register::R8,
                register::R9,
                register::R10,
                register::R11,
            ];
            for (place, word) in order.into_iter().zip(words) {
                self.registers.0[place] = *word;
            }
        }
    }
}

/// Offset of [`Area::registers`].
pub const REGISTERS_OFFSET: usize = size_of::<Door>();

/// Offset of [`Area::quick`].
pub const QUICK_OFFSET: usize = REGISTERS_OFFSET + size_of::<Registers>();
/// Offset of [`Area::repetition`].
pub const REPETITION_OFFSET: usize = QUICK_OFFSET + size_of::<Quick>();

const _: () = assert!(core::mem::offset_of!(Area<[u64; 32]>, registers) == REGISTERS_OFFSET);
const _: () = assert!(core::mem::offset_of!(Area<[u64; 32]>, quick) == QUICK_OFFSET);
const _: () = assert!(core::mem::offset_of!(Area<[u64; 32]>, repetition) == REPETITION_OFFSET);
/// Behind it, in the same page, lies the landing pad ([`crate::pad`]).
const _: () = assert!(size_of::<Area<[u64; 64]>>() <= PAD_OFFSET);
