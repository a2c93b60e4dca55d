// SPDX-License-Identifier: MIT OR Apache-2.0
//! Defects on purpose: formats with one thing wrong. The comparison must fail
//! on each, or it would say nothing about the right ones.

use mercury_hal::addr::HostPhysical;
use mercury_hal::paging::Access;
use mercury_hal::paging::Entry;
use mercury_hal::paging::Level;
use mercury_hal::paging::Stage2Format;
use mercury_hal::paging::span;
use mercury_sim::format::SimFormat;
use mercury_sim::format::sim_hardware;
use mercury_sim::setup::Setup;
use mercury_x86::svm::nested::NestedFormat;

use super::Story;
use super::compare;
use super::x86;

fn story() -> Story {
    Story {
        setup: Setup::small(1),
        happenings: Vec::new(),
        probes: Vec::new(),
    }
}

/// A format made of another one and a defect.
macro_rules! defect {
    ($name:ident, $base:ident, table: $table:expr, leaf: $leaf:expr) => {
        struct $name;
        impl Stage2Format for $name {
            const BREAK_BEFORE_MAKE: bool = false;

            fn table(next: HostPhysical) -> u64 {
                let change: fn(u64) -> u64 = $table;
                change($base::table(next))
            }
            fn leaf(level: Level, target: HostPhysical, access: Access) -> u64 {
                let change: fn(Level, HostPhysical, Access) -> u64 = $leaf;
                change(level, target, access)
            }
            fn decode(level: Level, raw: u64) -> Entry {
                $base::decode(level, raw)
            }
        }
    };
}

defect!(Writable, SimFormat, table: |raw| raw,
    leaf: |level, target, _| SimFormat::leaf(level, target, Access::All));
defect!(Shifted, SimFormat, table: |raw| raw,
leaf: |level, target, access| {
    let wrong = if level == 0 && access == Access::All { span(0) } else { 0 };
    SimFormat::leaf(level, HostPhysical(target.0 + wrong), access)
});
defect!(Supervisor, NestedFormat, table: |raw| raw & !(1 << 2), leaf: NestedFormat::leaf);
defect!(Small, NestedFormat, table: |raw| raw,
    leaf: |level, target, access| NestedFormat::leaf(level, target, access) & !(1 << 7));
defect!(Executable, NestedFormat, table: |raw| raw,
    leaf: |level, target, access| NestedFormat::leaf(level, target, access) & !(1 << 63));

#[test]
fn the_story_is_right_without_a_defect() {
    compare::<SimFormat>(&story(), sim_hardware);
    compare::<NestedFormat>(&story(), x86::hardware);
}

#[test]
#[should_panic(expected = "behind")]
fn a_hole_that_can_be_written() {
    compare::<Writable>(&story(), sim_hardware);
}

#[test]
#[should_panic(expected = "a split changed the map")]
fn small_leaves_that_are_one_page_off() {
    compare::<Shifted>(&story(), sim_hardware);
}

#[test]
#[should_panic(expected = "from user mode")]
fn tables_without_the_user_bit() {
    compare::<Supervisor>(&story(), x86::hardware);
}

#[test]
#[should_panic(expected = "is no frame for a table")]
fn large_leaves_that_look_like_tables() {
    compare::<Small>(&story(), x86::hardware);
}

#[test]
#[should_panic(expected = "neither memory nor the zero page")]
fn a_zero_page_that_can_be_executed() {
    compare::<Executable>(&story(), x86::hardware);
}
