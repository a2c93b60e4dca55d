// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the guest sees of Mercury: the hole, addresses that nobody named,
//! hypercalls, and the proof pages, on CPUs that run at the same time and
//! cache every translation until they are told to flush.

use mercury_hal::addr::GuestPhysical;
use mercury_hal::call::BASE;
use mercury_hal::exit::Touch;
use mercury_host_tests::stroll::Stroll;
use mercury_host_tests::walk::Stop;
use mercury_host_tests::walk::walk_in;
use mercury_sim::cpu::Flaw;
use mercury_sim::guest::Act;
use mercury_sim::guest::Outcome;
use mercury_sim::machine::Command;
use mercury_sim::machine::Machine;
use mercury_sim::machine::Reply;
use mercury_sim::memory::pattern;
use mercury_sim::setup::Setup;

const NULL: u64 = 0;
const FLIP: u64 = 5;
const UNMAP: u64 = 6;
const RESTORE: u64 = 7;
const COUNTERS: u64 = 8;
const MEMORY: u64 = 9;
const COVER: u64 = 10;

fn attached(cpus: u32, flaw: Flaw) -> (Machine, Setup) {
    let setup = Setup::small(cpus);
    let mut machine = Machine::with_flaw(cpus, flaw);
    machine.prepare(&setup).unwrap();
    assert_eq!(walk_in(&mut Stroll::over(&machine, None)), Stop::Done);
    (machine, setup)
}

fn read(address: GuestPhysical) -> Act {
    Act::Touch(address, Touch::Read)
}

fn found(address: GuestPhysical) -> Outcome {
    Outcome::Done(pattern(address.identity()))
}

#[test]
fn the_hole_reads_zero_and_keeps_nothing() {
    let (machine, setup) = attached(2, Flaw::None);
    for cpu in 0..2 {
        for block in &setup.blocks {
            for page in 0..block.pages {
                let at = GuestPhysical(block.start + page * 4096 + 8 * page);
                let script = [
                    read(at),
                    Act::Touch(at, Touch::Write),
                    read(at),
                    Act::Touch(at, Touch::Fetch),
                    Act::Touch(at, Touch::Walk),
                ];
                let expected = [
                    Outcome::Done(0),
                    Outcome::Dropped,
                    Outcome::Done(0),
                    Outcome::Protection,
                    Outcome::Protection,
                ];
                assert_eq!(machine.run(cpu, &script), expected);
            }
        }
        let words = machine.call(cpu, COUNTERS, 0).unwrap();
        let pages = setup.frames();
        assert_eq!((words[5], words[6]), (pages, 2 * pages));
    }
}

#[test]
fn pages_beside_the_hole_are_themselves() {
    let (machine, setup) = attached(1, Flaw::None);
    for block in &setup.blocks {
        for at in [block.start - 8, block.start + block.pages * 4096] {
            let at = GuestPhysical(at);
            let script = [read(at), Act::Touch(at, Touch::Write)];
            assert_eq!(machine.run(0, &script), [found(at), found(at)]);
        }
    }
}

#[test]
fn what_nobody_named_is_mapped_when_it_is_touched() {
    let (machine, setup) = attached(2, Flaw::None);
    let far = GuestPhysical(0x70_1234_5678 & !7);
    let beyond = GuestPhysical(setup.shape.limit());
    let before = machine.call(0, MEMORY, 0).unwrap()[4];
    assert_eq!(machine.run(0, &[read(far)]), [found(far)]);
    assert_eq!(
        machine.run(1, &[Act::Touch(far, Touch::Walk)]),
        [found(far)]
    );
    assert_eq!(machine.call(0, MEMORY, 0).unwrap()[4], before + 1);
    assert_eq!(machine.run(0, &[read(beyond)]), [Outcome::Protection]);
    assert_eq!(machine.call(0, COUNTERS, 0).unwrap()[4], 1);
    assert_eq!(machine.call(1, COUNTERS, 0).unwrap()[4], 0);
}

