// SPDX-License-Identifier: MIT OR Apache-2.0
//! x86: general registers, x87 stack and control word, MXCSR, and the vector
//! registers at their full width.
#![expect(unsafe_code, reason = "registers can only be held in assembly")]

use super::TURNS;
use crate::workload::Stop;
use anyhow::{Result, ensure};
use core::arch::asm;
use core::mem::offset_of;

static USUAL_MXCSR: u32 = 0x1f80;

#[repr(C, align(32))]
#[derive(Debug, Clone, PartialEq)]
struct State {
    vectors: [[u8; 32]; 16],
    stack: [f64; 8],
    general: [u64; 8],
    mxcsr: u32,
    control: u16,
    padding: u16,
}

impl State {
    const EMPTY: Self = Self {
        vectors: [[0; 32]; 16],
        stack: [0.0; 8],
        general: [0; 8],
        mxcsr: 0,
        control: 0,
        padding: 0,
    };

    /// Patterns of one round; `width` bytes of each vector register are used.
    fn pattern(round: u64, width: usize) -> Self {
        let mut state = Self::EMPTY;
        for (index, vector) in state.vectors.iter_mut().enumerate() {
            for (at, byte) in vector.iter_mut().take(width).enumerate() {
                *byte = (round as u8).wrapping_add((index * 37 + at * 3 + 1) as u8);
            }
        }
        for (index, value) in state.stack.iter_mut().enumerate() {
            *value = 1.0 / (round as f64 + index as f64 + 3.0);
        }
        for (index, value) in state.general.iter_mut().enumerate() {
            *value = round.wrapping_mul(0x0101_0101_0101_0101) ^ (index as u64) << 56;
        }
        // All exceptions masked; rounding changes from round to round.
        state.mxcsr = 0x1f80 | (round as u32 & 3) << 13;
        state.control = 0x37f | (round as u16 & 3) << 10;
        state
    }
}

/// Loads everything, spins, stores everything. RDI points to what is loaded,
/// RSI to where it is stored, RCX counts the turns.
macro_rules! hold {
    ($mov:literal, $wide:literal, $end:literal, $given:ident, $found:ident, $turns:ident) => {
        // SAFETY: both point to a `State` and only its fields are read and
        // written; every register that is used is named; x87 and MXCSR end as
        // they began.
        unsafe {
            asm!(
                "fninit",
                "fldcw [rdi + {control}]",
                "ldmxcsr [rdi + {mxcsr}]",
                "fld qword ptr [rdi + {stack} + 0]",
                "fld qword ptr [rdi + {stack} + 8]",
                "fld qword ptr [rdi + {stack} + 16]",
                "fld qword ptr [rdi + {stack} + 24]",
                "fld qword ptr [rdi + {stack} + 32]",
                "fld qword ptr [rdi + {stack} + 40]",
                "fld qword ptr [rdi + {stack} + 48]",
                "fld qword ptr [rdi + {stack} + 56]",
                concat!($mov, " ", $wide, "0, [rdi + 0]"),
                concat!($mov, " ", $wide, "1, [rdi + 32]"),
                concat!($mov, " ", $wide, "2, [rdi + 64]"),
                concat!($mov, " ", $wide, "3, [rdi + 96]"),
                concat!($mov, " ", $wide, "4, [rdi + 128]"),
                concat!($mov, " ", $wide, "5, [rdi + 160]"),
                concat!($mov, " ", $wide, "6, [rdi + 192]"),
                concat!($mov, " ", $wide, "7, [rdi + 224]"),
                concat!($mov, " ", $wide, "8, [rdi + 256]"),
                concat!($mov, " ", $wide, "9, [rdi + 288]"),
                concat!($mov, " ", $wide, "10, [rdi + 320]"),
                concat!($mov, " ", $wide, "11, [rdi + 352]"),
                concat!($mov, " ", $wide, "12, [rdi + 384]"),
                concat!($mov, " ", $wide, "13, [rdi + 416]"),
                concat!($mov, " ", $wide, "14, [rdi + 448]"),
                concat!($mov, " ", $wide, "15, [rdi + 480]"),
                "mov r8, [rdi + {general} + 0]",
                "mov r9, [rdi + {general} + 8]",
                "mov r10, [rdi + {general} + 16]",
                "mov r11, [rdi + {general} + 24]",
                "mov r12, [rdi + {general} + 32]",
                "mov r13, [rdi + {general} + 40]",
                "mov r14, [rdi + {general} + 48]",
                "mov r15, [rdi + {general} + 56]",
                "2:",
                "dec rcx",
                "jnz 2b",
                "mov [rsi + {general} + 0], r8",
                "mov [rsi + {general} + 8], r9",
                "mov [rsi + {general} + 16], r10",
                "mov [rsi + {general} + 24], r11",
                "mov [rsi + {general} + 32], r12",
                "mov [rsi + {general} + 40], r13",
                "mov [rsi + {general} + 48], r14",
                "mov [rsi + {general} + 56], r15",
                concat!($mov, " [rsi + 0], ", $wide, "0"),
                concat!($mov, " [rsi + 32], ", $wide, "1"),
                concat!($mov, " [rsi + 64], ", $wide, "2"),
                concat!($mov, " [rsi + 96], ", $wide, "3"),
                concat!($mov, " [rsi + 128], ", $wide, "4"),
                concat!($mov, " [rsi + 160], ", $wide, "5"),
                concat!($mov, " [rsi + 192], ", $wide, "6"),
                concat!($mov, " [rsi + 224], ", $wide, "7"),
                concat!($mov, " [rsi + 256], ", $wide, "8"),
                concat!($mov, " [rsi + 288], ", $wide, "9"),
                concat!($mov, " [rsi + 320], ", $wide, "10"),
                concat!($mov, " [rsi + 352], ", $wide, "11"),
                concat!($mov, " [rsi + 384], ", $wide, "12"),
                concat!($mov, " [rsi + 416], ", $wide, "13"),
                concat!($mov, " [rsi + 448], ", $wide, "14"),
                concat!($mov, " [rsi + 480], ", $wide, "15"),
                "fstp qword ptr [rsi + {stack} + 56]",
                "fstp qword ptr [rsi + {stack} + 48]",
                "fstp qword ptr [rsi + {stack} + 40]",
                "fstp qword ptr [rsi + {stack} + 32]",
                "fstp qword ptr [rsi + {stack} + 24]",
                "fstp qword ptr [rsi + {stack} + 16]",
                "fstp qword ptr [rsi + {stack} + 8]",
                "fstp qword ptr [rsi + {stack} + 0]",
                "fnstcw [rsi + {control}]",
                "stmxcsr [rsi + {mxcsr}]",
                "fninit",
                "ldmxcsr [{usual}]",
                $end,
                inout("rcx") $turns => _,
                in("rdi") &raw const *$given,
                in("rsi") &raw mut *$found,
                usual = in(reg) &raw const USUAL_MXCSR,
                control = const offset_of!(State, control),
                mxcsr = const offset_of!(State, mxcsr),
                stack = const offset_of!(State, stack),
                general = const offset_of!(State, general),
                out("r8") _, out("r9") _, out("r10") _, out("r11") _, out("r12") _, out("r13") _, out("r14") _, out("r15") _,
                out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
                out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _, out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
                out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _, out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
            );
        }
    };
}

