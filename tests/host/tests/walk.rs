// SPDX-License-Identifier: MIT OR Apache-2.0
//! All or nothing: the module's own walk, the core, and CPUs that are threads.
//!
//! For machines of one to four CPUs every step of every CPU fails once. After
//! each failure every CPU must be native with the registers that it had, the
//! core must have nobody in and be ready for another attempt, and that attempt
//! must succeed. Then what comes after the seal: leaving in any order, and
//! CPUs that go and come back one by one.

use mercury_hal::error::Error;
use mercury_host_tests::stroll::DETACH;
use mercury_host_tests::stroll::Failure;
use mercury_host_tests::stroll::SEAL;
use mercury_host_tests::stroll::Stroll;
use mercury_host_tests::walk::Stop;
use mercury_host_tests::walk::walk_in;
use mercury_sim::cpu::EntryFailure;
use mercury_sim::cpu::Flaw;
use mercury_sim::guest::Act;
use mercury_sim::machine::Machine;
use mercury_sim::setup::Setup;
use proptest::prelude::*;

const READY: u64 = 2;
const SEALED: u64 = 3;
const SIZES: std::ops::RangeInclusive<u32> = 1..=4;

/// A machine with everything prepared and everybody native.
fn parked(cpus: u32, flaw: Flaw) -> Machine {
    let mut machine = Machine::with_flaw(cpus, flaw);
    machine.prepare(&Setup::small(cpus)).unwrap();
    machine
}

fn all(machine: &Machine) -> Vec<usize> {
    (0..machine.cpus()).collect()
}

/// Nobody is in, and the core knows.
fn assert_native(machine: &Machine) {
    assert_eq!(machine.guests(), [] as [usize; 0]);
    assert_eq!(machine.belief(), (READY, 0));
}

fn attach(machine: &Machine) {
    assert_eq!(walk_in(&mut Stroll::over(machine, None)), Stop::Done);
    assert_eq!(machine.guests(), all(machine));
    assert_eq!(machine.belief(), (SEALED, machine.cpus() as u64));
}

fn detach(machine: &Machine, order: &[usize]) {
    for &cpu in order {
        machine.call(cpu, DETACH, 0).unwrap();
        assert!(!machine.is_guest(cpu));
    }
    assert_native(machine);
}

/// What the walk must report for a failure.
fn expected(failure: Failure) -> Stop {
    match failure {
        Failure::Entry(cpu, EntryFailure::Late) => Stop::Entry(cpu, 110),
        Failure::Entry(cpu, _) => Stop::Entry(cpu, 5),
        Failure::Signal(_) => Stop::Interrupted,
        Failure::Seal => Stop::Seal(5),
        Failure::Missing(_) => Stop::Seal(6),
    }
}

/// Which CPUs the undo must have taken out: those before the one that failed.
fn undone(failure: Failure, cpus: u32) -> Vec<i32> {
    match failure {
        Failure::Entry(cpu, _) | Failure::Signal(cpu) => (0..cpu).collect(),
        Failure::Seal | Failure::Missing(_) => (0..cpus as i32).collect(),
    }
}

/// One failure, the undo, and another attempt.
fn fail_once(machine: &Machine, failure: Failure) {
    let mut stroll = Stroll::over(machine, Some(failure));
    assert_eq!(walk_in(&mut stroll), expected(failure), "{failure:?}");
    assert_eq!(stroll.undone, undone(failure, machine.cpus() as u32));
    let refusal = match failure {
        Failure::Entry(_, EntryFailure::Taken) => Some(Error::ExtensionTaken),
        Failure::Entry(_, EntryFailure::Refused) => Some(Error::Injected),
        Failure::Entry(_, EntryFailure::Hardware) => Some(Error::EntryRefused),
        _ => None,
    };
    assert_eq!(stroll.refusal, refusal);
    assert_native(machine);
    attach(machine);
    detach(machine, &all(machine));
}

