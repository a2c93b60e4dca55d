// SPDX-License-Identifier: MIT OR Apache-2.0
//! ARM64: general registers, flags, all vector registers, FPCR and FPSR, and
//! the thread pointer TPIDR_EL0; every second round with SVE's registers at
//! their full length instead, where the CPU has them (`sve.rs`).
#![expect(unsafe_code, reason = "registers can only be held in assembly")]

use super::{TURNS, sve};
use crate::workload::Stop;
use anyhow::{Result, ensure};
use core::arch::asm;
use core::mem::offset_of;

/// x3 to x17 and x20 to x28: the others are the compiler's, the platform's, or
/// hold where things are.
const GENERAL: usize = 24;

#[repr(C, align(16))]
#[derive(Debug, Clone, PartialEq)]
struct State {
    fpcr: u64,
    fpsr: u64,
    flags: u64,
    thread_pointer: u64,
    general: [u64; GENERAL],
    vectors: [[u8; 16]; 32],
}

impl State {
    const EMPTY: Self = Self {
        vectors: [[0; 16]; 32],
        general: [0; GENERAL],
        fpcr: 0,
        fpsr: 0,
        flags: 0,
        thread_pointer: 0,
    };

    /// Patterns of one round.
    fn pattern(round: u64) -> Self {
        let mut state = Self::EMPTY;
        for (index, vector) in state.vectors.iter_mut().enumerate() {
            for (at, byte) in vector.iter_mut().enumerate() {
                *byte = (round as u8).wrapping_add((index * 37 + at * 3 + 1) as u8);
            }
        }
        for (index, value) in state.general.iter_mut().enumerate() {
            *value = round.wrapping_mul(0x0101_0101_0101_0101) ^ (index as u64 + 1) << 56;
        }
        // Rounding mode, flush to zero, default NaN; no exception traps.
        state.fpcr = (round & 3) << 22 | (round & 1) << 24 | (round >> 1 & 1) << 25;
        // The five cumulative exception bits, and saturation.
        state.fpsr = round & 0x1f | (round & 1) << 27;
        state.flags = (round & 0xf) << 28;
        state.thread_pointer = 0x7e57_0000_0000 | round << 4;
        state
    }
}