fn hold_sse(given: &State, found: &mut State, turns: u64) {
    hold!("movdqu", "xmm", "nop", given, found, turns);
}

#[target_feature(enable = "avx")]
fn hold_avx(given: &State, found: &mut State, turns: u64) {
    hold!("vmovdqu", "ymm", "vzeroupper", given, found, turns);
}

pub(in crate::workload) fn run(stop: Stop) -> Result<String> {
    let avx = std::arch::is_x86_feature_detected!("avx");
    let mut rounds = 0u64;
    while rounds < 2 || !stop.requested() {
        let wide = avx && rounds.is_multiple_of(2);
        let given = State::pattern(rounds, if wide { 32 } else { 16 });
        let mut found = State::EMPTY;
        if wide {
            // SAFETY: the CPU has AVX.
            unsafe { hold_avx(&given, &mut found, TURNS) };
        } else {
            hold_sse(&given, &mut found, TURNS);
        }
        ensure!(
            found == given,
            "round {rounds}: registers changed while they were held: {}",
            difference(&given, &found)
        );
        rounds += 1;
    }
    Ok(format!(
        "{rounds} rounds, general, x87 and {} registers kept",
        if avx { "AVX" } else { "SSE (no AVX here)" }
    ))
}

fn difference(given: &State, found: &State) -> String {
    for index in 0..16 {
        if given.vectors[index] != found.vectors[index] {
            return format!(
                "vector {index} {:x?} instead of {:x?}",
                found.vectors[index], given.vectors[index]
            );
        }
    }
    for index in 0..8 {
        if given.general[index] != found.general[index] {
            return format!(
                "r{} {:#x} instead of {:#x}",
                index + 8,
                found.general[index],
                given.general[index]
            );
        }
        if given.stack[index].to_bits() != found.stack[index].to_bits() {
            return format!(
                "x87 register {index} {} instead of {}",
                found.stack[index], given.stack[index]
            );
        }
    }
    format!(
        "MXCSR {:#x} instead of {:#x}, x87 control {:#x} instead of {:#x}",
        found.mxcsr, given.mxcsr, found.control, given.control
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_comes_back() {
        let given = State::pattern(7, 16);
        let mut found = State::EMPTY;
        hold_sse(&given, &mut found, 10);
        assert_eq!(given, found, "{}", difference(&given, &found));
    }
}
