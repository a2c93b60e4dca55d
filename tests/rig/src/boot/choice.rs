// SPDX-License-Identifier: MIT OR Apache-2.0
//! What of a machine can be chosen: a board leaves less open than QEMU's own
//! machines do.

use super::board::Board;
use super::machine::Wishes;
use anyhow::{Result, bail};

/// What a board fixes may be named, but not be chosen otherwise.
pub(super) fn check_fixed(board: &Board, wishes: &Wishes) -> Result<()> {
    let qemu = &board.qemu;
    let smp = wishes.smp.map(|smp| smp.to_string());
    for (key, variable, asked, has) in [
        ("cpu", "CPU", wishes.cpu.clone(), qemu.cpu_tcg.clone()),
        ("smp", "SMP", smp, qemu.smp.to_string()),
        ("memory", "MEM", wishes.memory.clone(), qemu.memory.clone()),
        (
            "machine",
            "MACHINE",
            wishes.machine.clone(),
            qemu.machine.clone(),
        ),
    ] {
        if let Some(asked) = asked
            && board.fixes(key)
            && asked != has
        {
            bail!(
                "{variable}={asked} cannot be had on {}, which is {has} there: leave {variable} out",
                board.name
            );
        }
    }
    Ok(())
}

/// The whole `-machine` string.
pub(super) fn machine(board: &Board, wishes: &Wishes) -> Result<String> {
    let mut machine = wishes
        .machine
        .clone()
        .unwrap_or_else(|| board.qemu.machine.clone());
    let Some(usual) = board.qemu.gic else {
        if wishes.gic.is_some() {
            bail!(
                "GIC= chooses the version of ARM's interrupt controller, and {} has none",
                board.name
            );
        }
        return Ok(machine);
    };
    let named = machine.contains("gic-version=");
    if named && wishes.gic.is_some() {
        bail!(
            "MACHINE={machine} names a gic-version already: leave it out there, or leave GIC out"
        );
    }
    if !named {
        machine.push_str(&format!(",gic-version={}", wishes.gic.unwrap_or(usual)));
    }
    Ok(machine)
}