/// Loads everything, spins, stores everything.
fn hold(given: &State, found: &mut State, turns: u64) {
    // SAFETY: both point to a `State` and only its fields are read and written;
    // every register that is used is named. The thread pointer, FPCR and FPSR
    // end as they began, and this process has no signal handler that would
    // want the thread pointer in between.
    unsafe {
        asm!(
            "mrs x3, tpidr_el0",
            "mrs x4, fpcr",
            "mrs x5, fpsr",
            "stp x3, x4, [sp, #-32]!",
            "str x5, [sp, #16]",
            "ldp x3, x4, [x0, #{fpcr}]",
            "msr fpcr, x3",
            "msr fpsr, x4",
            "ldp x3, x4, [x0, #{flags}]",
            "msr nzcv, x3",
            "msr tpidr_el0, x4",
            "ldp q0, q1, [x0, #{vectors} + 0]", "ldp q2, q3, [x0, #{vectors} + 32]",
            "ldp q4, q5, [x0, #{vectors} + 64]", "ldp q6, q7, [x0, #{vectors} + 96]",
            "ldp q8, q9, [x0, #{vectors} + 128]", "ldp q10, q11, [x0, #{vectors} + 160]",
            "ldp q12, q13, [x0, #{vectors} + 192]", "ldp q14, q15, [x0, #{vectors} + 224]",
            "ldp q16, q17, [x0, #{vectors} + 256]", "ldp q18, q19, [x0, #{vectors} + 288]",
            "ldp q20, q21, [x0, #{vectors} + 320]", "ldp q22, q23, [x0, #{vectors} + 352]",
            "ldp q24, q25, [x0, #{vectors} + 384]", "ldp q26, q27, [x0, #{vectors} + 416]",
            "ldp q28, q29, [x0, #{vectors} + 448]", "ldp q30, q31, [x0, #{vectors} + 480]",
            "ldp x3, x4, [x0, #{general} + 0]", "ldp x5, x6, [x0, #{general} + 16]",
            "ldp x7, x8, [x0, #{general} + 32]", "ldp x9, x10, [x0, #{general} + 48]",
            "ldp x11, x12, [x0, #{general} + 64]", "ldp x13, x14, [x0, #{general} + 80]",
            "ldp x15, x16, [x0, #{general} + 96]", "ldp x17, x20, [x0, #{general} + 112]",
            "ldp x21, x22, [x0, #{general} + 128]", "ldp x23, x24, [x0, #{general} + 144]",
            "ldp x25, x26, [x0, #{general} + 160]", "ldp x27, x28, [x0, #{general} + 176]",
            // Without SUBS: the flags are held too.
            "2:",
            "sub x2, x2, #1",
            "cbnz x2, 2b",
            "stp x3, x4, [x1, #{general} + 0]", "stp x5, x6, [x1, #{general} + 16]",
            "stp x7, x8, [x1, #{general} + 32]", "stp x9, x10, [x1, #{general} + 48]",
            "stp x11, x12, [x1, #{general} + 64]", "stp x13, x14, [x1, #{general} + 80]",
            "stp x15, x16, [x1, #{general} + 96]", "stp x17, x20, [x1, #{general} + 112]",
            "stp x21, x22, [x1, #{general} + 128]", "stp x23, x24, [x1, #{general} + 144]",
            "stp x25, x26, [x1, #{general} + 160]", "stp x27, x28, [x1, #{general} + 176]",
            "mrs x3, nzcv",
            "mrs x4, tpidr_el0",
            "stp x3, x4, [x1, #{flags}]",
            "mrs x3, fpcr",
            "mrs x4, fpsr",
            "stp x3, x4, [x1, #{fpcr}]",
            "stp q0, q1, [x1, #{vectors} + 0]", "stp q2, q3, [x1, #{vectors} + 32]",
            "stp q4, q5, [x1, #{vectors} + 64]", "stp q6, q7, [x1, #{vectors} + 96]",
            "stp q8, q9, [x1, #{vectors} + 128]", "stp q10, q11, [x1, #{vectors} + 160]",
            "stp q12, q13, [x1, #{vectors} + 192]", "stp q14, q15, [x1, #{vectors} + 224]",
            "stp q16, q17, [x1, #{vectors} + 256]", "stp q18, q19, [x1, #{vectors} + 288]",
            "stp q20, q21, [x1, #{vectors} + 320]", "stp q22, q23, [x1, #{vectors} + 352]",
            "stp q24, q25, [x1, #{vectors} + 384]", "stp q26, q27, [x1, #{vectors} + 416]",
            "stp q28, q29, [x1, #{vectors} + 448]", "stp q30, q31, [x1, #{vectors} + 480]",
            "ldr x5, [sp, #16]",
            "ldp x3, x4, [sp], #32",
            "msr tpidr_el0, x3",
            "msr fpcr, x4",
            "msr fpsr, x5",
            general = const offset_of!(State, general),
            vectors = const offset_of!(State, vectors),
            fpcr = const offset_of!(State, fpcr),
            flags = const offset_of!(State, flags),
            inout("x0") &raw const *given => _,
            inout("x1") &raw mut *found => _,
            inout("x2") turns => _,
            out("x3") _, out("x4") _, out("x5") _, out("x6") _, out("x7") _, out("x8") _,
            out("x9") _, out("x10") _, out("x11") _, out("x12") _, out("x13") _, out("x14") _,
            out("x15") _, out("x16") _, out("x17") _, out("x20") _, out("x21") _, out("x22") _,
            out("x23") _, out("x24") _, out("x25") _, out("x26") _, out("x27") _, out("x28") _,
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _, out("v7") _,
            out("v8") _, out("v9") _, out("v10") _, out("v11") _, out("v12") _, out("v13") _, out("v14") _, out("v15") _,
            out("v16") _, out("v17") _, out("v18") _, out("v19") _, out("v20") _, out("v21") _, out("v22") _, out("v23") _,
            out("v24") _, out("v25") _, out("v26") _, out("v27") _, out("v28") _, out("v29") _, out("v30") _, out("v31") _,
        );
    }
}

pub(in crate::workload) fn run(stop: Stop) -> Result<String> {
    let length = sve::vector_bytes();
    let mut rounds = 0u64;
    while rounds < 2 || !stop.requested() {
        match length {
            Some(length) if rounds % 2 == 1 => sve::round(rounds, length)?,
            _ => {
                let given = State::pattern(rounds);
                let mut found = State::EMPTY;
                hold(&given, &mut found, TURNS);
                ensure!(
                    found == given,
                    "round {rounds}: registers changed while they were held: {}",
                    difference(&given, &found)
                );
            }
        }
        rounds += 1;
    }
    Ok(format!(
        "{rounds} rounds, general, flags, thread pointer, 32 vector registers and {} kept",
        length.map_or_else(
            || "no SVE (none here)".to_owned(),
            |length| format!("SVE's at {length} bytes")
        )
    ))
}

fn difference(given: &State, found: &State) -> String {
    for index in 0..32 {
        if given.vectors[index] != found.vectors[index] {
            return format!(
                "v{index} {:x?} instead of {:x?}",
                found.vectors[index], given.vectors[index]
            );
        }
    }
    for index in 0..GENERAL {
        if given.general[index] != found.general[index] {
            return format!(
                "x{} {:#x} instead of {:#x}",
                index + if index < 15 { 3 } else { 5 },
                found.general[index],
                given.general[index]
            );
        }
    }
    let rest = |state: &State| {
        format!(
            "FPCR {:#x} FPSR {:#x} NZCV {:#x} TPIDR_EL0 {:#x}",
            state.fpcr, state.fpsr, state.flags, state.thread_pointer
        )
    };
    format!("{} instead of {}", rest(found), rest(given))
}
