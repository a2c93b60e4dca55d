// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the module would tell: which memory was lent, what iomem names.

use std::sync::Arc;

use mercury_core::hypervisor::Hypervisor;
use mercury_core::hypervisor::Plan;
use mercury_core::lent::Lent;
use mercury_hal::addr::GuestRange;
use mercury_hal::addr::PAGE_SIZE;
use mercury_hal::call::ProofPages;
use mercury_hal::clock::Clock;
use mercury_hal::door::Block;
use mercury_hal::error::Error;
use mercury_hal::paging::Shape;
use mercury_hal::paging::Stage2Format;

use crate::format::Hardware;
use crate::memory::Memory;
use crate::window::Window;

/// Everything that a preparation needs.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Shape of the nested map.
    pub shape: Shape,
    /// Lent memory.
    pub blocks: Vec<Block>,
    /// The first frame that the core may use.
    pub first_free: u64,
    /// What iomem names, and whether it is RAM.
    pub ranges: Vec<(GuestRange, bool)>,
    /// The proof pages.
    pub proof: ProofPages,
    /// CPUs that may ever enter.
    pub cpus: u32,
    /// How the CPUs read tables.
    pub hardware: Hardware,
}

impl Setup {
    /// Frames lent in all.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.blocks.iter().map(|block| block.pages).sum()
    }

    /// The same with so many free frames and no more, as far as there are.
    #[must_use]
    pub fn with_free_frames(&self, free: u64) -> Self {
        let mut left = self.first_free + free;
        let mut setup = self.clone();
        for block in &mut setup.blocks {
            block.pages = block.pages.min(left);
            left -= block.pages;
        }
        setup.blocks.retain(|block| block.pages > 0);
        setup
    }

    /// The memory, with everything lent and nothing written.
    ///
    /// # Errors
    /// As [`Lent::new`].
    pub fn memory(&self) -> Result<Arc<Memory>, Error> {
        // The core wants the list to stay for ever: tests may leak it.
        let lent = Lent::new(Vec::leak(self.blocks.clone()))?;
        let memory = Memory::new(lent, self.first_free, self.shape.root, self.hardware);
        Ok(Arc::new(memory))
    }

    /// What the door's preparation calls do, in their order.
    ///
    /// # Errors
    /// What the core refuses.
    pub fn prepare<F: Stage2Format, C: Clock>(
        &self,
        hypervisor: &Hypervisor<F, Window, C>,
    ) -> Result<Arc<Memory>, Error> {
        let memory = self.memory()?;
        let plan = Plan {
            lent: memory.lent(),
            first_free: self.first_free,
            shape: self.shape,
            proof: self.proof,
            cpus: self.cpus,
            store_frames: 0,
            memory_end: 0,
            crash_loop_ticks: 0,
        };
        hypervisor.prepare(plan, Window(memory.clone()))?;
        for (range, is_ram) in &self.ranges {
            hypervisor.map(*range, *is_ram)?;
        }
        hypervisor.punch()?;
        Ok(memory)
    }

    /// A small machine: 2 GiB of RAM with a gap, two lent blocks, proof pages
    /// behind the second.
    #[must_use]
    pub fn small(cpus: u32) -> Self {
        let range = |start, end| GuestRange::new(start, end).expect("a range");
        let block = |start, pages| Block { start, pages };
        let second = 0x4523_4000;
        Self {
            shape: Shape {
                root: 3,
                root_tables: 1,
                largest_leaf: 2,
                address_bits: 40,
            },
            blocks: vec![block(0x1234_5000, 24), block(second, 24)],
            first_free: 9,
            ranges: vec![
                (range(0x1000, 0x9_fc00), true),
                (range(0x10_0000, 0x7fff_e000), true),
                (range(0xfee0_0000, 0xfee0_1000), false),
            ],
            proof: ProofPages {
                plain: mercury_hal::addr::GuestPhysical(second + 24 * PAGE_SIZE),
                other: mercury_hal::addr::GuestPhysical(second + 25 * PAGE_SIZE),
            },
            cpus,
            hardware: crate::format::sim_hardware,
        }
    }
}
