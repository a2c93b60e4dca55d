// SPDX-License-Identifier: MIT OR Apache-2.0
//! The product on the weak machine: ARM64's sequences (`mercury_aarch64`) and
//! the core, joined as the image joins them.

use mercury_aarch64::area::Found;
use mercury_aarch64::el2;
use mercury_aarch64::frames::Frames;
use mercury_aarch64::guest;
use mercury_aarch64::shape;
use mercury_aarch64::stage2::Stage2Tables;
use mercury_core::hypervisor::Cpu;
use mercury_core::hypervisor::Hypervisor;
use mercury_core::hypervisor::Plan;
use mercury_core::lent::Lent;
use mercury_hal::addr::GuestPhysical;
use mercury_hal::addr::GuestRange;
use mercury_hal::call::Answer;
use mercury_hal::call::ProofPages;
use mercury_hal::call::Request;
use mercury_hal::door::Block;
use mercury_hal::exit::FaultAnswer;
use mercury_hal::exit::Policy;
use mercury_hal::exit::Touch;
use mercury_hal::paging::Access;
use mercury_hal::paging::Shape;
use mercury_sim::clock::Steps;
use mercury_sim::weak::access::Place;
use mercury_sim::weak::chance::Chance;
use mercury_sim::weak::cpu::Registers;
use mercury_sim::weak::machine::Machine;
use mercury_sim::weak::memory::Memory;

use crate::bits::BITS;
use crate::board::Board;
use crate::board::Mutant;

/// Start of the lent frames: 30 of them, of which two are the image's.
pub(crate) const LENT: u64 = 0x4523_4000;
const LENT_FRAMES: u64 = 30;
const FIRST_FREE: u64 = 2;
/// The proof pages: in a gigabyte without a hole, so that a flip splits it.
pub(crate) const PLAIN: u64 = 0x8123_4000;
pub(crate) const OTHER: u64 = PLAIN + 0x1000;
/// Memory that nobody has named, as far up in its table as can be.
pub(crate) const LATE: u64 = (1 << 40) - (1 << 30);
/// An address of the guest's that is now here, now there.
const ALIAS: u64 = 0xa000_0000_0000;
/// CPUs.
pub(crate) const CPUS: usize = 3;
/// ID_AA64MMFR0_EL1.PARange: 44 bits, so that there are four levels.
const RANGE: u64 = 4;

/// EL2 as it was found: a root that nobody ever set.
const FOUND: Found = Found {
    sctlr: 0x30c5_0830,
    tcr: 0,
    ttbr0: 0,
    mair: 0,
    stack_pointer: 0,
    way_out: 0,
    vbar: 0,
    tpidr: 0,
    hcr: 1 << 31,
    vtcr: 0x8004_3558,
    vttbr: 7 << 48 | 0xdea_d000,
    reserved: 0,
};

type Core = Hypervisor<Stage2Tables, Frames<Board, Board>, Steps>;

/// Everything.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) board: Board,
    pub(crate) chance: Chance,
    core: Core,
    cpus: Vec<Cpu>,
}

impl Rig {
    /// A machine that runs natively, prepared by CPU 0 while the machine makes
    /// as much trouble as is asked for (0: none).
    pub(crate) fn new(seed: u64, mutant: Mutant, trouble: usize) -> Self {
        let mut chance = Chance::new(!seed);
        // What looks like a leaf to a place of no good, and like a table.
        let mut junk = || 0x00de_ad00_0000 | 0x7fd | chance.number() & 2;
        let lent = (0..LENT_FRAMES).map(|frame| LENT + frame * 4096);
        let memory = Memory::new(lent, &mut junk);
        let mut machine = Machine::new(CPUS, BITS, memory, seed);
        for cpu in 0..CPUS {
            machine.cpu_mut(cpu).in_force = Registers {
                hcr: FOUND.hcr,
                vtcr: FOUND.vtcr,
                vttbr: FOUND.vttbr,
            };
        }
        machine.remap(0, ALIAS, 0x10_0000);
        machine.watched = vec![ALIAS, LENT, LENT + 0x4000, LENT + 0x8_0000, 0x4000_0000];
        let board = Board::new(machine, mutant);
        let mut rig = Self {
            board,
            chance,
            core: Core::new(),
            cpus: (0..).take(CPUS).map(Cpu::new).collect(),
        };
        rig.trouble(trouble);
        rig.prepare();
        rig
    }

