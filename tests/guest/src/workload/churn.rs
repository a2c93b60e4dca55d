// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that is mapped, filled, summed, moved and given back, with sums that
//! are known beforehand: a page that got lost, or that showed another page's
//! contents for a moment, changes the sum.

use super::Stop;
use anyhow::{Result, ensure};
use std::thread::sleep;
use std::time::Duration;

const WORDS: usize = 256 * 1024;

/// Marsaglia's xorshift: every word depends on the one before.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn sum(words: &[u64]) -> u64 {
    words
        .iter()
        .fold(0, |sum: u64, word| sum.rotate_left(5).wrapping_add(*word))
}

pub(super) fn run(stop: Stop) -> Result<String> {
    let seed = 0x9e37_79b9_7f4a_7c15 ^ u64::from(std::process::id());
    let mut state = seed;
    let mut rounds = 0u64;
    while rounds == 0 || !stop.requested() {
        // 2 MiB: above malloc's threshold, so mapped and unmapped each time.
        let mut expected = 0u64;
        let mut words = Vec::with_capacity(WORDS);
        for _ in 0..WORDS {
            let word = next(&mut state);
            expected = expected.rotate_left(5).wrapping_add(word);
            words.push(word);
        }
        let copy = words.clone();
        ensure!(
            sum(&words) == expected && sum(&copy) == expected,
            "round {rounds}: the sum of {WORDS} words is {:#x} and of their copy {:#x}, not {expected:#x}",
            sum(&words),
            sum(&copy)
        );
        rounds += 1;
        sleep(Duration::from_millis(1));
    }
    Ok(format!(
        "{rounds} rounds of {} KiB, every sum right",
        WORDS * 8 / 1024
    ))
}
