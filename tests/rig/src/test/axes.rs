// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests of tests/matrix.toml as a whole: it names only what exists, and its
//! short list leaves out no value of any axis. The short list is what runs on
//! every change: a kernel, a CPU or a board that stands only in the long list
//! would break without anyone seeing it for weeks. Not every combination is
//! there; each value is, beside changing values of the other axes.

use super::matrix::{self, Row, Tier};
use crate::boot::{self, Accel, Board};
use crate::paths::Paths;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::process::Command;

/// Axis by axis, what a row's machine is.
fn values(row: &Row, board: &Board) -> Vec<(&'static str, String)> {
    let qemu = &board.qemu;
    let usual_smp = if row.icount && !qemu.icount_smp {
        1
    } else {
        qemu.smp
    };
    vec![
        ("architecture", row.arch.to_string()),
        ("backend", row.backend.clone()),
        (
            "CPU model",
            row.cpu.clone().unwrap_or_else(|| qemu.cpu_tcg.clone()),
        ),
        ("CPUs", row.smp.unwrap_or(usual_smp).to_string()),
        (
            "memory",
            // What can be added while it runs is the suite's matter.
            row.memory
                .clone()
                .filter(|memory| !memory.contains("slots="))
                .unwrap_or_else(|| qemu.memory.clone()),
        ),
        ("interrupt controller", controller(row, board)),
        ("board", board.name.clone()),
        ("kernel package", format!("{} for {}", row.kernel, row.arch)),
    ]
}

/// What the row or the board says, in this order.
fn controller(row: &Row, board: &Board) -> String {
    let named = row
        .machine
        .as_deref()
        .and_then(|machine| machine.split("gic-version=").nth(1))
        .map(|rest| rest.split(',').next().unwrap_or(rest).to_owned());
    let chosen = row.gic.map(|version| version.to_string());
    match (named.or(chosen), board.qemu.gic) {
        (Some(version), _) => format!("GICv{version}"),
        (None, Some(version)) => format!("GICv{version}"),
        (None, None) => board.interrupts.clone(),
    }
}

/// What Bochs plays has fewer axes, and its own CPUs.
fn values_in_bochs(row: &Row) -> Vec<(&'static str, String)> {
    let usual = |value: &Option<String>| value.clone().unwrap_or_else(|| "Bochs' usual".into());
    vec![
        ("backend", row.backend.clone()),
        ("CPU model", usual(&row.cpu)),
        ("CPUs", row.smp.unwrap_or(1).to_string()),
        ("board", "bochs-pc".into()),
        ("kernel package", format!("{} for {}", row.kernel, row.arch)),
    ]
}

/// The rows that QEMU plays.
fn rows() -> (Paths, Vec<(Row, Board)>) {
    let paths = Paths::find().unwrap();
    let rows = matrix::load(&paths).unwrap();
    let with_boards = rows
        .into_iter()
        .filter(|row| row.accel != Some(Accel::Bochs))
        .map(|row| {
            let board = boot::asked(&paths, Some(&row.board), Some(row.arch))
                .unwrap_or_else(|error| panic!("row {}: {error:#}", row.name));
            (row, board)
        })
        .collect();
    (paths, with_boards)
}

#[test]
fn the_short_list_has_every_value_of_every_axis() {
    let (paths, rows) = rows();
    let bochs: Vec<Row> = matrix::load(&paths)
        .unwrap()
        .into_iter()
        .filter(|row| row.accel == Some(Accel::Bochs))
        .collect();
    let collect = |tier: Tier| {
        let mut all: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for (row, board) in rows.iter().filter(|(row, _)| row.tier <= tier) {
            for (axis, value) in values(row, board) {
                all.entry(axis).or_default().insert(value);
            }
        }
        for row in bochs.iter().filter(|row| row.tier <= tier) {
            for (axis, value) in values_in_bochs(row) {
                all.entry(axis).or_default().insert(value);
            }
        }
        all
    };
    let (short, mut long) = (collect(Tier::Short), collect(Tier::Long));
    // Every board has a row, whichever list that is in.
    for name in boot::names(&paths).unwrap() {
        long.entry("board").or_default().insert(name);
    }
    for (axis, values) in long {
        let missing: Vec<_> = values.difference(&short[axis]).collect();
        assert!(
            missing.is_empty(),
            "{axis}: the short list of tests/matrix.toml lacks {missing:?}"
        );
    }
}

#[test]
fn what_a_row_asks_of_its_board_can_be_had() {
    for (row, board) in rows().1 {
        assert_eq!(row.backend, board.backend.name, "{}", row.name);
        let wishes = boot::Wishes {
            smp: row.smp,
            memory: row.memory.clone(),
            cpu: row.cpu.clone(),
            machine: row.machine.clone(),
            gic: row.gic,
            icount: row.icount,
            ..boot::Wishes::default()
        };
        boot::Machine::new(&board, boot::Accel::Tcg, wishes)
            .unwrap_or_else(|error| panic!("row {}: {error:#}", row.name));
    }
}

/// Asks QEMU, where it is installed: the host half runs without it too.
#[test]
fn every_cpu_model_is_one_that_qemu_lists() {
    let mut lists: BTreeMap<String, Option<Vec<String>>> = BTreeMap::new();
    for (row, board) in rows().1 {
        let program = &board.qemu.program;
        let known = lists.entry(program.clone()).or_insert_with(|| {
            let Ok(output) = Command::new(program).args(["-cpu", "help"]).output() else {
                eprintln!("skipped: {program} is not installed");
                return None;
            };
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            Some(text.split_whitespace().map(str::to_owned).collect())
        });
        let cpu = row.cpu.unwrap_or(board.qemu.cpu_tcg);
        let name = cpu.split(',').next().unwrap_or_default().to_owned();
        if let Some(known) = known {
            assert!(
                known.contains(&name),
                "row {}: {program} lists no CPU '{name}'",
                row.name
            );
        }
    }
}

/// A kernel that was fetched once is known to exist. Of another one apt's lists
/// on this machine may tell, if it has Debian's for that instruction set; no
/// network is asked.
#[test]
fn every_kernel_is_a_package_of_debians() {
    let (paths, rows) = rows();
    let listed = |package: &str, debian: &str| {
        let name = format!("{package}:{debian}");
        Command::new("apt-cache")
            .args(["show", "--no-all-versions", &name])
            .output()
            .is_ok_and(|output| output.status.success())
    };
    let wanted: HashSet<_> = rows
        .iter()
        .map(|(row, _)| (row.kernel.clone(), row.arch))
        .collect();
    for (package, arch) in wanted {
        assert!(
            crate::kernel::check_name(arch, &package).is_ok(),
            "{package} for {arch}"
        );
        // Always there, under this name of ours.
        if package == "backports" || crate::kernel::is_known(&paths, arch, &package) {
            continue;
        }
        if listed(arch.kernel(), arch.debian()) {
            assert!(
                listed(&package, arch.debian()),
                "Debian has no package {package} for {arch}"
            );
        } else {
            eprintln!("skipped: nothing here can tell whether Debian has {package} for {arch}");
        }
    }
}
