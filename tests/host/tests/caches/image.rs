// SPDX-License-Identifier: MIT OR Apache-2.0
//! The image, from the module's copy to a CPU that executes it: the first page
//! with the MMU off, past the caches, the other through them.

use mercury_host_tests::publish::Publisher;
use mercury_host_tests::publish::publish;
use mercury_sim::weak::machine::Machine;
use mercury_sim::weak::memory::LINE;
use mercury_sim::weak::memory::Memory;

use crate::bits::BITS;

const PAGE: u64 = 4096;
const FIRST: u64 = 0x4523_4000;
const SECOND: u64 = FIRST + PAGE;
/// The CPU that copies.
const COPIES: usize = 0;
const SCHEDULES: u64 = 64;

/// What is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Without {
    Nothing,
    /// The clean of this line of the first page.
    Clean(u64),
    Wait,
    ForgetInstructions,
}

struct Module {
    machine: Machine,
    without: Without,
}

impl Publisher for Module {
    fn clean(&mut self, at: u64) {
        if self.without != Without::Clean(at.wrapping_sub(FIRST) / LINE) {
            self.machine.clean(COPIES, at);
        }
    }
    fn wait(&mut self) {
        if self.without != Without::Wait {
            use mercury_sim::weak::machine::Reach;
            use mercury_sim::weak::machine::Waits;
            self.machine.dsb(COPIES, Reach::All, Waits::Everything);
        }
    }
    fn forget_instructions(&mut self, start: u64, end: u64) {
        if self.without != Without::ForgetInstructions {
            self.machine.forget_instructions(COPIES, start, end);
        }
    }
}

/// An instruction of the image.
fn instruction(at: u64) -> u64 {
    at.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn words(page: u64) -> impl Iterator<Item = u64> {
    (page..page + PAGE).step_by(8)
}

/// What goes wrong under this schedule.
fn run(seed: u64, without: Without) -> Option<String> {
    let memory = Memory::new([FIRST, SECOND].into_iter(), || 0xdead);
    let mut machine = Machine::new(2, BITS, memory, seed);
    machine.trouble(2);
    // Somebody else's code was there before, and was executed.
    for cpu in 0..2 {
        for at in words(FIRST).chain(words(SECOND)) {
            machine.fetch(cpu, at);
        }
    }
    for at in words(FIRST).chain(words(SECOND)) {
        machine.store(COPIES, at, instruction(at));
    }
    let mut module = Module { machine, without };
    for page in [FIRST, SECOND] {
        publish(&mut module, LINE, page, PAGE);
    }
    let mut machine = module.machine;
    for cpu in 0..2 {
        machine.trap(cpu);
        for at in words(FIRST) {
            if machine.fetch_past_caches(at) != Some(instruction(at)) {
                return Some(format!("CPU {cpu} does not find {at:#x} in memory"));
            }
        }
        for at in words(FIRST).chain(words(SECOND)) {
            if machine.fetch(cpu, at) != Some(instruction(at)) {
                return Some(format!("CPU {cpu} executes something else at {at:#x}"));
            }
        }
    }
    None
}

#[test]
fn the_image_is_what_is_executed() {
    for seed in 0..SCHEDULES {
        assert_eq!(run(seed, Without::Nothing), None, "schedule {seed}");
    }
}

#[test]
fn every_line_is_cleaned_and_waited_for() {
    let lines = (0..PAGE / LINE).map(Without::Clean);
    let others = [Without::Wait, Without::ForgetInstructions];
    for without in lines.chain(others) {
        let failure = (0..SCHEDULES).find_map(|seed| run(seed, without));
        assert!(failure.is_some(), "nothing is wrong without {without:?}");
    }
}
