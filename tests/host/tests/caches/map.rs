// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is done to the nested map and to the CPUs beneath it, and what every
//! program must find meanwhile and afterwards.

use mercury_hal::call::Request;
use mercury_hal::paging::Access;
use mercury_sim::weak::tlb::Translation;

use crate::board::Mutant;
use crate::rig::CPUS;
use crate::rig::LATE;
use crate::rig::LENT;
use crate::rig::OTHER;
use crate::rig::PLAIN;
use crate::rig::Rig;

/// An operation under one schedule, with one defect.
pub(crate) type Scenario = fn(seed: u64, mutant: Mutant) -> Rig;

/// All of them.
pub(crate) const ALL: [(&str, Scenario); 6] = [
    ("attach", attach),
    ("detach", detach),
    ("proof page", proof),
    ("fault", fault),
    ("two faults", two_faults),
    ("conflict", conflict),
];

/// Every CPU looks everywhere.
fn look(rig: &Rig) {
    let watched = rig.machine().watched.clone();
    for cpu in 0..CPUS {
        for address in &watched {
            rig.machine().touch(cpu, *address);
        }
    }
}

/// CPU 0 prepares, and CPUs go in one after another; the others run natively,
/// and the kernel on any of them changes its own tables.
fn attach(seed: u64, mutant: Mutant) -> Rig {
    let mut rig = Rig::new(seed, mutant, 200);
    rig.trouble(1);
    let first = rig.chance.below(CPUS);
    for cpu in 0..CPUS {
        rig.enter((first + cpu) % CPUS);
        rig.pass_time();
    }
    look(&rig);
    rig
}

/// A machine on which all CPUs are guests, and nothing is under way.
fn attached(seed: u64, mutant: Mutant) -> Rig {
    let mut rig = Rig::new(seed, mutant, 0);
    for cpu in 0..CPUS {
        rig.enter(cpu);
    }
    rig.trouble(1);
    rig.pass_time();
    rig
}

fn detach(seed: u64, mutant: Mutant) -> Rig {
    let mut rig = attached(seed, mutant);
    let first = rig.chance.below(CPUS);
    for cpu in 0..CPUS {
        rig.leave((first + cpu) % CPUS);
        rig.pass_time();
    }
    look(&rig);
    rig
}

/// Splits of large leaves, and leaves that change, while other CPUs use them.
fn proof(seed: u64, mutant: Mutant) -> Rig {
    let mut rig = attached(seed, mutant);
    let near = [PLAIN, OTHER, PLAIN + 0x20_0000, PLAIN + 0x2000];
    rig.machine().watched.extend(near);
    rig.pass_time();
    let mut is = Some((PLAIN, Access::All));
    for request in [Request::Flip, Request::Restore, Request::Unmap] {
        let becomes = match request {
            Request::Flip => Some((OTHER, Access::All)),
            Request::Restore => Some((PLAIN, Access::All)),
            _ => None,
        };
        rig.machine().may.insert(PLAIN, vec![is, becomes]);
        let cpu = rig.chance.below(CPUS);
        rig.call(cpu, request);
        rig.machine().may.insert(PLAIN, vec![becomes]);
        rig.pass_time();
        look(&rig);
        is = becomes;
    }
    rig
}

/// A page that nobody has named is touched: once while others only guess it,
fn fault(seed: u64, mutant: Mutant) -> Rig {
    let mut rig = attached(seed, mutant);
    rig.machine().watched.push(LATE);
    rig.machine()
        .may
        .insert(LATE, vec![None, Some((LATE, Access::All))]);
    rig.pass_time();
    let cpu = rig.chance.below(CPUS);
    rig.access(cpu, LATE);
    rig.pass_time();
    rig
}

/// then by all.
fn two_faults(seed: u64, mutant: Mutant) -> Rig {
    let mut rig = fault(seed, mutant);
    for cpu in 0..CPUS {
        rig.access(cpu, LATE);
    }
    rig.machine().may.remove(&LATE);
    look(&rig);
    rig
}

/// A TLB that contradicts itself, for whatever reason, is put right.
fn conflict(seed: u64, mutant: Mutant) -> Rig {
    let mut rig = attached(seed, mutant);
    let cpu = rig.chance.below(CPUS);
    rig.trouble(0);
    let large = Translation {
        vmid: 7,
        start: LENT & !0x3fff_ffff,
        bytes: 1 << 30,
        target: LENT & !0x3fff_ffff,
        access: Access::All,
        leaf: Some(2),
    };
    rig.machine().cpu_mut(cpu).tlb.keep(large);
    rig.conflict(cpu);
    look(&rig);
    rig
}