    pub(crate) fn trouble(&mut self, rarely: usize) {
        self.machine().trouble(rarely);
    }

    pub(crate) fn machine(&self) -> std::cell::RefMut<'_, Machine> {
        self.board.machine.borrow_mut()
    }

    /// For a while nobody does anything but programs.
    pub(crate) fn pass_time(&self) {
        for _ in 0..20 {
            self.machine().disturb();
        }
    }

    /// Something at EL2 of a CPU.
    pub(crate) fn at_el2<T>(&mut self, cpu: usize, work: impl FnOnce(&mut Self) -> T) -> T {
        self.machine().trap(cpu);
        self.board.switch_to(cpu);
        let done = work(self);
        self.machine().eret(cpu);
        done
    }

    fn prepare(&mut self) {
        let start = shape::start_of_walk(RANGE).unwrap();
        let block = Block {
            start: LENT,
            pages: LENT_FRAMES,
        };
        let plan = Plan {
            lent: Lent::new(Vec::leak(vec![block])).unwrap(),
            first_free: FIRST_FREE,
            shape: Shape {
                root: start.levels as u8 - 1,
                root_tables: u64::from(start.root_tables),
                largest_leaf: 2,
                address_bits: start.address_bits,
            },
            proof: ProofPages {
                plain: GuestPhysical(PLAIN),
                other: GuestPhysical(OTHER),
            },
            cpus: CPUS as u32,
            store_frames: 0,
            memory_end: 0,
            crash_loop_ticks: 0,
        };
        let frames = Frames::new(self.board.clone(), self.board.clone());
        self.at_el2(0, |rig| rig.core.prepare(plan, frames))
            .unwrap();
        let ram = GuestRange::new(0x1000, 0xffff_e000).unwrap();
        self.at_el2(0, |rig| rig.core.map(ram, true)).unwrap();
        self.at_el2(0, |rig| rig.core.punch()).unwrap();
        // The page of zeros is the first frame after the root.
        let zeros = LENT + (FIRST_FREE + 1) * 4096;
        let hole = (0..LENT_FRAMES).map(|frame| LENT + frame * 4096);
        self.machine().may = hole
            .map(|page| (page, vec![Some((zeros, Access::Read))]))
            .collect();
    }

    /// As the image's `enter`.
    pub(crate) fn enter(&mut self, cpu: usize) {
        self.at_el2(cpu, |rig| {
            let root = rig.core.entering(&mut rig.cpus[cpu]).unwrap();
            let vtcr = shape::start_of_walk(RANGE).unwrap().vtcr(RANGE);
            guest::turn_on(&rig.board, &FOUND, root, vtcr);
        });
    }

    /// As the backend's `leave`.
    pub(crate) fn leave(&mut self, cpu: usize) {
        self.at_el2(cpu, |rig| {
            let answer = rig.core.hypercall(&mut rig.cpus[cpu], Request::Detach);
            assert_eq!(answer, Answer::Leave);
            guest::turn_off(&rig.board, &FOUND);
        });
    }

    /// A hypercall that changes the map.
    pub(crate) fn call(&mut self, cpu: usize, request: Request) {
        self.machine().changing = true;
        self.at_el2(cpu, |rig| {
            let answer = rig.core.hypercall(&mut rig.cpus[cpu], request);
            assert_eq!(answer, Answer::Words([0; 8]));
            rig.machine().changing = false;
        });
    }

    /// A guest's access, which may fault. As the backend's `fault`.
    pub(crate) fn access(&mut self, cpu: usize, address: u64) -> Place {
        for _ in 0..2 {
            let place = self.machine().touch(cpu, address);
            if place.is_some() || self.machine().wrong.is_some() {
                return place;
            }
            self.at_el2(cpu, |rig| {
                let (logic, at) = (&mut rig.cpus[cpu], GuestPhysical(address));
                let answer = rig.core.stage2_fault(logic, at, Touch::Read);
                assert_eq!(answer, FaultAnswer::Again);
                el2::publish(&rig.board);
            });
        }
        let place = self.machine().touch(cpu, address);
        self.machine()
            .accuse(|| format!("CPU {cpu} faults at {address:#x} again and again"));
        place
    }

    /// The TLB has a conflict. As the backend's `fault`.
    pub(crate) fn conflict(&mut self, cpu: usize) {
        self.at_el2(cpu, |rig| el2::forget_here(&rig.board));
    }
}
