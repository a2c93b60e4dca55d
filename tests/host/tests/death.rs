// SPDX-License-Identifier: MIT OR Apache-2.0
//! The image dies on one CPU: that CPU and every other get out with their
//! registers, no lock is waited for, the log says what happened, and nobody goes
//! in again.

use std::time::Duration;
use std::time::Instant;

use mercury_hal::addr::GuestPhysical;
use mercury_hal::error::Error;
use mercury_hal::event::Event;
use mercury_hal::exit::Touch;
use mercury_host_tests::stroll::Stroll;
use mercury_host_tests::walk::Stop;
use mercury_host_tests::walk::walk_in;
use mercury_sim::guest::Act;
use mercury_sim::guest::Death;
use mercury_sim::guest::Outcome;
use mercury_sim::machine::Command;
use mercury_sim::machine::Machine;
use mercury_sim::machine::Reply;
use mercury_sim::memory::pattern;
use mercury_sim::setup::Setup;

const CPUS: u32 = 3;
const CALLS: [u64; 10] = [0, 1, 2, 3, 4, 5, 8, 9, 10, 11];
const DEATHS: [Death; 3] = [Death::Plain, Death::Locked, Death::InRecord];

fn attached() -> (Machine, Setup) {
    let setup = Setup::small(CPUS);
    let mut machine = Machine::new(CPUS);
    machine.prepare(&setup).unwrap();
    assert_eq!(walk_in(&mut Stroll::over(&machine, None)), Stop::Done);
    (machine, setup)
}

/// Events of the log, with the CPU that each is of.
fn events(machine: &Machine) -> Vec<(u16, u32)> {
    let (mut next, mut found) = (1, Vec::new());
    loop {
        let words = machine.hypervisor().log_words(next);
        if words[0] == 0 {
            return found;
        }
        found.push((words[2] as u16, (words[2] >> 32) as u32));
        next = words[0] + 1;
    }
}

#[test]
fn every_cpu_gets_out_whichever_dies_and_how() {
    for death in DEATHS {
        for dying in 0..CPUS as usize {
            let (machine, setup) = attached();
            let hole = GuestPhysical(setup.blocks[0].start);
            let script = [Act::Set(3, 0xabcd), Act::Die(death), Act::Set(4, 0xef01)];
            let _ = machine.run(dying, &script);
            assert!(!machine.is_guest(dying), "{death:?} on CPU {dying}");
            // The others make the exits that they would have made anyway, and
            // what they wanted happens natively.
            for (number, cpu) in (0..CPUS as usize).filter(|cpu| *cpu != dying).enumerate() {
                assert!(machine.is_guest(cpu));
                let wanted = Act::Touch(hole, Touch::Write);
                let outcomes = match number {
                    0 => machine.run(cpu, &[wanted]),
                    _ => machine.run(cpu, &[Act::UserCall(7, 7)]),
                };
                let native = match number {
                    0 => Outcome::Done(pattern(hole.identity())),
                    _ => Outcome::Undefined,
                };
                assert_eq!(
                    outcomes,
                    [native],
                    "{death:?} on CPU {dying}, seen by {cpu}"
                );
            }
            assert_eq!(machine.guests(), [0; 0]);
            let said = events(&machine);
            let cause = (Event::HostException as u16, dying as u32);
            assert!(said.contains(&cause), "{said:?}");
        }
    }
}

#[test]
fn every_call_is_answered_by_nobody() {
    for death in DEATHS {
        for number in CALLS {
            let (machine, _) = attached();
            let _ = machine.run(0, &[Act::Die(death)]);
            assert_eq!(machine.call(1, number, 1), Err(None), "call {number}");
            assert!(!machine.is_guest(1));
        }
    }
}

#[test]
fn whoever_waits_for_the_lock_gets_out() {
    for _ in 0..20 {
        let (machine, setup) = attached();
        let waits = Act::Touch(GuestPhysical(setup.blocks[0].start), Touch::Write);
        let begin = Instant::now();
        machine.send(0, Command::Run(vec![Act::Die(Death::Locked)]));
        std::thread::sleep(Duration::from_millis(2));
        for cpu in 1..CPUS as usize {
            // MEMORY wants the lock too.
            let call = Act::Call(mercury_hal::call::BASE | 9, 0);
            let act = if cpu == 1 { waits } else { call };
            machine.send(cpu, Command::Run(vec![act]));
        }
        for cpu in 0..CPUS as usize {
            assert!(matches!(machine.receive(cpu), Reply::Ran(_)));
        }
        assert!(begin.elapsed() < Duration::from_secs(5));
        assert_eq!(machine.guests(), [0; 0]);
    }
}

#[test]
fn nobody_goes_into_a_dead_image() {
    for death in DEATHS {
        let (mut machine, setup) = attached();
        assert_eq!(machine.run(2, &[Act::Die(death)]), [Outcome::Undefined]);
        for cpu in [0, 1] {
            let _ = machine.call(cpu, 0, 0);
        }
        for cpu in 0..CPUS as usize {
            assert_eq!(machine.enter(cpu, None), Err(Some(Error::Died)));
            assert!(!machine.is_guest(cpu));
        }
        // A preparation in the same image does not raise it from the dead.
        assert!(machine.prepare(&setup).is_err());
    }
}

#[test]
fn an_entry_of_another_cpu_is_undone_if_the_image_dies_meanwhile() {
    for death in DEATHS {
        let setup = Setup::small(CPUS);
        let mut machine = Machine::new(CPUS);
        machine.prepare(&setup).unwrap();
        machine.enter(0, None).unwrap();
        let _ = machine.run(0, &[Act::Die(death)]);
        assert_eq!(machine.enter(1, None), Err(Some(Error::Died)));
        assert_eq!(machine.guests(), [0; 0]);
    }
}
