// SPDX-License-Identifier: MIT OR Apache-2.0
//! The page in which EL2's MMU goes on and off: the assembly of `entry.rs`,
//! read as text and carried out line by line.
//!
//! On the way in nothing is known of memory until the MMU is on for sure, so
//! there must be no load and no store; then the first virtual address must lead
//! to the image, through tables and registers that belong together. On the way
//! out EL2 must be as it was found, and nothing of the image's may be left in
//! its TLB for whoever turns an MMU on there next.

use mercury_sim::weak::own::Own;
use mercury_sim::weak::own::Register;
use mercury_sim::weak::own::Values;

const SOURCE: &str = include_str!("../../../../image/aarch64/src/entry.rs");
const SCHEDULES: u64 = 400;

/// Registers as the kernel left them, and as somebody else's tables had them.
const FOUND: Values = [0x30c5_0830, 0xbad_0000, 0, 0];
/// What the image wants. Only that they are its own matters here.
const OURS: Values = [0x30c5_183d, 0x4000_0000, 0x8080_3510, 0xff];
/// Root of whoever had EL2 before.
const FORMER: u64 = 0x7000_0000;

/// The lines from one label to the next, or to the section's end.
fn lines(from: &str, to: &str) -> Vec<&'static str> {
    let all = SOURCE
        .lines()
        .map(|line| line.trim_matches(&[' ', '"', ','][..]));
    let begin = format!("{from}:");
    all.skip_while(|line| *line != begin)
        .skip(1)
        .take_while(|line| *line != to)
        .collect()
}

/// Instructions that touch no memory and change no register of EL2's but the
/// general ones.
const HARMLESS: [&str; 8] = ["mrs", "mov", "movz", "movk", "adr", "and", "cmp", "csel"];

/// Carries lines out but for one; `to` are the values that `msr` writes.
fn carry_out(own: &mut Own, lines: &[&str], without: Option<usize>, to: Values) {
    for (number, line) in lines.iter().enumerate() {
        if without == Some(number) {
            continue;
        }
        let mut words = line.split([' ', ',']).filter(|word| !word.is_empty());
        let (what, first) = (words.next().unwrap_or_default(), words.next());
        match (what, first) {
            ("msr", Some(name)) => {
                let register = match name {
                    "sctlr_el2" => Register::Control,
                    "ttbr0_el2" => Register::Root,
                    "tcr_el2" => Register::Translation,
                    "mair_el2" => Register::Attributes,
                    other => panic!("{other} is written and means something to nobody"),
                };
                own.set(register, to[register as usize]);
            }
            ("isb", None) => own.isb(),
            ("dsb", Some("nsh")) => own.dsb(),
            ("tlbi", Some("alle2")) => own.tlbi(),
            ("bfi" | "br" | "cbnz" | "eret" | "1:", _) => {}
            (what, _) if HARMLESS.contains(&what) => {}
            _ => panic!("{line}: not expected where the MMU goes on and off"),
        }
    }
}

/// The way in and the way out, without one line of either.
fn run(seed: u64, without_in: Option<usize>, without_out: Option<usize>) -> Option<String> {
    let mut own = Own::new(FOUND, vec![FORMER; 3], seed);
    own.good = Some([OURS[1], OURS[2], OURS[3]]);
    let way_in = lines("mercury_way_in", "mercury_way_out:");
    carry_out(&mut own, &way_in, without_in, OURS);
    if own.is_unsure() || !own.is_on() {
        own.accuse("the MMU may still be off at the first virtual address");
        return own.wrong;
    }
    for _ in 0..4 {
        if own.access() != Some(OURS[1]) {
            own.accuse("an address of the image's leads elsewhere");
        }
    }
    let way_out = lines("mercury_way_out", ".popsection");
    carry_out(&mut own, &way_out, without_out, FOUND);
    if own.settled() != Some(FOUND) {
        own.accuse("EL2 is not as it was found");
        return own.wrong;
    }
    // Whoever comes next has tables of its own, and relies on the TLB.
    let next = [OURS[0], FORMER, 1, 1];
    own.good = Some([next[1], next[2], next[3]]);
    for (register, value) in [
        (Register::Root, next[1]),
        (Register::Translation, next[2]),
        (Register::Attributes, next[3]),
    ] {
        own.set(register, value);
    }
    own.isb();
    own.set(Register::Control, next[0]);
    own.isb();
    if own.access() != Some(FORMER) {
        own.accuse("the image's translations are left");
    }
    own.wrong
}

#[test]
fn the_mmu_goes_on_and_off() {
    for seed in 0..SCHEDULES {
        assert_eq!(run(seed, None, None), None, "schedule {seed}");
    }
}

#[test]
fn every_barrier_of_the_way_is_needed() {
    let barriers = |lines: Vec<&str>| -> Vec<usize> {
        let is_one = |line: &str| {
            ["isb", "dsb", "tlbi"]
                .iter()
                .any(|name| line.starts_with(name))
        };
        (0..lines.len())
            .filter(|number| is_one(lines[*number]))
            .collect()
    };
    let ways_in = barriers(lines("mercury_way_in", "mercury_way_out:"));
    let ways_out = barriers(lines("mercury_way_out", ".popsection"));
    assert_eq!((ways_in.len(), ways_out.len()), (4, 4));
    let mutants = ways_in.into_iter().map(|number| (Some(number), None));
    let mutants = mutants.chain(ways_out.into_iter().map(|number| (None, Some(number))));
    for (first, second) in mutants {
        let failure = (0..SCHEDULES).find_map(|seed| run(seed, first, second));
        println!("way in {first:?}, way out {second:?}: {failure:?}");
        assert!(
            failure.is_some(),
            "nothing is wrong without {first:?}, {second:?}"
        );
    }
}