#[test]
fn every_failure_of_every_cpu_leaves_all_native() {
    for cpus in SIZES {
        let online: Vec<i32> = (0..cpus as i32).collect();
        let machine = parked(cpus, Flaw::None);
        for failure in Failure::all(&online) {
            fail_once(&machine, failure);
        }
    }
}

#[test]
fn a_fresh_preparation_follows_every_failure() {
    let cpus = 2;
    for failure in Failure::all(&[0, 1]) {
        let mut machine = parked(cpus, Flaw::None);
        walk_in(&mut Stroll::over(&machine, Some(failure)));
        assert_native(&machine);
        machine.prepare(&Setup::small(cpus)).unwrap();
        attach(&machine);
        detach(&machine, &[1, 0]);
    }
}

#[test]
fn frames_run_out_at_every_step_of_the_preparation() {
    let whole = Setup::small(2);
    let mut failures = 0;
    let mut machine = Machine::new(2);
    for free in 0.. {
        let mut setup = whole.with_free_frames(free);
        // The blocks shrink; the proof pages stay where they were.
        setup.proof = whole.proof;
        match machine.prepare(&setup) {
            Err(error) => assert_eq!(error, Error::FramesExhausted),
            Ok(()) => break,
        }
        failures += 1;
        // Nobody can get in on what is left, not even by an entry that asks.
        assert_ne!(machine.belief(), (READY, 0));
        assert!(machine.enter(0, None).is_err());
        assert_eq!(machine.guests(), [] as [usize; 0]);
        // And another attempt succeeds.
        machine.prepare(&whole).unwrap();
        attach(&machine);
        assert_eq!(machine.prepare(&whole), Err(Error::WrongPhase));
        assert_eq!(machine.guests(), [0, 1]);
        detach(&machine, &[0, 1]);
    }
    assert!(failures >= 5, "only {failures} steps took a frame");
    attach(&machine);
}

/// A preparation that fails must not leave the one before it in force: its
/// frames have gone back to the kernel.
#[test]
fn a_failed_preparation_leaves_nothing_of_the_one_before() {
    let whole = Setup::small(1);
    let mut machine = parked(1, Flaw::None);
    assert_eq!(
        machine.prepare(&whole.with_free_frames(0)),
        Err(Error::FramesExhausted)
    );
    let hypervisor = machine.hypervisor();
    let (range, is_ram) = whole.ranges[0];
    assert_eq!(hypervisor.map(range, is_ram), Err(Error::WrongPhase));
    assert_eq!(hypervisor.punch(), Err(Error::WrongPhase));
    assert_eq!(hypervisor.take_frames(1), Err(Error::WrongPhase));
    assert_eq!(machine.enter(0, None), Err(Some(Error::WrongPhase)));
}

#[test]
fn a_cpu_that_was_not_announced_stays_out() {
    let mut machine = Machine::new(2);
    machine.prepare(&Setup::small(1)).unwrap();
    let stop = walk_in(&mut Stroll::over(&machine, None));
    assert_eq!(stop, Stop::Entry(1, 5));
    assert_native(&machine);
}

#[test]
fn the_seal_is_refused_unless_all_are_in() {
    let machine = parked(3, Flaw::None);
    machine.enter(0, None).unwrap();
    machine.enter(1, None).unwrap();
    let refused = |announced| machine.call(0, SEAL, announced).unwrap_err();
    assert_eq!(refused(3), Some(Error::NotAllIn as u64));
    assert_eq!(refused(1 << 32 | 2), Some(Error::NotAllIn as u64));
    machine.call(0, SEAL, 2).unwrap();
    assert_eq!(refused(2), Some(Error::WrongPhase as u64));
}

