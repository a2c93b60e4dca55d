// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exits in the log: none until somebody wants them, then each with its reason and, of a
//! hypercall, which; and reading the log adds nothing to it.

use mercury_hal::addr::GuestPhysical;
use mercury_hal::call::{BASE, Request};
use mercury_hal::event::Event;
use mercury_hal::exit::{Reason, Touch};
use mercury_host_tests::stroll::Stroll;
use mercury_host_tests::walk::Stop;
use mercury_host_tests::walk::walk_in;
use mercury_sim::guest::Act;
use mercury_sim::machine::Machine;
use mercury_sim::setup::Setup;

const CPUS: u32 = 2;

/// CPU, reason and hypercall of each exit in the log, read as a guest reads it.
fn exits(machine: &Machine) -> Vec<(u32, u64, u64)> {
    let (mut next, mut found) = (1, Vec::new());
    loop {
        let words = machine.hypervisor().log_words(next);
        if words[0] == 0 {
            return found;
        }
        if words[2] as u16 == Event::Exit as u16 {
            found.push(((words[2] >> 32) as u32, words[3], words[4]));
        }
        next = words[0] + 1;
    }
}

#[test]
fn exits_are_recorded_while_somebody_wants_them() {
    let setup = Setup::small(CPUS);
    let mut machine = Machine::new(CPUS);
    machine.prepare(&setup).unwrap();
    assert_eq!(walk_in(&mut Stroll::over(&machine, None)), Stop::Done);
    let hole = GuestPhysical(setup.blocks[0].start);
    let call = |request: Request, argument| Act::Call(BASE | request.number(), argument);
    let busy = [
        call(Request::Status, 0),
        call(Request::Log(1), 1),
        Act::Touch(hole, Touch::Write),
    ];
    assert_eq!(machine.run(0, &busy).len(), 3);
    assert_eq!(exits(&machine), []);
    assert_eq!(machine.run(0, &[call(Request::Trace(1), 1)]).len(), 1);
    assert_eq!(machine.run(1, &busy).len(), 3);
    assert_eq!(machine.run(0, &[call(Request::Trace(0), 0)]).len(), 1);
    assert_eq!(machine.run(0, &busy).len(), 3);
    let hypercall = Reason::Hypercall as u64;
    let trace = Request::Trace(0).number();
    let status = Request::Status.number();
    assert_eq!(
        exits(&machine),
        [
            (1, hypercall, status),
            (1, Reason::HoleStore as u64, u64::MAX),
            (0, hypercall, trace),
        ]
    );
}
