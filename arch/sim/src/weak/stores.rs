// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stores that nobody but their own CPU knows of yet.

use std::collections::VecDeque;

use super::chance::Chance;

/// So many stores wait at most.
const MOST: usize = 64;

#[derive(Clone, Copy, Debug)]
struct Store {
    /// How many barriers there were before it.
    after: u64,
    address: u64,
    value: u64,
}

/// One CPU's buffer.
#[derive(Clone, Debug, Default)]
pub struct Stores {
    waiting: VecDeque<Store>,
    barriers: u64,
}

impl Stores {
    /// One more.
    pub fn push(&mut self, address: u64, value: u64) {
        self.waiting.push_back(Store {
            after: self.barriers,
            address,
            value,
        });
    }

    /// What comes now leaves after all that is here.
    pub fn barrier(&mut self) {
        self.barriers += 1;
    }

    /// Nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// One must leave before another comes.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= MOST
    }

    /// What this CPU's loads find.
    #[must_use]
    pub fn newest(&self, address: u64) -> Option<u64> {
        let mut newest_first = self.waiting.iter().rev();
        newest_first
            .find(|store| store.address == address)
            .map(|store| store.value)
    }

    /// Some store that may leave: none behind a barrier, none of the same word
    /// before it. Often it is the newest, which is the worst.
    pub fn leave(&mut self, chance: &mut Chance) -> Option<(u64, u64)> {
        let first = self.waiting.front()?.after;
        let group = self.waiting.partition_point(|store| store.after == first);
        let chosen = if chance.one_in(2) {
            group - 1
        } else {
            chance.below(group)
        };
        let chosen = self.waiting.get(chosen)?.address;
        let oldest = self
            .waiting
            .iter()
            .position(|store| store.address == chosen)?;
        let store = self.waiting.remove(oldest)?;
        Some((store.address, store.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_where_it_was_asked_for() {
        let mut overtaken = false;
        for seed in 0..64 {
            let mut chance = Chance::new(seed);
            let mut stores = Stores::default();
            for (address, value) in [(8, 1), (16, 2), (8, 3)] {
                stores.push(address, value);
            }
            stores.barrier();
            stores.push(24, 4);
            assert_eq!(stores.newest(8), Some(3));
            let left: Vec<u64> = std::iter::from_fn(|| stores.leave(&mut chance))
                .map(|(_, value)| value)
                .collect();
            let place = |value| left.iter().position(|found| *found == value).unwrap();
            assert!(place(1) < place(3));
            assert_eq!(place(4), 3);
            overtaken |= place(2) == 0;
        }
        assert!(overtaken);
    }
}
