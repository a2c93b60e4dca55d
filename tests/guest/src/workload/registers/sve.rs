// SPDX-License-Identifier: MIT OR Apache-2.0
//! SVE's registers at the length that Linux gives: Z0 to Z31, P0 to P15 and
//! the first-fault register. No system call lies in between: one would discard
//! all of Z above the first 128 bits.
#![expect(unsafe_code, reason = "registers can only be held in assembly")]

use super::TURNS;
use anyhow::{Result, bail};
use core::arch::asm;

/// The architecture's longest vector.
const LONGEST: usize = 256;
const HWCAP_SVE: u64 = 1 << 22;

#[repr(C, align(16))]
#[derive(Clone, PartialEq)]
struct State {
    vectors: [u8; 32 * LONGEST],
    /// P0 to P15 and FFR, an eighth of a vector each.
    predicates: [u8; 17 * LONGEST / 8],
}

/// The length of a vector in bytes, if the CPU has SVE.
pub(super) fn vector_bytes() -> Option<usize> {
    // SAFETY: a plain question.
    let capabilities = unsafe { libc::getauxval(libc::AT_HWCAP) };
    if capabilities & HWCAP_SVE == 0 {
        return None;
    }
    let length: usize;
    // SAFETY: the CPU has SVE.
    unsafe {
        asm!(".arch_extension sve", "rdvl {}, #1", out(reg) length, options(pure, nomem, nostack))
    };
    Some(length)
}

/// Loads everything, spins, stores everything.
fn hold(given: &State, found: &mut State, turns: u64) {
    // SAFETY: the CPU has SVE; both point to a `State` that has room for the
    // longest vectors; every register that is used is named.
    unsafe {
        asm!(
            ".arch_extension sve",
            // FFR first: it can only be loaded by way of a predicate.
            "ldr p0, [{from_p}, #16, mul vl]",
            "wrffr p0.b",
            ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
            "ldr p\\n, [{from_p}, #\\n, mul vl]",
            ".endr",
            ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
            "ldr z\\n, [{from_z}, #\\n, mul vl]",
            ".endr",
            "2:",
            "sub {turns}, {turns}, #1",
            "cbnz {turns}, 2b",
            ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
            "str z\\n, [{to_z}, #\\n, mul vl]",
            ".endr",
            ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
            "str p\\n, [{to_p}, #\\n, mul vl]",
            ".endr",
            "rdffr p0.b",
            "str p0, [{to_p}, #16, mul vl]",
            from_z = in(reg) &raw const given.vectors,
            from_p = in(reg) &raw const given.predicates,
            to_z = in(reg) &raw mut found.vectors,
            to_p = in(reg) &raw mut found.predicates,
            turns = inout(reg) turns => _,
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _, out("v7") _,
            out("v8") _, out("v9") _, out("v10") _, out("v11") _, out("v12") _, out("v13") _, out("v14") _, out("v15") _,
            out("v16") _, out("v17") _, out("v18") _, out("v19") _, out("v20") _, out("v21") _, out("v22") _, out("v23") _,
            out("v24") _, out("v25") _, out("v26") _, out("v27") _, out("v28") _, out("v29") _, out("v30") _, out("v31") _,
            out("p0") _, out("p1") _, out("p2") _, out("p3") _, out("p4") _, out("p5") _, out("p6") _, out("p7") _,
            out("p8") _, out("p9") _, out("p10") _, out("p11") _, out("p12") _, out("p13") _, out("p14") _, out("p15") _,
            out("ffr") _,
        );
    }
}

/// One round with vectors of `length` bytes.
pub(super) fn round(round: u64, length: usize) -> Result<()> {
    const EMPTY: State = State {
        vectors: [0; 32 * LONGEST],
        predicates: [0; 17 * LONGEST / 8],
    };
    let mut given = EMPTY;
    for (at, byte) in given.vectors[..32 * length].iter_mut().enumerate() {
        *byte = (round as u8).wrapping_add((at * 7 + at / length + 1) as u8);
    }
    let piece = length / 8;
    for (at, byte) in given.predicates[..16 * piece].iter_mut().enumerate() {
        *byte = (round as u8).wrapping_add((at * 11 + 3) as u8);
    }
    // FFR holds ones up to some element, then zeros.
    given.predicates[16 * piece..16 * piece + piece / 2].fill(0xff);
    let mut found = EMPTY;
    hold(&given, &mut found, TURNS);
    for (name, piece, given, found) in [
        ("z", length, &given.vectors[..], &found.vectors[..]),
        ("p (16: FFR)", piece, &given.predicates, &found.predicates),
    ] {
        if let Some(at) = given
            .iter()
            .zip(found)
            .position(|(given, found)| given != found)
        {
            bail!(
                "round {round}: {name} {} changed while it was held: byte {} is {:#x} instead of {:#x}",
                at / piece,
                at % piece,
                found[at],
                given[at]
            );
        }
    }
    Ok(())
}