/// Frames run out while attached: the guest gets a fault and lives.
#[test]
fn no_frame_is_left_for_what_is_touched() {
    let (machine, _) = attached(1, Flaw::None);
    let mut outcomes = Vec::new();
    for step in 1..100u64 {
        let at = GuestPhysical(step << 39 & ((1 << 40) - 1) | (step << 30) & 0x7f_ffff_ffff);
        outcomes.extend(machine.run(0, &[read(at)]));
    }
    assert!(
        outcomes
            .iter()
            .all(|one| matches!(one, Outcome::Done(_) | Outcome::Protection))
    );
    assert_eq!(machine.guests(), [0]);
}

/// Memory that is added is mapped before it is used, and refused while a few
/// frames are left for what is touched without notice.
#[test]
fn memory_is_covered_or_refused_before_it_is_used() {
    let (machine, setup) = attached(1, Flaw::None);
    let far = 0x70_0000_0000u64;
    let end = machine.call(0, COVER, far + 0x1234_5000).unwrap()[0];
    assert!(end > far + 0x1234_5000 && end.is_multiple_of(1 << 21));
    assert_eq!(machine.call(0, COVER, far + 0x1234_5000).unwrap()[0], end);
    assert_eq!(
        machine.run(0, &[read(GuestPhysical(far + 0x1234_5000))])[0],
        { found(GuestPhysical(far + 0x1234_5000)) }
    );
    assert_eq!(machine.call(0, COUNTERS, 0).unwrap()[4], 0, "no fault");
    assert!(machine.call(0, COVER, setup.shape.limit()).is_err());
    // One gigabyte in each table until there is none left.
    let mut covered = 0;
    while machine.call(0, COVER, covered << 39).is_ok() && covered < 1 << 10 {
        covered += 1;
    }
    let left = machine.call(0, MEMORY, 0).unwrap()[5];
    assert!(left == 4 || covered << 39 >= setup.shape.limit(), "{left}");
    // What is mapped already needs no frame.
    assert_eq!(machine.call(0, COVER, far + 0x1234_5000).unwrap()[0], end);
    assert_eq!(machine.guests(), [0]);
}

#[test]
fn hypercalls_of_others_are_undefined() {
    let (machine, _) = attached(1, Flaw::None);
    let script = [
        Act::UserCall(BASE | NULL, 0),
        Act::UserCall(BASE | 2, 0),
        Act::Call(BASE | 0x99, 0),
        Act::Call(2, 0),
    ];
    assert_eq!(machine.run(0, &script), [Outcome::Undefined; 4]);
    assert_eq!(machine.guests(), [0]);
    // The seal, and the question itself.
    assert_eq!(machine.call(0, COUNTERS, 0).unwrap()[..2], [2, 4]);
}

/// The proof: one CPU flips the page, every other sees it after its next exit.
fn prove(machine: &Machine, setup: &Setup) {
    let (plain, other) = (setup.proof.plain, setup.proof.other);
    let exit = Act::Call(BASE | NULL, 0);
    let seen = |cpu: usize| machine.run(cpu, &[exit, read(plain)])[1];
    for cpu in 0..machine.cpus() {
        assert_eq!(seen(cpu), found(plain));
    }
    for flipper in 0..machine.cpus() {
        machine.call(flipper, FLIP, 0).unwrap();
        for cpu in 0..machine.cpus() {
            assert_eq!(seen(cpu), found(other), "CPU {cpu} sees the flip");
        }
        machine.call(flipper, RESTORE, 0).unwrap();
        for cpu in 0..machine.cpus() {
            assert_eq!(seen(cpu), found(plain), "CPU {cpu} sees the end of it");
        }
        let faults = |cpu| machine.call(cpu, COUNTERS, 0).unwrap()[4];
        let before = faults(flipper);
        machine.call(flipper, UNMAP, 0).unwrap();
        assert_eq!(seen(flipper), found(plain));
        assert_eq!(faults(flipper), before + 1, "the fault is counted");
        machine.call(flipper, RESTORE, 0).unwrap();
    }
}

