// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happens in which order, drawn from a seed.
//!
//! Disturbances are dealt like cards: the deck is shuffled, a few are dealt to
//! each round, and when it is empty it is shuffled anew. So every disturbance
//! has had its turn after each deck, in company that changes. What a disturbance
//! does in its turn it draws from a generator of its own, which depends on seed,
//! round and its name and on nothing that happens: two runs with one seed do
//! the same things in the same order, however fast their machines are.
//!
//! The generator is fastrand's (wyrand). Its sequence may change with a new
//! major version; a seed belongs to a commit, which names the version.

use fastrand::Rng;
use std::ops::RangeInclusive;

/// Disturbances that run beside each other in a round.
pub(super) const COMPANY: usize = 3;
/// One round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Round {
    /// From 1.
    pub(super) number: u64,
    /// Whether the deck is used up with this one.
    pub(super) last_of_deck: bool,
    /// Which disturbances, by number.
    pub(super) who: Vec<usize>,
    /// Round trips, at least.
    pub(super) trips: u64,
    /// The CPU that the first is made from; then one after another.
    pub(super) first_cpu: usize,
}

/// Deals rounds without end.
#[derive(Debug)]
pub(super) struct Order {
    seed: u64,
    draw: Rng,
    count: usize,
    /// Round trips in a round, at least and at most, where no disturbance takes longer.
    trips: RangeInclusive<u64>,
    deck: Vec<usize>,
    number: u64,
}

impl Order {
    /// Of so many disturbances, and about so many round trips in a round.
    pub(super) fn new(seed: u64, count: usize, trips: u64) -> Self {
        Self {
            seed,
            draw: Rng::with_seed(seed),
            count,
            trips: (trips / 2).max(1)..=(trips + trips / 2).max(1),
            deck: Vec::new(),
            number: 0,
        }
    }

    pub(super) fn next(&mut self) -> Round {
        if self.deck.is_empty() {
            self.deck = (0..self.count).collect();
            self.draw.shuffle(&mut self.deck);
        }
        let rest = self.deck.split_off(self.deck.len().min(COMPANY));
        let who = std::mem::replace(&mut self.deck, rest);
        self.number += 1;
        Round {
            number: self.number,
            last_of_deck: self.deck.is_empty(),
            who,
            trips: self.draw.u64(self.trips.clone()),
            first_cpu: self.draw.usize(0..1024),
        }
    }

    /// What a disturbance draws from in a round.
    pub(super) fn draw(&self, round: u64, name: &str) -> Rng {
        // FNV-1a of its name: a number that does not move when others come.
        let name = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Rng::with_seed(self.seed.rotate_left(32) ^ round ^ name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(seed: u64) -> Vec<Round> {
        let mut order = Order::new(seed, 10, 6);
        (0..20).map(|_| order.next()).collect()
    }

    #[test]
    fn the_seed_decides() {
        assert_eq!(rounds(7), rounds(7));
        assert_ne!(rounds(7), rounds(8));
    }

    #[test]
    fn a_round_has_about_as_many_trips_as_asked_for() {
        assert!(rounds(5).iter().all(|round| (3..=9).contains(&round.trips)));
        assert_eq!(Order::new(1, 3, 0).next().trips, 1);
    }

    #[test]
    fn each_deck_has_each_card_once() {
        for deck in rounds(3).chunks(4) {
            let mut dealt: Vec<usize> = deck.iter().flat_map(|round| round.who.clone()).collect();
            dealt.sort_unstable();
            assert_eq!(dealt, (0..10).collect::<Vec<_>>());
            assert!(deck[3].last_of_deck && !deck[2].last_of_deck);
        }
    }

    #[test]
    fn a_disturbance_draws_for_itself() {
        let order = Order::new(1, 3, 6);
        let first = |round, name| order.draw(round, name).u64(..);
        assert_eq!(first(1, "disk"), first(1, "disk"));
        assert_ne!(first(1, "disk"), first(2, "disk"));
        assert_ne!(first(1, "disk"), first(1, "network"));
    }
}