/// CPUs that are offline at the attach stay out, and become guests when they
/// come up; those that go offline leave first; the seal holds meanwhile.
#[test]
fn cpus_go_and_come_while_sealed() {
    let machine = parked(4, Flaw::None);
    let mut stroll = Stroll::over(&machine, None);
    stroll.online = vec![0, 2];
    assert_eq!(walk_in(&mut stroll), Stop::Done);
    assert_eq!(machine.guests(), [0, 2]);
    machine.enter(3, None).unwrap();
    machine.enter(1, None).unwrap();
    assert_eq!(machine.belief(), (SEALED, 4));
    machine.call(2, DETACH, 0).unwrap();
    assert_eq!(machine.guests(), [0, 1, 3]);
    assert_eq!(
        machine.enter(2, Some(EntryFailure::Hardware)),
        Err(Some(Error::EntryRefused))
    );
    assert_eq!(machine.belief(), (SEALED, 3));
    machine.enter(2, None).unwrap();
    detach(&machine, &[3, 1, 0, 2]);
}

#[test]
fn native_cpus_answer_nothing() {
    let machine = parked(2, Flaw::None);
    assert_eq!(machine.call(0, DETACH, 0), Err(None));
    machine.enter(1, None).unwrap();
    assert_eq!(machine.call(0, DETACH, 0), Err(None));
    assert_eq!(machine.belief(), (READY, 1));
}

/// The checks above can fail: with a register forgotten, or a refusal that the
/// core is not told of, they do.
mod can_fail {
    use super::*;

    #[test]
    #[should_panic(expected = "registers of CPU 0 have changed")]
    fn a_forgotten_register_is_seen() {
        let machine = parked(1, Flaw::Forgets(20));
        attach(&machine);
        detach(&machine, &[0]);
    }

    #[test]
    #[should_panic(expected = "(2, 1)")]
    fn a_hidden_refusal_is_seen() {
        let machine = parked(2, Flaw::HidesRefusal);
        fail_once(&machine, Failure::Entry(1, EntryFailure::Hardware));
    }
}

/// A CPU that cannot be taken out again is a guest still: the walk says so, so
/// that nothing is freed, and the others are native.
#[test]
fn a_cpu_that_stays_is_reported() {
    let machine = parked(3, Flaw::None);
    for failure in [
        Failure::Seal,
        Failure::Entry(2, EntryFailure::Hardware),
        Failure::Signal(1),
    ] {
        let mut stroll = Stroll::over(&machine, Some(failure));
        stroll.stuck = Some(0);
        assert_eq!(walk_in(&mut stroll), Stop::Stuck(1));
        assert_eq!(machine.guests(), [0]);
        detach(&machine, &[0]);
    }
    attach(&machine);
}

/// What a CPU of the random machine does between attach and detach.
fn life() -> impl Strategy<Value = Vec<(usize, u8, u64)>> {
    prop::collection::vec((0..4usize, 0..4u8, any::<u64>()), 0..24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any order of leaving and coming back, registers changed in between by
    /// the program: nothing is ever lost, and the head count is right.
    #[test]
    fn any_order(
        cpus in SIZES,
        order in Just([0usize, 1, 2, 3]).prop_shuffle(),
        life in life(),
    ) {
        let machine = parked(cpus, Flaw::None);
        attach(&machine);
        for (cpu, what, value) in life {
            let cpu = cpu % cpus as usize;
            let others = machine.guests().iter().filter(|one| **one != cpu).count();
            match (what, machine.is_guest(cpu)) {
                // The last CPU of a kernel never goes offline.
                (0, true) if others > 0 => { machine.call(cpu, DETACH, 0).unwrap(); }
                (1, false) => machine.enter(cpu, None).unwrap(),
                (2, false) => prop_assert!(machine.enter(cpu, Some(EntryFailure::Hardware)).is_err()),
                _ => { let _ = machine.run(cpu, &[Act::Set((value % 16) as usize, value)]); }
            }
            prop_assert_eq!(machine.belief(), (SEALED, machine.guests().len() as u64));
        }
        let inside = machine.guests();
        let order: Vec<usize> = order.into_iter().filter(|cpu| inside.contains(cpu)).collect();
        detach(&machine, &order);
        attach(&machine);
    }
}
