// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the nested map should be: a function from guest address to host
//! address and access, with no tables in it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use mercury_hal::addr::GuestPhysical;
use mercury_hal::addr::HostPhysical;
use mercury_hal::call::Request;
use mercury_hal::exit::FaultAnswer;
use mercury_hal::paging::Access;
use mercury_hal::paging::Level;
use mercury_hal::paging::span;
use mercury_sim::setup::Setup;

type Found = Option<(HostPhysical, Access)>;

/// The map.
pub(crate) struct Model {
    setup: Setup,
    zeros: u64,
    /// Identity: first address, first beyond, level of the leaves.
    plain: Vec<(u64, u64, Level)>,
    /// Pages that are something else: the hole, and the proof page.
    odd: BTreeMap<u64, Found>,
    /// Faults that were answered with a mapping.
    pub(crate) on_demand: u64,
}

impl Model {
    /// The map after the preparation.
    pub(crate) fn new(setup: &Setup, zeros: HostPhysical) -> Self {
        let shape = setup.shape;
        let step = span(shape.largest_leaf);
        let mut plain = Vec::new();
        for (range, is_ram) in &setup.ranges {
            let wide = range.end() - range.start() > 1 << 30;
            if wide && !is_ram && shape.largest_leaf < 2 {
                continue;
            }
            let start = range.start() / step * step;
            let end = range.end().div_ceil(step) * step;
            if start < shape.limit() {
                plain.push((start, end.min(shape.limit()), shape.largest_leaf));
            }
        }
        let mut odd = BTreeMap::new();
        for block in &setup.blocks {
            for page in 0..block.pages {
                let at = block.start + page * 4096;
                odd.insert(at, Some((zeros, Access::Read)));
            }
        }
        Self {
            setup: setup.clone(),
            zeros: zeros.0,
            plain,
            odd,
            on_demand: 0,
        }
    }

    /// What a fault in the hole is answered with.
    pub(crate) const fn hole() -> FaultAnswer {
        FaultAnswer::Hole
    }

    /// What lies behind an address.
    pub(crate) fn behind(&self, at: u64) -> Found {
        if at >= self.setup.shape.limit() {
            return None;
        }
        let identity = Some((HostPhysical(at), Access::All));
        match self.odd.get(&(at & !4095)) {
            Some(odd) => odd.map(|(page, access)| (HostPhysical(page.0 + at % 4096), access)),
            None if self.is_plain(at) => identity,
            None => None,
        }
    }

    fn is_plain(&self, at: u64) -> bool {
        self.plain
            .iter()
            .any(|(start, end, _)| (*start..*end).contains(&at))
    }

    /// A fault, and what it does to the map.
    pub(crate) fn fault(&mut self, at: u64) -> FaultAnswer {
        let page = at & !4095;
        if self
            .setup
            .blocks
            .iter()
            .any(|block| (block.start..block.start + block.pages * 4096).contains(&at))
        {
            return Self::hole();
        }
        if at >= self.setup.shape.limit() {
            return FaultAnswer::Refuse;
        }
        if self.behind(at).is_some() {
            return FaultAnswer::Again;
        }
        self.on_demand += 1;
        let identity = Some((HostPhysical(page), Access::All));
        if let Some(odd) = self.odd.get_mut(&page) {
            *odd = identity;
            return FaultAnswer::Again;
        }
        // As large as fits between the odd pages.
        let fits = |level: &Level| {
            let start = at & !(span(*level) - 1);
            self.odd.range(start..start + span(*level)).next().is_none()
        };
        let largest = self.setup.shape.largest_leaf;
        let level = (0..=largest).rev().find(fits).unwrap_or(0);
        let start = at & !(span(level) - 1);
        self.plain.push((start, start + span(level), level));
        FaultAnswer::Again
    }

    /// A proof call.
    pub(crate) fn prove(&mut self, request: Request) {
        let proof = self.setup.proof;
        let target = |page: GuestPhysical| Some((HostPhysical(page.0), Access::All));
        let now = match request {
            Request::Flip => target(proof.other),
            Request::Restore => target(proof.plain),
            _ => None,
        };
        self.odd.insert(proof.plain.0, now);
    }

    /// Addresses at which something begins or ends.
    pub(crate) fn edges(&self) -> Vec<u64> {
        let mut edges = vec![0, self.setup.shape.limit(), self.zeros];
        edges.extend(self.plain.iter().flat_map(|(start, end, _)| [*start, *end]));
        let named = self.setup.ranges.iter();
        edges.extend(named.flat_map(|(range, _)| [range.start(), range.end()]));
        for page in self.odd.keys() {
            edges.extend([*page, page + 4096]);
            for level in 1..=2 {
                let start = page & !(span(level) - 1);
                edges.extend([start, start + span(level)]);
            }
        }
        edges
            .iter()
            .flat_map(|at| [at.saturating_sub(1), *at, at + 1])
            .collect()
    }

    /// How many tables the map cannot do without.
    pub(crate) fn tables(&self) -> u64 {
        let root = self.setup.shape.root;
        let mut tables = BTreeSet::from([(root, 0)]);
        let mut add = |at: u64, leaf: Level| {
            for level in leaf..root {
                tables.insert((level, at & !(span(level + 1) - 1)));
            }
        };
        for (start, end, level) in &self.plain {
            let mut at = *start;
            while at < *end {
                add(at, *level);
                at += span(*level);
            }
        }
        for page in self.odd.keys() {
            add(*page, 0);
        }
        tables.len() as u64
    }
}
