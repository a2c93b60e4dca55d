// SPDX-License-Identifier: MIT OR Apache-2.0
//! The nested map against a model.
//!
//! The core builds a map from random ranges of iomem, random lent blocks and
//! random faults, in the sim's format and in x86's. Hardware that shares no
//! code with the core walks it; a function of a few lines ([`model`]) says what
//! must be found; they must agree wherever something begins or ends. The head
//! count of leaves and tables is compared with a recount, and there must not
//! be one table more than the model needs.

mod exhaustion;
mod model;
mod planted;
mod x86;

use mercury_core::hypervisor::Cpu;
use mercury_core::hypervisor::Hypervisor;
use mercury_hal::addr::GuestPhysical;
use mercury_hal::addr::GuestRange;
use mercury_hal::call::Answer;
use mercury_hal::call::ProofPages;
use mercury_hal::call::Request;
use mercury_hal::door::Block;
use mercury_hal::exit::FaultAnswer;
use mercury_hal::exit::Policy;
use mercury_hal::exit::Touch;
use mercury_hal::paging::Shape;
use mercury_hal::paging::Stage2Format;
use mercury_sim::clock::Steps;
use mercury_sim::format::Hardware;
use mercury_sim::format::SimFormat;
use mercury_sim::format::sim_hardware;
use mercury_sim::mmu;
use mercury_sim::setup::Setup;
use mercury_sim::window::Window;
use mercury_x86::svm::nested::NestedFormat;
use model::Model;
use proptest::prelude::*;

/// Something that happens to a map that is in use.
#[derive(Clone, Copy, Debug)]
pub enum Happening {
    /// The guest touches an address that the map does not allow.
    Fault(u64),
    /// A proof call.
    Proof(Request),
}

/// A machine, and what happens to it.
#[derive(Clone, Debug)]
pub struct Story {
    /// What the preparation is told. Its hardware is replaced.
    pub setup: Setup,
    /// What happens afterwards.
    pub happenings: Vec<Happening>,
    /// More addresses to look at.
    pub probes: Vec<u64>,
}

/// A number below 2^`bits`, of any magnitude.
fn magnitude(bits: u32) -> impl Strategy<Value = u64> {
    (0..bits, any::<u64>()).prop_map(|(shift, value)| value & ((2 << shift) - 1))
}

/// The same; every other time a multiple of something round.
fn address(bits: u32) -> impl Strategy<Value = u64> {
    (
        magnitude(bits),
        prop::sample::select(vec![0, 0, 12, 21, 30]),
    )
        .prop_map(|(value, shift)| value >> shift << shift)
}

fn shapes() -> impl Strategy<Value = Shape> {
    (3..=4u8, 1..=2u8, 36..=52u32).prop_map(|(root, largest_leaf, address_bits)| Shape {
        root,
        root_tables: 1,
        largest_leaf,
        address_bits,
    })
}

fn ranges() -> impl Strategy<Value = Vec<(GuestRange, bool)>> {
    let range = (address(53), magnitude(32), any::<bool>()).prop_map(|(start, length, is_ram)| {
        (GuestRange::new(start, start + length + 1).unwrap(), is_ram)
    });
    prop::collection::vec(range, 0..8)
}

/// Blocks that do not overlap, in any order; the last has frames for all.
fn blocks() -> impl Strategy<Value = Vec<Block>> {
    let block = (magnitude(20), 1..40u64);
    prop::collection::vec(block, 1..5).prop_map(|gaps| {
        let mut at = 1;
        let mut blocks = Vec::new();
        for (gap, pages) in gaps {
            let start = (at + gap) * 4096;
            blocks.push(Block { start, pages });
            at += gap + pages;
        }
        blocks.reverse();
        let start = (at + 7) * 4096;
        blocks.push(Block { start, pages: 400 });
        blocks
    })
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let proof = prop::sample::select(vec![Request::Flip, Request::Unmap, Request::Restore]);
    let one = prop_oneof![
        2 => address(53).prop_map(Happening::Fault),
        1 => proof.prop_map(Happening::Proof),
    ];
    prop::collection::vec(one, 0..24)
}

