// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames that run out: at whichever step it happens, what the guest sees is
//! what it saw before that step, and the map can still be used.

use std::sync::Arc;

use mercury_core::lent::LentTables;
use mercury_core::stage2::Stage2;
use mercury_hal::addr::GuestPhysical;
use mercury_hal::addr::GuestRange;
use mercury_hal::addr::HostPhysical;
use mercury_hal::error::Error;
use mercury_hal::paging::Access;
use mercury_hal::paging::Shape;
use mercury_sim::format::SimFormat;
use mercury_sim::memory::Memory;
use mercury_sim::mmu;
use mercury_sim::setup::Setup;
use mercury_sim::window::Window;

type Map = Stage2<SimFormat, LentTables<Window>>;
type Seen = Vec<Option<(HostPhysical, Access)>>;

#[derive(Clone, Copy, Debug)]
enum Step {
    Map(u64, u64),
    Fault(u64),
    Replace(u64, Option<(u64, Access)>),
}

const STEPS: &[Step] = &[
    Step::Map(0, 0x4000_0000),
    Step::Replace(0x1234_5000, Some((0x7000, Access::Read))),
    Step::Replace(0x1234_6000, None),
    Step::Map(0x40_0000_0000, 0x40_8000_0000),
    Step::Fault(0x1234_6000),
    Step::Fault(0x70_0000_0000),
    Step::Replace(0x70_0000_0000, Some((0x7000, Access::Read))),
    Step::Replace(0x60_0020_0000, None),
    Step::Fault(0x60_0020_0000),
    Step::Fault(0x60_0020_1000),
    Step::Fault(0x60_0000_0000),
];

fn probes() -> Vec<u64> {
    let mut probes = Vec::new();
    for step in STEPS {
        let at = match *step {
            Step::Map(start, end) => vec![start, end],
            Step::Fault(at) | Step::Replace(at, _) => vec![at],
        };
        for size in [4096, 1 << 21, 1 << 30] {
            probes.extend(
                at.iter()
                    .flat_map(|at| [at.saturating_sub(size), *at, at + size]),
            );
        }
    }
    probes
}

fn take(map: &mut Map, step: Step) -> Result<(), Error> {
    match step {
        Step::Map(start, end) => map.map_identity(GuestRange::new(start, end).unwrap()),
        Step::Fault(at) => map.map_at(GuestPhysical(at)),
        Step::Replace(at, with) => {
            let with = with.map(|(target, access)| (HostPhysical(target), access));
            map.replace(GuestPhysical(at), with)
        }
    }
}

/// What hardware sees at all probes; the core's own walker must say the same.
fn see(map: &Map, memory: &Memory, shape: Shape) -> Seen {
    let one = |at: u64| {
        let found = mmu::walk(memory, map.root(), shape, GuestPhysical(at));
        let own = map
            .translate(GuestPhysical(at))
            .map(|one| (one.target, one.access));
        assert_eq!(found, own, "the core's walker at {at:#x}");
        found
    };
    probes().into_iter().map(one).collect()
}

fn identity(at: u64) -> Option<(HostPhysical, Access)> {
    Some((HostPhysical(at), Access::All))
}

/// All steps, with so many frames. Returns how many steps failed.
fn live_with(free: u64, shape: Shape) -> usize {
    let mut setup = Setup::small(1).with_free_frames(free);
    setup.shape = shape;
    let memory: Arc<Memory> = setup.memory().unwrap();
    let tables = LentTables::new(
        memory.lent(),
        setup.first_free,
        memory.lent().frames(),
        Window(memory.clone()),
    );
    let mut map = match Map::new(shape, tables) {
        Ok(map) => map,
        Err(error) => {
            assert_eq!((error, free), (Error::FramesExhausted, 0));
            return STEPS.len();
        }
    };
    let mut failed = 0;
    for step in STEPS {
        let before = see(&map, &memory, shape);
        let generation = map.generation();
        let result = take(&mut map, *step);
        let after = see(&map, &memory, shape);
        match (result, step) {
            (Ok(()) | Err(Error::MapConflict), _) => {}
            (Err(Error::FramesExhausted), Step::Map(start, end)) => {
                failed += 1;
                for ((at, before), after) in probes().into_iter().zip(before).zip(after) {
                    let new = (*start..*end).contains(&at) && after == identity(at);
                    assert!(before == after || new, "{step:x?} changed {at:#x}");
                }
            }
            (Err(Error::FramesExhausted), _) => {
                failed += 1;
                assert_eq!(before, after, "{step:x?} failed and changed something");
            }
            (Err(other), _) => panic!("{step:x?}: {other:?}"),
        }
        assert!(map.generation() >= generation);
        let census = map.census();
        let recount = mmu::recount(&memory, map.root(), shape);
        assert_eq!((census.leaves, census.tables), recount, "after {step:x?}");
    }
    failed
}

#[test]
fn frames_run_out_anywhere() {
    for root in 3..=4 {
        for largest_leaf in 1..=2 {
            let shape = Shape {
                root,
                root_tables: 1,
                largest_leaf,
                address_bits: 40,
            };
            let failures: Vec<usize> = (0..39).map(|free| live_with(free, shape)).collect();
            assert!(failures[0] > 0 && failures[1] > 0);
            assert_eq!(failures.last(), Some(&0), "{failures:?}");
        }
    }
}
