// SPDX-License-Identifier: MIT OR Apache-2.0
//! Torture: attach and detach again and again, while all that may happen on a
//! machine happens at the same time.
//!
//! A run is a row of rounds (`order`). In each, one thread makes round trips
//! (`trips`), from one CPU after another, while a few disturbances
//! (`disturbance`, one file each) do their worst beside it, again and again, and
//! the workload runs as ever. Before that the first few rounds are made natively,
//! so that there is something to hold figures against.
//!
//! It ends well if
//! - every worker's and every disturbance's results are right,
//! - the kernel's log holds no alarm that was not asked for (`noise`),
//! - nothing is held by the module, and free memory shows no slope,
//! - no online CPU answered natively while attached (escapes),
//! - each disturbance happened in the middle of a switch (`switches`) at least a
//!   few times: one that never met a switch has tested nothing.
//!
//! A line for each round is printed as it ends; with a seed and an emulator that
//! counts instructions all lines are the same in every run.

pub(crate) mod child;
mod disturbance;
mod gaps;
mod noise;
mod order;
mod pages;
mod report;
mod rounds;
mod switches;
mod trips;

use crate::expect::{self, skip};
use crate::machine;
use crate::memory::Trend;
use crate::probe::Probe;
use crate::workload::Workload;
use anyhow::{Context, Result, ensure};
use disturbance::{KINDS, Place};
use mercury_device::Device;
use noise::Noise;
use order::Order;
use report::Report;
use rounds::{Player, Rounds};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// In the middle of a switch at least so often, each of them.
const FEW: u64 = 3;
/// Rounds that are played natively, to be held against the others.
const NATIVE_ROUNDS: u64 = 4;
/// When all else is done, so many decks may be played to get there.
const MOST_DECKS: u64 = 12;
/// A machine that was tortured has less than one that was not, in caches and
/// tables that stay: so much is no sign, whatever the slope. Beyond it, a page at
/// each round trip is. (The suite `leak` sees less, where nothing else happens.)
const WARMED_UP_KIB: i64 = 48 * 1024;
const LOST_KIB_PER_TRIP: f64 = 4.0;

/// What to do.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Decides what happens in which order
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Round trips, at least
    #[arg(long, default_value_t = 300)]
    trips: u64,
    /// Round trips in a round, about
    #[arg(long, default_value_t = 6)]
    a_round: u64,
    /// Minutes, at least
    #[arg(long, default_value_t = 0)]
    minutes: u64,
    /// Only these disturbances
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// All but these
    #[arg(long, value_delimiter = ',')]
    without: Vec<String>,
    /// Two runs shall be alike: leave out what waits for the host
    #[arg(long)]
    repeatable: bool,
    /// The report as JSON, in one line
    #[arg(long)]
    json: bool,
}

impl Options {
    fn wants(&self, name: &str) -> bool {
        let named = |list: &[String]| list.iter().any(|entry| entry == name);
        (self.only.is_empty() || named(&self.only)) && !named(&self.without)
    }

    fn check(&self) -> Result<()> {
        for name in self.only.iter().chain(&self.without) {
            ensure!(
                KINDS.iter().any(|kind| kind.name == name),
                "there is no disturbance '{name}'; there are {}",
                KINDS
                    .iter()
                    .map(|kind| kind.name)
                    .collect::<Vec<_>>()
                    .join(", ")
            );
        }
        Ok(())
    }
}

/// Those that this machine can have, and the others with the reason.
fn prepare(options: &Options, place: &Place, report: &mut Report) -> Result<Vec<Player>> {
    let mut players = Vec::new();
    for kind in KINDS.iter().filter(|kind| options.wants(kind.name)) {
        match (kind.prepare)(place).with_context(|| format!("preparing {}", kind.name))? {
            Ok(disturbance) => players.push(Player {
                kind,
                disturbance: Mutex::new(disturbance),
            }),
            Err(why) => report.left_out.push((kind.name, why)),
        }
    }
    Ok(players)
}

/// Loads a module of the kernel's with those that it needs.
fn modprobe(name: &str) -> Result<()> {
    let output = Command::new("modprobe").arg(name).output()?;
    ensure!(
        output.status.success(),
        "modprobe {name}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

pub(crate) fn run(options: &Options) -> Result<()> {
    options.check()?;
    let device = Device::open()?;
    let tsc_khz = device.info()?.tsc_khz;
    ensure!(
        tsc_khz > 0,
        "the module does not know how fast its clock is"
    );
    expect::native(&device)?;
    drop(device);
    let place = Place {
        cpus: machine::online()?,
        repeatable: options.repeatable,
        probe: Probe::load().ok(),
        ticks_per_microsecond: (tsc_khz / 1000).max(1),
    };
    let mut report = Report::new(options.seed);
    let players = prepare(options, &place, &mut report)?;
    if players.is_empty() {
        return skip("none of the disturbances that were asked for can be had here");
    }
    for (name, why) in &report.left_out {
        println!("left out: {name}: {why}");
    }
    let mut noise = Noise::from_here()?;
    let mut trend = Trend::default();
    let mut workload = Workload::start(&[])?;
    let natively = Rounds::new(&place, &players, false);
    let travelling = Rounds::new(&place, &players, true);

    let mut order = Order::new(options.seed, players.len(), options.a_round);
    report.native = natively.deck(&mut order, NATIVE_ROUNDS, &mut |round| {
        workload.still_right()?;
        noise.only_asked_for()?;
        println!("natively, {round}");
        Ok(())
    })?;
    let start = Instant::now();
    let mut order = Order::new(options.seed, players.len(), options.a_round);
    let least = Duration::from_secs(options.minutes * 60);
    for deck in 1.. {
        trend.note(report.trips.trips())?;
        let played = travelling.deck(&mut order, u64::MAX, &mut |round| {
            workload.still_right()?;
            noise.only_asked_for()?;
            println!("{round}");
            Ok(())
        })?;
        report.trips.add(played);
        let seldom = report.seldom(&players, FEW);
        if report.trips.trips() >= options.trips && start.elapsed() >= least {
            if seldom.is_empty() {
                break;
            }
            ensure!(
                deck < MOST_DECKS,
                "in {} round trips, these were not {FEW} times in the middle of a switch: {}",
                report.trips.trips(),
                seldom.join(", ")
            );
        }
    }
    for player in &players {
        if let Some(said) = player.finish()? {
            report.said.push((player.kind.name, said));
        }
    }
    report.workload = workload.finish()?;
    expect::native(&Device::open()?)?;
    noise.only_asked_for()?;
    trend.note(report.trips.trips())?;
    report.free_kib = trend.ends();
    report.slope = trend.slope();
    report.tell(&Device::open()?, &players)?;
    let lost = report.free_kib.0 - report.free_kib.1;
    report.print(&players, options.json);
    ensure!(
        report.trips.tally.escapes.is_empty(),
        "{} CPUs were native where they had to be guests: {}",
        report.trips.tally.escapes.len(),
        report.trips.tally.escapes.join("; ")
    );
    ensure!(
        report.slope > -LOST_KIB_PER_TRIP || lost < WARMED_UP_KIB,
        "{lost} KiB of free memory are gone, {:.1} at each of {} round trips",
        -report.slope,
        report.trips.trips()
    );
    Ok(())
}
