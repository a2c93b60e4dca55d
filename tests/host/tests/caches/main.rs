// SPDX-License-Identifier: MIT OR Apache-2.0
//! What TCG cannot show: that every barrier, every invalidation and every clean
//! of the ARM64 port is there, and that each is needed.
//!
//! The product's own sequences run on the sim's weak machine
//! (`mercury_sim::weak`), under many schedules: those of `guest.rs`, `el2.rs`
//! and `frames.rs` through the trait that they are written against ([`board`], [`rig`]),
//! the core's break-before-make through them ([`map`]), the module's cache
//! maintenance as the C that it is ([`image`]), and the assembly with which EL2's
//! MMU goes on and off as the text that it is ([`way`]).
//!
//! Mutants are not listed: whatever barrier, invalidation or clean a run comes
//! by is left out once, and some schedule must show it. One that could be left
//! out without anything going wrong fails the test: either the machine is not
//! weak enough or the instruction is one too many. There is no exception now.

mod bits;
mod board;
mod image;
mod map;
mod rig;
mod way;

use std::collections::BTreeSet;

use board::Mutant;
use map::ALL;

/// Schedules that the product must come through, of each operation.
const GOOD: u64 = 100;
/// Schedules within which a defect must show, in one of the operations.
const MOST: u64 = 400;

/// The first schedule in which something goes wrong.
fn first_failure(mutant: Mutant, schedules: u64) -> Option<String> {
    (0..schedules).find_map(|seed| {
        ALL.iter().find_map(|(name, scenario)| {
            let rig = scenario(seed, mutant);
            let wrong = rig.machine().wrong.take();
            wrong.map(|wrong| format!("{name}, schedule {seed}: {wrong}"))
        })
    })
}

fn must_fail(mutant: Mutant) {
    let failure = first_failure(mutant, MOST);
    println!("{mutant:?}: {failure:?}");
    assert!(failure.is_some(), "nothing is wrong with {mutant:?}");
}

#[test]
fn the_product_passes() {
    assert_eq!(first_failure(Mutant::None, GOOD), None);
}

#[test]
fn nothing_can_be_left_out() {
    let mut sites = BTreeSet::new();
    for (_, scenario) in ALL {
        sites.append(&mut scenario(0, Mutant::None).board.sites.borrow_mut());
    }
    // 5 on the way in, 3 on the way out, 6 in el2.rs, 1 in frames.rs.
    assert_eq!(sites.len(), 15, "{sites:?}");
    for site in sites {
        must_fail(Mutant::Without(site));
    }
}

#[test]
fn nothing_can_be_done_by_halves() {
    must_fail(Mutant::OtherVmid);
    must_fail(Mutant::NotBroadcast);
    must_fail(Mutant::UncachedWalks);
}
