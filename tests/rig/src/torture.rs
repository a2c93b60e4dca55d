// SPDX-License-Identifier: MIT OR Apache-2.0
//! `mercury-rig torture`, behind `make torture`: a run whose guest is shaped
//! like the row of the suite `torture` for this machine in tests/matrix.toml, so
//! that disk, network and extras are written down once.
//!
//! The seed and a command line that does the same again are printed before
//! anything else: a run that kills its guest tells nobody afterwards.

use crate::arch::Arch;
use crate::arguments::{Run, Shape, Torture};
use crate::boot::Accel;
use crate::paths::Paths;
use crate::run;
use crate::test::{Row, rows};
use anyhow::{Context, Result};
use std::time::{SystemTime, UNIX_EPOCH};

const SUITE: &str = "torture";
/// Seeds that nobody chose are easy to type.
const SEEDS: u64 = 1_000_000;
/// A tortured machine may be silent for long: it sleeps, and has no memory.
const QUIET_SECONDS: u64 = 300;
/// Beyond the minutes that were asked for.
const LIMIT_SECONDS: u64 = 3600;

/// Boots, tortures, and gives the exit code.
pub(crate) fn torture(paths: &Paths, asked: &Torture) -> Result<u8> {
    let seed = asked.seed.unwrap_or_else(some_seed);
    println!("torture: seed {seed}: {}", again(asked, seed));
    let row = shape(rows(paths)?, asked)?;
    run::run(paths, &shaped(paths, asked, seed, &row))
}

fn some_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(1, |now| now.as_micros() as u64 % SEEDS)
}

fn arch(asked: &Torture) -> Arch {
    asked.shape.arch.unwrap_or(Arch::X86_64)
}

/// The command that does the same again.
fn again(asked: &Torture, seed: u64) -> String {
    let shape = &asked.shape;
    let mut words = vec![format!("make torture ARCH={} SEED={seed}", arch(asked))];
    let mut say = |name: &str, value: Option<String>| {
        words.extend(value.map(|value| format!("{name}={value}")));
    };
    say("ACCEL", shape.accel.map(|accel| accel.name().to_owned()));
    say("MINUTES", asked.minutes.map(|minutes| minutes.to_string()));
    say("TRIPS", asked.trips.map(|trips| trips.to_string()));
    say("ONLY", asked.only.clone());
    say("WITHOUT", asked.without.clone());
    say("SMP", shape.smp.map(|smp| smp.to_string()));
    say("MEM", shape.memory.clone());
    say("CPU", shape.cpu.clone());
    say("KERNEL", shape.kernel.clone());
    say("ICOUNT", shape.icount.then(|| "1".to_owned()));
    say(
        "FLAVOUR",
        (shape.flavour != crate::product::Flavour::Release)
            .then(|| shape.flavour.name().to_owned()),
    );
    words.join(" ")
}

/// The row that says what a guest for this looks like.
fn shape(rows: Vec<Row>, asked: &Torture) -> Result<Row> {
    let bochs = |accel: Option<Accel>| accel == Some(Accel::Bochs);
    rows.into_iter()
        .find(|row| {
            row.suite == SUITE
                && row.arch == arch(asked)
                && bochs(row.accel) == bochs(asked.shape.accel)
        })
        .with_context(|| {
            format!(
                "tests/matrix.toml has no row of the suite '{SUITE}' for {}{}",
                arch(asked),
                if bochs(asked.shape.accel) {
                    " in Bochs"
                } else {
                    ""
                }
            )
        })
}

/// What the suite is told: the row's own words, and behind them those that were
/// asked for here, which count.
fn words(asked: &Torture, seed: u64, row: &Row) -> Vec<String> {
    let mut words = row.arguments.clone();
    let mut say = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            words.extend([format!("--{name}"), value]);
        }
    };
    say("seed", Some(seed.to_string()));
    say("minutes", asked.minutes.map(|minutes| minutes.to_string()));
    say("trips", asked.trips.map(|trips| trips.to_string()));
    say("only", asked.only.clone());
    say("without", asked.without.clone());
    if asked.shape.icount {
        words.push("--repeatable".into());
    }
    if asked.json {
        words.push("--json".into());
    }
    words
}

fn shaped(paths: &Paths, asked: &Torture, seed: u64, row: &Row) -> Run {
    let shape = &asked.shape;
    Run {
        shape: Shape {
            arch: Some(arch(asked)),
            // Counting instructions, x86 has one CPU, which the board decides.
            smp: shape.smp.or(if shape.icount { None } else { row.smp }),
            memory: shape.memory.clone().or_else(|| row.memory.clone()),
            cpu: shape.cpu.clone().or_else(|| row.cpu.clone()),
            kernel: shape.kernel.clone().or_else(|| Some(row.kernel.clone())),
            accel: shape.accel.or(row.accel),
            icount: shape.icount,
            flavour: shape.flavour,
        },
        board: None,
        machine: row.machine.clone(),
        gic: row.gic,
        no_vhe_fix: row.no_vhe_fix,
        card: false,
        with: None,
        script: Some(row.script(paths)),
        demo: None,
        interactive: false,
        append: Some(row.append.clone()),
        qemu: row.qemu.clone(),
        bare: false,
        module: row.modules.clone(),
        need: row.needs.clone(),
        quiet_seconds: QUIET_SECONDS,
        limit_seconds: LIMIT_SECONDS + 60 * asked.minutes.unwrap_or(0),
        arguments: words(asked, seed, row),
    }
}
