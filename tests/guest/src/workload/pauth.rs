// SPDX-License-Identifier: MIT OR Apache-2.0
//! ARM's pointer authentication: pointers signed with each of the five keys
//! must be found genuine later, and signed again they must come out the same.
//! Each process has keys of its own, which Linux loads when it runs: a key
//! that is lost, or an EL2 that traps them, makes every signature wrong.
#![expect(unsafe_code, reason = "the instructions have no intrinsics")]

use super::Stop;
use anyhow::{Result, ensure};
use core::arch::asm;
use core::hint::black_box;

const HWCAP_PACA: u64 = 1 << 30;
const HWCAP_PACG: u64 = 1 << 31;
/// Between signing and checking, about a scheduler's tick under emulation.
const TURNS: u64 = 300_000;

/// A value signed with each key, `modifier` being the context.
fn sign(value: u64, modifier: u64, generic: bool) -> [u64; 5] {
    let (mut ia, mut ib, mut da, mut db) = (value, value, value, value);
    // SAFETY: the CPU has them (`run` asked); only the operands are written.
    unsafe {
        asm!(
            ".arch_extension pauth",
            "pacia {ia}, {modifier}",
            "pacib {ib}, {modifier}",
            "pacda {da}, {modifier}",
            "pacdb {db}, {modifier}",
            ia = inout(reg) ia, ib = inout(reg) ib, da = inout(reg) da, db = inout(reg) db,
            modifier = in(reg) modifier,
            options(nomem, nostack),
        );
    }
    let mut ga = 0;
    if generic {
        // SAFETY: as above, and the generic key is there as well.
        unsafe {
            asm!(
                ".arch_extension pauth",
                "pacga {ga}, {value}, {modifier}",
                ga = out(reg) ga, value = in(reg) value, modifier = in(reg) modifier,
                options(nomem, nostack),
            );
        }
    }
    [ia, ib, da, db, ga]
}

/// The four pointers checked and stripped. On CPUs with FEAT_FPAC a wrong one
/// faults here; on others it comes out spoilt.
fn check(signed: &[u64; 5], modifier: u64) -> [u64; 4] {
    let [mut ia, mut ib, mut da, mut db, _] = *signed;
    // SAFETY: as in `sign`.
    unsafe {
        asm!(
            ".arch_extension pauth",
            "autia {ia}, {modifier}",
            "autib {ib}, {modifier}",
            "autda {da}, {modifier}",
            "autdb {db}, {modifier}",
            ia = inout(reg) ia, ib = inout(reg) ib, da = inout(reg) da, db = inout(reg) db,
            modifier = in(reg) modifier,
            options(nomem, nostack),
        );
    }
    [ia, ib, da, db]
}

pub(super) fn run(stop: Stop) -> Result<String> {
    // SAFETY: a plain question.
    let capabilities = unsafe { libc::getauxval(libc::AT_HWCAP) };
    if capabilities & HWCAP_PACA == 0 {
        return stop.nothing_to_do("no pointer authentication on this CPU");
    }
    let generic = capabilities & HWCAP_PACG != 0;
    let place = 0u64;
    let pointer = &raw const place as u64;
    let first = sign(pointer, 0x1234, generic);
    let mut rounds = 0u64;
    let mut altered = [false; 5];
    while rounds == 0 || !stop.requested() {
        let signed = sign(pointer, rounds, generic);
        for turn in 0..TURNS {
            black_box(turn);
        }
        let found = check(&signed, rounds);
        ensure!(
            found == [pointer; 4],
            "round {rounds}: a pointer signed as {signed:x?} came out as {found:x?} instead of {pointer:#x}"
        );
        let again = sign(pointer, 0x1234, generic);
        ensure!(
            again == first,
            "round {rounds}: signed again the pointer is {again:x?} instead of {first:x?}: keys have changed"
        );
        for (altered, signed) in altered.iter_mut().zip(signed) {
            *altered |= signed != pointer;
        }
        rounds += 1;
    }
    // Some signatures are all zeros by chance; all of them are not.
    let keys = if generic { 5 } else { 4 };
    ensure!(
        rounds < 8 || altered[..keys].iter().all(|altered| *altered),
        "signing changes nothing (keys IA, IB, DA, DB, GA: {altered:?}): it is not switched on"
    );
    Ok(format!(
        "{rounds} rounds, pointers signed with {keys} keys found genuine"
    ))
}
