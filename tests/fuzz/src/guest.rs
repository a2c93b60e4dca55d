// SPDX-License-Identifier: MIT OR Apache-2.0
//! A guest that does whatever it likes on two CPUs: calls, touches, registers.
//!
//! The core runs on the simulated machine, which itself panics at a table that
//! is published before it is full, at a stale translation that is used, at a
//! register that is not given back. Here is asked: does the hole keep nothing,
//! and is a CPU a guest until it asks to be let go?

use arbitrary::{Result, Unstructured};
use mercury_hal::addr::GuestPhysical;
use mercury_hal::call::BASE;
use mercury_hal::exit::Touch;
use mercury_sim::guest::{Act, Outcome};
use mercury_sim::setup::Setup;
use mercury_sim::turns::Turns;

const CPUS: u32 = 2;
const DETACH: u64 = BASE | 2;
const MOST_ACTS: usize = 64;

/// An address: in the hole, near it, a proof page, or anywhere.
fn address(input: &mut Unstructured<'_>, setup: &Setup) -> Result<GuestPhysical> {
    let block = setup.blocks[input.choose_index(setup.blocks.len())?];
    let offset = u64::from(input.arbitrary::<u16>()?) << 3;
    Ok(GuestPhysical(match input.int_in_range(0..=3u8)? {
        0 => block.start + offset % (block.pages << 12),
        1 => (block.start - 4096).wrapping_add(offset),
        2 => setup.proof.plain.0 + offset % 4096,
        _ => input.arbitrary::<u64>()? & !7,
    }))
}

fn act(input: &mut Unstructured<'_>, setup: &Setup) -> Result<Act> {
    Ok(match input.int_in_range(0..=4u8)? {
        0 => Act::Set(input.int_in_range(0..=3)?, input.arbitrary()?),
        1 => Act::Call(
            BASE | u64::from(input.arbitrary::<u8>()?),
            input.arbitrary()?,
        ),
        2 => Act::Call(input.arbitrary()?, input.arbitrary()?),
        3 => Act::UserCall(
            BASE | u64::from(input.arbitrary::<u8>()?),
            input.arbitrary()?,
        ),
        _ => Act::Touch(
            address(input, setup)?,
            *input.choose(&[Touch::Read, Touch::Write, Touch::Fetch, Touch::Walk])?,
        ),
    })
}

fn in_the_hole(setup: &Setup, at: GuestPhysical) -> bool {
    setup
        .blocks
        .iter()
        .any(|block| (block.start..block.start + (block.pages << 12)).contains(&at.0))
}

pub(crate) fn run(bytes: &[u8]) {
    let setup = Setup::small(CPUS);
    let mut machine = Turns::attached(&setup, CPUS);
    let mut input = Unstructured::new(bytes);
    for _ in 0..MOST_ACTS {
        if input.is_empty() {
            break;
        }
        let cpu = usize::from(input.arbitrary::<bool>().unwrap_or_default());
        let Ok(act) = act(&mut input, &setup) else {
            break;
        };
        let before = machine.is_guest(cpu);
        let outcome = machine.act(cpu, act);
        let asked_to_go = matches!(act, Act::Call(DETACH, _));
        assert_eq!(
            machine.is_guest(cpu),
            before && !asked_to_go,
            "CPU {cpu} after {act:x?}"
        );
        match act {
            Act::Touch(at, touch) if before && in_the_hole(&setup, at) => {
                let right = match touch {
                    Touch::Read => outcome == Outcome::Done(0),
                    Touch::Write => outcome == Outcome::Dropped,
                    Touch::Fetch | Touch::Walk => outcome == Outcome::Protection,
                };
                assert!(
                    right,
                    "{touch:?} of {at:x?} in the hole came to {outcome:x?}"
                );
            }
            Act::UserCall(..) => assert_eq!(outcome, Outcome::Undefined),
            _ => {}
        }
        assert_eq!(machine.strangers(cpu), [], "registers of CPU {cpu}");
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    vec![vec![0; 64], (0..=255).collect(), vec![0x44; 96]]
}