fn stories() -> impl Strategy<Value = Story> {
    let pages = (address(34), any::<bool>());
    let probes = prop::collection::vec(magnitude(53), 32);
    (shapes(), ranges(), blocks(), pages, happenings(), probes).prop_map(
        |(shape, ranges, blocks, (plain, behind), happenings, probes)| {
            let lent = |page: u64| {
                blocks
                    .iter()
                    .any(|block| (block.start..block.start + block.pages * 4096).contains(&page))
            };
            let last = blocks.last().expect("there is one");
            let end = last.start + last.pages * 4096;
            let mut plain = if behind { end } else { plain & !4095 };
            while lent(plain) {
                plain += 4096;
            }
            let proof = ProofPages {
                plain: GuestPhysical(plain),
                other: GuestPhysical(end + 4096),
            };
            let first_free = blocks.iter().map(|block| block.pages).sum::<u64>() - 400;
            let setup = Setup {
                shape,
                blocks,
                first_free,
                ranges,
                proof,
                cpus: 1,
                hardware: sim_hardware,
            };
            Story {
                setup,
                happenings,
                probes,
            }
        },
    )
}

/// Lives through a story in one format and compares at every turn.
pub fn compare<F: Stage2Format>(story: &Story, hardware: Hardware) {
    let mut setup = story.setup.clone();
    setup.hardware = hardware;
    let hypervisor = Hypervisor::<F, Window, Steps>::new();
    let memory = setup.prepare(&hypervisor).unwrap();
    let mut cpu = Cpu::new(0);
    let root = hypervisor.entering(&mut cpu).unwrap();
    let shape = setup.shape;
    let hardware = |at: u64| mmu::walk(&memory, root, shape, GuestPhysical(at));
    let (zeros, _) = hardware(setup.blocks[0].start).expect("the hole reads as something");
    for word in 0..512 {
        let at = mercury_hal::addr::HostPhysical(zeros.0 + word * 8);
        assert_eq!(memory.load(at), 0, "the zero page");
    }
    assert!(memory.lent().number(zeros) > Some(setup.first_free));
    let mut model = Model::new(&setup, zeros);
    let look = |model: &Model, more: &[u64]| {
        for &at in more.iter().chain(&story.probes) {
            assert_eq!(hardware(at), model.behind(at), "behind {at:#x}");
        }
    };
    look(&model, &model.edges());
    for happening in &story.happenings {
        match *happening {
            Happening::Fault(at) => {
                let answer = hypervisor.stage2_fault(&mut cpu, GuestPhysical(at), Touch::Fetch);
                assert_eq!(answer, model.fault(at), "fault at {at:#x}");
                look(&model, &[at, at & !4095, at | 4095]);
            }
            Happening::Proof(request) => {
                let generation = hypervisor.must_flush(&mut cpu);
                assert!(!generation, "nothing has changed");
                let was = model.behind(setup.proof.plain.0);
                let answer = hypervisor.hypercall(&mut cpu, request);
                assert_eq!(answer, Answer::Words([0; 8]));
                model.prove(request);
                let changed = was.is_some() && was != model.behind(setup.proof.plain.0);
                assert!(
                    hypervisor.must_flush(&mut cpu) || !changed,
                    "an unannounced change"
                );
                let at = setup.proof.plain.0;
                look(&model, &[at, at.saturating_sub(1), at + 4095, at + 4096]);
            }
        }
    }
    look(&model, &model.edges());
    let Answer::Words(words) = hypervisor.hypercall(&mut cpu, Request::Memory) else {
        panic!("no figures");
    };
    let (leaves, tables) = mmu::recount(&memory, root, shape);
    assert_eq!(
        (words[0], &words[1..4]),
        (tables, &leaves[..]),
        "the census"
    );
    assert_eq!(tables, model.tables(), "tables that nobody needs");
    assert_eq!(words[4], model.on_demand, "mapped on demand");
}

/// A page in the middle of the hole stays what it is, whatever is asked.
#[test]
fn the_hole_answers_as_the_hole() {
    let setup = Setup::small(1);
    let happenings = setup
        .blocks
        .iter()
        .map(|block| Happening::Fault(block.start));
    let story = Story {
        happenings: happenings.collect(),
        setup,
        probes: Vec::new(),
    };
    assert_eq!(Model::hole(), FaultAnswer::Hole);
    compare::<SimFormat>(&story, sim_hardware);
    compare::<NestedFormat>(&story, x86::hardware);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn agrees_in_the_sims_format(story in stories()) {
        compare::<SimFormat>(&story, sim_hardware);
    }

    #[test]
    fn agrees_in_nested_page_tables(story in stories()) {
        compare::<NestedFormat>(&story, x86::hardware);
    }
}
