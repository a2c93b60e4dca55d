// SPDX-License-Identifier: MIT OR Apache-2.0
//! Register state held across time: general registers, x87 stack and control
//! word, MXCSR, and the vector registers at their full width, loaded with known
//! patterns, kept while a loop spins (and the scheduler, or Mercury, comes in
//! between), stored and compared.
#![expect(unsafe_code, reason = "registers can only be held in assembly")]

use super::Stop;
use anyhow::{Result, ensure};
use core::arch::asm;
use core::mem::offset_of;

/// Turns of the empty loop: about a scheduler's tick under emulation.
const TURNS: u64 = 400_000;

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

fn hold_sse(given: &State, found: &mut State, turns: u64) {
    let (given, found) = (&raw const *given, &raw mut *found);
    // SAFETY: both point to a `State` and only its fields are read and written;
    // every register that is used is named, x87 and MXCSR end as they began.
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
            "movdqu xmm0, [rdi + 0]",
            "movdqu xmm1, [rdi + 32]",
            "movdqu xmm2, [rdi + 64]",
            "movdqu xmm3, [rdi + 96]",
            "movdqu xmm4, [rdi + 128]",
            "movdqu xmm5, [rdi + 160]",
            "movdqu xmm6, [rdi + 192]",
            "movdqu xmm7, [rdi + 224]",
            "movdqu xmm8, [rdi + 256]",
            "movdqu xmm9, [rdi + 288]",
            "movdqu xmm10, [rdi + 320]",
            "movdqu xmm11, [rdi + 352]",
            "movdqu xmm12, [rdi + 384]",
            "movdqu xmm13, [rdi + 416]",
            "movdqu xmm14, [rdi + 448]",
            "movdqu xmm15, [rdi + 480]",
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
            "movdqu [rsi + 0], xmm0",
            "movdqu [rsi + 32], xmm1",
            "movdqu [rsi + 64], xmm2",
            "movdqu [rsi + 96], xmm3",
            "movdqu [rsi + 128], xmm4",
            "movdqu [rsi + 160], xmm5",
            "movdqu [rsi + 192], xmm6",
            "movdqu [rsi + 224], xmm7",
            "movdqu [rsi + 256], xmm8",
            "movdqu [rsi + 288], xmm9",
            "movdqu [rsi + 320], xmm10",
            "movdqu [rsi + 352], xmm11",
            "movdqu [rsi + 384], xmm12",
            "movdqu [rsi + 416], xmm13",
            "movdqu [rsi + 448], xmm14",
            "movdqu [rsi + 480], xmm15",
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
            inout("rcx") turns => _,
            in("rdi") given,
            in("rsi") found,
            usual = in(reg) &raw const USUAL_MXCSR,
            control = const offset_of!(State, control),
            mxcsr = const offset_of!(State, mxcsr),
            stack = const offset_of!(State, stack),
            general = const offset_of!(State, general),
            out("r8") _,
            out("r9") _,
            out("r10") _,
            out("r11") _,
            out("r12") _,
            out("r13") _,
            out("r14") _,
            out("r15") _,
            out("xmm0") _,
            out("xmm1") _,
            out("xmm2") _,
            out("xmm3") _,
            out("xmm4") _,
            out("xmm5") _,
            out("xmm6") _,
            out("xmm7") _,
            out("xmm8") _,
            out("xmm9") _,
            out("xmm10") _,
            out("xmm11") _,
            out("xmm12") _,
            out("xmm13") _,
            out("xmm14") _,
            out("xmm15") _,
            out("st(0)") _,
            out("st(1)") _,
            out("st(2)") _,
            out("st(3)") _,
            out("st(4)") _,
            out("st(5)") _,
            out("st(6)") _,
            out("st(7)") _,
        );
    }
}

#[target_feature(enable = "avx")]
fn hold_avx(given: &State, found: &mut State, turns: u64) {
    let (given, found) = (&raw const *given, &raw mut *found);
    // SAFETY: as above; the CPU has AVX, or this could not be called.
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
            "vmovdqu ymm0, [rdi + 0]",
            "vmovdqu ymm1, [rdi + 32]",
            "vmovdqu ymm2, [rdi + 64]",
            "vmovdqu ymm3, [rdi + 96]",
            "vmovdqu ymm4, [rdi + 128]",
            "vmovdqu ymm5, [rdi + 160]",
            "vmovdqu ymm6, [rdi + 192]",
            "vmovdqu ymm7, [rdi + 224]",
            "vmovdqu ymm8, [rdi + 256]",
            "vmovdqu ymm9, [rdi + 288]",
            "vmovdqu ymm10, [rdi + 320]",
            "vmovdqu ymm11, [rdi + 352]",
            "vmovdqu ymm12, [rdi + 384]",
            "vmovdqu ymm13, [rdi + 416]",
            "vmovdqu ymm14, [rdi + 448]",
            "vmovdqu ymm15, [rdi + 480]",
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
            "vmovdqu [rsi + 0], ymm0",
            "vmovdqu [rsi + 32], ymm1",
            "vmovdqu [rsi + 64], ymm2",
            "vmovdqu [rsi + 96], ymm3",
            "vmovdqu [rsi + 128], ymm4",
            "vmovdqu [rsi + 160], ymm5",
            "vmovdqu [rsi + 192], ymm6",
            "vmovdqu [rsi + 224], ymm7",
            "vmovdqu [rsi + 256], ymm8",
            "vmovdqu [rsi + 288], ymm9",
            "vmovdqu [rsi + 320], ymm10",
            "vmovdqu [rsi + 352], ymm11",
            "vmovdqu [rsi + 384], ymm12",
            "vmovdqu [rsi + 416], ymm13",
            "vmovdqu [rsi + 448], ymm14",
            "vmovdqu [rsi + 480], ymm15",
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
            "vzeroupper",
            inout("rcx") turns => _,
            in("rdi") given,
            in("rsi") found,
            usual = in(reg) &raw const USUAL_MXCSR,
            control = const offset_of!(State, control),
            mxcsr = const offset_of!(State, mxcsr),
            stack = const offset_of!(State, stack),
            general = const offset_of!(State, general),
            out("r8") _,
            out("r9") _,
            out("r10") _,
            out("r11") _,
            out("r12") _,
            out("r13") _,
            out("r14") _,
            out("r15") _,
            out("xmm0") _,
            out("xmm1") _,
            out("xmm2") _,
            out("xmm3") _,
            out("xmm4") _,
            out("xmm5") _,
            out("xmm6") _,
            out("xmm7") _,
            out("xmm8") _,
            out("xmm9") _,
            out("xmm10") _,
            out("xmm11") _,
            out("xmm12") _,
            out("xmm13") _,
            out("xmm14") _,
            out("xmm15") _,
            out("st(0)") _,
            out("st(1)") _,
            out("st(2)") _,
            out("st(3)") _,
            out("st(4)") _,
            out("st(5)") _,
            out("st(6)") _,
            out("st(7)") _,
        );
    }
}

pub(super) fn run(stop: Stop) -> Result<String> {
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
            return format!("vector {index} {:x?} instead of {:x?}", found.vectors[index], given.vectors[index]);
        }
    }
    for index in 0..8 {
        if given.general[index] != found.general[index] {
            return format!("r{} {:#x} instead of {:#x}", index + 8, found.general[index], given.general[index]);
        }
        if given.stack[index].to_bits() != found.stack[index].to_bits() {
            return format!("x87 register {index} {} instead of {}", found.stack[index], given.stack[index]);
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
