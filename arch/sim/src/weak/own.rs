// SPDX-License-Identifier: MIT OR Apache-2.0
//! EL2's own addresses on one CPU: tables turned on in the way in and off in
//! the way out.
//!
//! As with EL1's, registers that are written are in force at some time, walks
//! begin whenever the MMU is on and read each register when they like, and
//! what was found is kept. A translation is known by the root it is from.

use super::chance::Chance;

/// Registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// SCTLR_EL2: is the MMU on?
    Control = 0,
    /// TTBR0_EL2.
    Root = 1,
    /// TCR_EL2.
    Translation = 2,
    /// MAIR_EL2.
    Attributes = 3,
}

/// The registers' values.
pub type Values = [u64; 4];

/// A walk that has read some registers.
type Walk = [Option<u64>; 4];

/// One CPU's EL2.
#[derive(Clone, Debug)]
pub struct Own {
    chance: Chance,
    in_force: Values,
    written: Vec<(Register, u64)>,
    walks: Vec<Walk>,
    /// Roots of what the TLB has.
    kept: Vec<u64>,
    to_forget: bool,
    /// Root, translation and attributes as the image wants them together.
    pub good: Option<[u64; 3]>,
    /// The first thing that must not be.
    pub wrong: Option<String>,
}

impl Own {
    /// EL2 as it was found, with something in its TLB.
    #[must_use]
    pub fn new(found: Values, kept: Vec<u64>, seed: u64) -> Self {
        Self {
            chance: Chance::new(seed),
            in_force: found,
            written: Vec::new(),
            walks: Vec::new(),
            kept,
            to_forget: false,
            good: None,
            wrong: None,
        }
    }

    /// Whether the MMU is on.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.in_force[0] & 1 == 1
    }

    /// Whether it may be either, because nothing has synchronized.
    #[must_use]
    pub fn is_unsure(&self) -> bool {
        self.written.iter().any(|(register, value)| {
            *register == Register::Control && value & 1 != self.in_force[0] & 1
        })
    }

    /// What is in force, and whether that is all that was written.
    #[must_use]
    pub const fn settled(&self) -> Option<Values> {
        if self.written.is_empty() {
            Some(self.in_force)
        } else {
            None
        }
    }

    /// Notes what must not be.
    pub fn accuse(&mut self, what: &str) {
        self.wrong.get_or_insert_with(|| what.to_owned());
    }

    /// A write of a register.
    pub fn set(&mut self, register: Register, value: u64) {
        self.written.push((register, value));
        self.disturb();
    }

    /// ISB, ERET.
    pub fn isb(&mut self) {
        while !self.written.is_empty() {
            self.take_effect();
        }
        self.disturb();
    }

    /// TLBI ALLE2.
    pub fn tlbi(&mut self) {
        self.to_forget = true;
        self.disturb();
    }

    /// DSB NSH.
    pub fn dsb(&mut self) {
        while !self.walks.is_empty() {
            self.walk_on(0);
        }
        self.forget();
        self.disturb();
    }

    /// An access to one of the image's addresses: from tables of which root?
    pub fn access(&mut self) -> Option<u64> {
        if !self.is_on() {
            return None;
        }
        if let Some(kept) = self.chance.choose(&self.kept) {
            return Some(kept);
        }
        self.walks.insert(0, [None; 4]);
        let before = self.walks.len();
        while self.walks.len() == before {
            self.walk_on(0);
        }
        self.kept.last().copied()
    }

    fn take_effect(&mut self) {
        let chosen = self.chance.below(self.written.len());
        if chosen < self.written.len() {
            let (register, _) = self.written[chosen];
            let oldest = self.written.iter().position(|(one, _)| *one == register);
            let (register, value) = self.written.remove(oldest.unwrap_or(chosen));
            self.in_force[register as usize] = value;
        }
    }

    fn forget(&mut self) {
        if std::mem::take(&mut self.to_forget) {
            self.kept.clear();
            self.walks.clear();
        }
    }

    fn walk_on(&mut self, number: usize) {
        let unread = |walk: &Walk| (1..4).filter(|at| walk[*at].is_none()).collect::<Vec<_>>();
        let Some(walk) = self.walks.get_mut(number) else {
            return;
        };
        let left = unread(walk);
        if let Some(at) = self.chance.choose(&left) {
            walk[at] = Some(self.in_force[at]);
            return;
        }
        let found = [walk[1], walk[2], walk[3]].map(Option::unwrap_or_default);
        self.walks.remove(number);
        if self.good != Some(found) {
            self.accuse("a walk with registers that do not belong together");
        }
        self.kept.push(found[0]);
    }

    fn disturb(&mut self) {
        for _ in 0..self.chance.below(8) {
            match self.chance.below(5) {
                0 => self.take_effect(),
                1 if self.is_on() && self.walks.len() < 3 => self.walks.push([None; 4]),
                2 if self.chance.one_in(4) => self.forget(),
                _ => {
                    let number = self.chance.below(self.walks.len());
                    self.walk_on(number);
                }
            }
        }
    }
}