#[test]
fn every_cpu_sees_the_flip_after_its_next_exit() {
    let (machine, setup) = attached(4, Flaw::None);
    prove(&machine, &setup);
}

#[test]
#[should_panic(expected = "sees the flip")]
fn a_missing_flush_is_noticed() {
    let (machine, setup) = attached(2, Flaw::NeverFlushes);
    prove(&machine, &setup);
}

/// A page that lies in a large leaf when it is flipped: the split itself is a
/// change that must be announced.
#[test]
fn a_proof_page_in_a_large_leaf_is_split_out() {
    let mut setup = Setup::small(2);
    setup.proof.plain = GuestPhysical(0x6000_0000);
    setup.proof.other = GuestPhysical(0x2000_0000);
    let mut machine = Machine::new(2);
    machine.prepare(&setup).unwrap();
    assert_eq!(walk_in(&mut Stroll::over(&machine, None)), Stop::Done);
    let tables = machine.call(0, MEMORY, 0).unwrap()[0];
    prove(&machine, &setup);
    assert_eq!(machine.call(0, MEMORY, 0).unwrap()[0], tables + 1);
}

#[test]
fn a_lent_frame_is_never_a_proof_page() {
    let mut setup = Setup::small(1);
    setup.proof.other = GuestPhysical(setup.blocks[0].start);
    let mut machine = Machine::new(1);
    machine.prepare(&setup).unwrap();
    assert_eq!(walk_in(&mut Stroll::over(&machine, None)), Stop::Done);
    for number in [FLIP, UNMAP, RESTORE] {
        assert!(matches!(machine.call(0, number, 0), Err(Some(_))));
    }
    let hole = GuestPhysical(setup.blocks[0].start);
    assert_eq!(machine.run(0, &[read(hole)]), [Outcome::Done(0)]);
}

/// All CPUs at once: faults on the same unnamed addresses, touches of the
/// hole, flips. Each outcome is one that some order explains.
#[test]
fn cpus_run_at_the_same_time() {
    let (machine, setup) = attached(4, Flaw::None);
    let (plain, other) = (setup.proof.plain, setup.proof.other);
    let hole = GuestPhysical(setup.blocks[1].start);
    let script = |cpu: u64| -> Vec<Act> {
        let round = |step: u64| {
            let common = GuestPhysical(0x40_0000_0000 + ((step % 64) << 30));
            let kind = [FLIP, RESTORE, UNMAP, RESTORE][((step + cpu) % 4) as usize];
            [
                read(common),
                Act::Touch(hole, Touch::Write),
                Act::Call(BASE | kind, 0),
                read(plain),
                Act::Set(3, step),
                read(hole),
            ]
        };
        (0..200).flat_map(round).collect()
    };
    for cpu in 0..4 {
        machine.send(cpu, Command::Run(script(cpu as u64)));
    }
    for cpu in 0..4 {
        let Reply::Ran(outcomes) = machine.receive(cpu) else {
            panic!("no outcomes");
        };
        for (act, outcome) in script(cpu as u64).into_iter().zip(outcomes) {
            let right = match act {
                Act::Touch(at, _) if at == hole => {
                    matches!(outcome, Outcome::Dropped | Outcome::Done(0))
                }
                Act::Touch(at, _) if at == plain => {
                    outcome == found(plain) || outcome == found(other)
                }
                Act::Touch(at, _) => outcome == found(at),
                Act::Call(..) => matches!(outcome, Outcome::Answered(BASE, _)),
                _ => outcome == Outcome::Done(0),
            };
            assert!(right, "{act:x?} came to {outcome:x?} on CPU {cpu}");
        }
    }
    assert_eq!(machine.guests(), [0, 1, 2, 3]);
}
