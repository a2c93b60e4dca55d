// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the machine does by itself between any two steps of the code under
//! test.
//!
//! A seed decides not only each time what, but once for all how much there is
//! of each kind and how much in all: that finds what needs a store to wait for
//! long, or walks and nothing else, sooner than an even mixture would.

use super::chance::Chance;
use super::machine::Machine;
use super::walk::Walk;

/// Walks that a CPU has under way at most.
const MOST_WALKS: usize = 4;

#[derive(Clone, Copy, Debug)]
enum Kind {
    StoreLeaves,
    OrderIsObeyed,
    RegisterTakesEffect,
    WalkBegins,
    WalkGoesOn,
    ProgramTouches,
    KernelRemaps,
    LineIsEvicted,
    LineIsCleaned,
}

const KINDS: [Kind; 9] = [
    Kind::StoreLeaves,
    Kind::OrderIsObeyed,
    Kind::RegisterTakesEffect,
    Kind::WalkBegins,
    Kind::WalkGoesOn,
    Kind::ProgramTouches,
    Kind::KernelRemaps,
    Kind::LineIsEvicted,
    Kind::LineIsCleaned,
];

/// How much of what.
#[derive(Clone, Debug)]
pub struct Mood {
    weights: [usize; KINDS.len()],
    most: usize,
    /// Something happens at one in so many steps; 0: never.
    rarely: usize,
}

impl Mood {
    pub(super) fn new(chance: &mut Chance) -> Self {
        let mut mood = Self {
            weights: KINDS.map(|_| chance.choose(&[0, 1, 4, 16]).unwrap_or(1)),
            most: chance.choose(&[2, 6, 20]).unwrap_or(2),
            rarely: 0,
        };
        // Without these nothing is ever found.
        mood.weights[Kind::WalkGoesOn as usize] += 4;
        mood.weights[Kind::ProgramTouches as usize] += 1;
        mood
    }

    pub(super) const fn is_calm(&self) -> bool {
        self.rarely == 0
    }
}

impl Machine {
    /// From now on something happens at one in so many steps; 0: never, and
    /// stores arrive at once.
    pub fn trouble(&mut self, rarely: usize) {
        self.mood.rarely = rarely;
    }

    /// A step.
    pub fn disturb(&mut self) {
        let rarely = self.mood.rarely;
        if rarely == 0 || self.wrong.is_some() || !self.chance.one_in(rarely) {
            return;
        }
        for _ in 0..self.chance.below(self.mood.most) {
            let cpu = self.chance.below(self.cpus.len());
            let all: usize = self.mood.weights.iter().sum();
            let mut drawn = self.chance.below(all);
            for (kind, weight) in KINDS.into_iter().zip(self.mood.weights) {
                if drawn < weight {
                    self.happen(kind, cpu);
                    break;
                }
                drawn -= weight;
            }
        }
    }

    fn happen(&mut self, kind: Kind, cpu: usize) {
        match kind {
            Kind::StoreLeaves => self.leave(cpu),
            Kind::OrderIsObeyed => {
                if let Some(one) = self.chance.choose(&self.cpus[cpu].orders) {
                    self.obey(cpu, |order| *order == one);
                }
            }
            Kind::RegisterTakesEffect => self.cpus[cpu].take_effect(&mut self.chance),
            Kind::WalkBegins => {
                if self.cpus[cpu].walks.len() < MOST_WALKS
                    && let Some(address) = self.chance.choose(&self.watched)
                {
                    let walk = Walk::new(address, self.first(address));
                    self.cpus[cpu].walks.push(walk);
                }
            }
            Kind::WalkGoesOn => {
                let number = self.chance.below(self.cpus[cpu].walks.len());
                self.go_on(cpu, number);
            }
            Kind::ProgramTouches => {
                if !self.cpus[cpu].at_el2
                    && let Some(address) = self.chance.choose(&self.watched)
                {
                    self.touch(cpu, address);
                }
            }
            Kind::KernelRemaps => {
                let pages: Vec<u64> = self.aliases.keys().copied().collect();
                let to = [0x10_0000, 0x20_0000, 0x4000_0000];
                if !self.cpus[cpu].at_el2
                    && self.chance.one_in(8)
                    && let Some(page) = self.chance.choose(&pages)
                    && let Some(to) = self.chance.choose(&to)
                {
                    self.remap(cpu, page, to);
                }
            }
            Kind::LineIsEvicted => self.memory.evict(&mut self.chance),
            Kind::LineIsCleaned => {
                let number = self.chance.below(self.cpus[cpu].cleaning.len());
                if number < self.cpus[cpu].cleaning.len() {
                    let line = self.cpus[cpu].cleaning.swap_remove(number);
                    self.clean_now(cpu, line);
                }
            }
        }
    }
}
