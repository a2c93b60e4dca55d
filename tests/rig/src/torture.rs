// SPDX-License-Identifier: MIT OR Apache-2.0
//! `mercury-rig torture`, behind `make torture`: a run whose guest is shaped
//! like the row of the suite `torture` for this machine in tests/matrix.toml, so
//! that disk, network and extras are written down once.
//!
//! The seed and a command line that does the same again are printed before
//! anything else: a run that kills its guest tells nobody afterwards.

use crate::arguments::{Run, Torture};
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

/// The command that does the same again.
fn again(asked: &Torture, seed: u64) -> String {
    let mut words = vec![format!("make torture ARCH={} SEED={seed}", asked.arch)];
    let mut say = |name: &str, value: Option<String>| {
        words.extend(value.map(|value| format!("{name}={value}")));
    };
    say("ACCEL", asked.accel.map(|accel| accel.name().to_owned()));
    say("MINUTES", asked.minutes.map(|minutes| minutes.to_string()));
    say("TRIPS", asked.trips.map(|trips| trips.to_string()));
    say("ONLY", asked.only.clone());
    say("WITHOUT", asked.without.clone());
    say("SMP", asked.smp.map(|smp| smp.to_string()));
    say("MEM", asked.memory.clone());
    say("CPU", asked.cpu.clone());
    say("KERNEL", asked.kernel.clone());
    say("ICOUNT", asked.icount.then(|| "1".to_owned()));
    say(
        "FLAVOUR",
        (asked.flavour != crate::product::Flavour::Release)
            .then(|| asked.flavour.name().to_owned()),
    );
    words.join(" ")
}

/// The row that says what a guest for this looks like.
fn shape(rows: Vec<Row>, asked: &Torture) -> Result<Row> {
    let bochs = |accel: Option<Accel>| accel == Some(Accel::Bochs);
    rows.into_iter()
        .find(|row| {
            row.suite == SUITE && row.arch == asked.arch && bochs(row.accel) == bochs(asked.accel)
        })
        .with_context(|| {
            format!(
                "tests/matrix.toml has no row of the suite '{SUITE}' for {}{}",
                asked.arch,
                if bochs(asked.accel) { " in Bochs" } else { "" }
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
    if asked.icount {
        words.push("--repeatable".into());
    }
    if asked.json {
        words.push("--json".into());
    }
    words
}

fn shaped(paths: &Paths, asked: &Torture, seed: u64, row: &Row) -> Run {
    // Counting instructions, x86 has one CPU, which the board decides.
    let smp = asked.smp.or(if asked.icount { None } else { row.smp });
    Run {
        arch: Some(asked.arch),
        board: None,
        smp,
        memory: asked.memory.clone().or_else(|| row.memory.clone()),
        cpu: asked.cpu.clone().or_else(|| row.cpu.clone()),
        machine: row.machine.clone(),
        gic: row.gic,
        no_vhe_fix: row.no_vhe_fix,
        kernel: asked.kernel.clone().or_else(|| Some(row.kernel.clone())),
        card: false,
        with: None,
        script: Some(row.script(paths)),
        interactive: false,
        accel: asked.accel.or(row.accel),
        icount: asked.icount,
        append: Some(row.append.clone()),
        qemu: row.qemu.clone(),
        flavour: asked.flavour,
        bare: false,
        module: row.modules.clone(),
        need: row.needs.clone(),
        quiet_seconds: QUIET_SECONDS,
        limit_seconds: LIMIT_SECONDS + 60 * asked.minutes.unwrap_or(0),
        arguments: words(asked, seed, row),
    }
}
