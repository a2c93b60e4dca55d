// SPDX-License-Identifier: MIT OR Apache-2.0
//! Deaths on purpose, in a build for tests only: what the suite `death` asks for,
//! by a hypercall that a release does not know, or at an entry.
//!
//! Each is done as a bug would do it, by the CPU itself running into something.
#![expect(unsafe_code, reason = "does what must not be done")]

use core::arch::asm;
use core::hint::black_box;

use mercury_aarch64::area::Kept;
use mercury_aarch64::frame::Frame;
use mercury_hal::call::BASE;

use crate::machine::HYPERVISOR;

/// The hypercall (`testing.h`).
const DIE: u64 = BASE | 0xdead;
/// ESR_EL2.EC of an HVC.
const HVC: u64 = 0x16;

/// Dies if this exit is that call.
pub(crate) fn if_asked(kept: &Kept, frame: &Frame) {
    if kept.syndrome >> 26 == HVC && frame.x[0] == DIE {
        by(frame.x[1]);
    }
}

/// Dies in one of these ways.
pub(crate) fn by(way: u64) {
    match way {
        1 => panic!(),
        2 => {
            black_box(down(0));
        }
        3 => {
            let text = by as *const () as *mut u8;
            // SAFETY: none; it is not writable, which is the point.
            unsafe { text.write_volatile(0x90) };
        }
        4 => {
            let data = &raw const HYPERVISOR as u64;
            // SAFETY: none; it is not executable, which is the point.
            unsafe { asm!("blr {}", in(reg) data, out("x30") _) };
        }
        5 => HYPERVISOR.while_locked(undefined),
        6 => {
            HYPERVISOR.tear_record();
            undefined();
        }
        _ => undefined(),
    }
}

fn undefined() {
    // SAFETY: ends here.
    unsafe { asm!("udf #0") };
}

/// Down the stack, page by page.
#[inline(never)]
#[expect(unconditional_recursion, reason = "until the guard page")]
fn down(depth: u64) -> u64 {
    let filler = black_box([depth; 64]);
    down(depth + 1) + black_box(filler[7])
}
