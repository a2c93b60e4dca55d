// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests that can fail: for each mutant of Mercury (one restore left out, one
//! page kept, ...) some check must notice. A mutant that nobody notices fails
//! this suite; so does a check that complains about the sound Mercury.

use super::{hole, instructions, nmi, residue};
use crate::kernel_log::KernelLog;
use crate::memory::Trend;
use crate::probe::Probe;
use crate::workload::Workload;
use crate::{arch, expect, machine, parameters};
use anyhow::{Result, bail, ensure};
use mercury_device::{AttachOptions, Device, Level};

/// Enough for both kinds of passage (planted or not) from each CPU.
const TRIPS: u64 = 8;
const WORKLOAD_TRIPS: u64 = 60;
/// Some land in each of the switches that are made meanwhile.
const NMIS: u64 = 3_000;
/// Few trips leave more noise than the suite `leak` has; the mutant loses 32 KiB.
const LEAK_TRIPS: u64 = 80;
const LOST_KIB_PER_TRIP: f64 = 24.0;
/// The first few fill caches that stay (per-CPU lists, slabs).
const WARM_UP_TRIPS: u64 = 20;

/// The mutant that only the search for a leak notices.
const LEAKS: &str = "page_leak";
/// Trips beside the workload where a round trip takes long.
const BRIEF_TRIPS: u64 = 12;

/// How long is looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effort {
    Full,
    /// Without the search for a leak, and with fewer trips: for an emulator in which
    /// each takes long. A leak is the module's, and is looked for elsewhere.
    Brief,
}

/// All checks, mildest first; the first complaint, and whose it is.
fn complaint(
    device: &Device,
    probe: &Probe,
    log: &mut KernelLog,
    effort: Effort,
) -> Result<Option<String>> {
    let from = device.log(0)?.next;
    match residue::watched_trips(device, probe, TRIPS) {
        Ok((found, _)) => {
            if let Some(first) = found.first() {
                return Ok(Some(format!("residue: {first}")));
            }
        }
        Err(error) => return Ok(Some(format!("switch: {error:#}"))),
    }
    if let Err(error) = expect::native(device) {
        return Ok(Some(format!("ledger: {error:#}")));
    }
    let records = device.log(from)?.items;
    if let Some(record) = records.iter().find(|record| record.level() == Level::Error) {
        return Ok(Some(format!("log: {}", record.sentence())));
    }
    if let Some(found) = lost_nmis(device, probe)? {
        return Ok(Some(format!("NMIs: {found}")));
    }
    if let Some(found) = lost_memory(device, effort)? {
        return Ok(Some(format!("leak: {found}")));
    }
    if let Some(found) = in_the_hole(device, probe)? {
        return Ok(Some(format!("hole: {found}")));
    }
    if let Err(error) = instructions::keeps_vectors(device, probe) {
        return Ok(Some(format!("stub's calls: {error:#}")));
    }
    if let Some(found) = under_workload(device, effort)? {
        return Ok(Some(format!("workload: {found}")));
    }
    Ok(log
        .alarms()?
        .first()
        .map(|line| format!("kernel log: {line}")))
}

/// The short form of the suite `nmi`, where NMIs can be lost and one CPU can send
/// them to another.
fn lost_nmis(device: &Device, probe: &Probe) -> Result<Option<String>> {
    if !arch::may_lose_nmis()? || machine::online()?.len() < 2 {
        return Ok(None);
    }
    probe.say("nmi on")?;
    let said = nmi::one_storm(device, probe, NMIS);
    probe.say("nmi off")?;
    let said = said?;
    Ok((said != nmi::NONE_LOST).then(|| format!("of {NMIS} {said}")))
}

/// The short form of the suite `leak`.
fn lost_memory(device: &Device, effort: Effort) -> Result<Option<String>> {
    if effort == Effort::Brief {
        return Ok(None);
    }
    // Pages on the CPUs' own lists do not count as free, and the lists of a CPU
    // that has just come up are empty: kept short (Linux 5.14), they are full soon.
    let _ = std::fs::write("/proc/sys/vm/percpu_pagelist_high_fraction", "20000");
    for _ in 0..WARM_UP_TRIPS {
        device.attach(&AttachOptions::default())?;
        device.detach()?;
    }
    let mut trend = Trend::default();
    for trip in 0..=LEAK_TRIPS {
        if trip % 10 == 0 {
            trend.note(trip)?;
        }
        device.attach(&AttachOptions::default())?;
        device.detach()?;
    }
    let slope = trend.slope();
    Ok((slope < -LOST_KIB_PER_TRIP)
        .then(|| format!("free memory falls by {:.1} KiB at each round trip", -slope)))
}

fn in_the_hole(device: &Device, probe: &Probe) -> Result<Option<String>> {
    expect::attach(device)?;
    let frame = hole::last_frame(device)?;
    let outcome = hole::check(device, probe, 0, frame, Some(hole::MILDEST));
    expect::detach(device)?;
    Ok(outcome.err().map(|error| format!("{error:#}")))
}

fn under_workload(device: &Device, effort: Effort) -> Result<Option<String>> {
    let cpus = machine::online()?;
    let mut workload = Workload::start(
        &arch::WORKERS_BESIDE_MUTANTS
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>(),
    )?;
    let trips = match effort {
        Effort::Full => WORKLOAD_TRIPS,
        Effort::Brief => BRIEF_TRIPS,
    };
    for trip in 0..trips {
        machine::pin(cpus[trip as usize % cpus.len()])?;
        device.attach(&AttachOptions::default())?;
        device.detach()?;
        if let Err(error) = workload.still_right() {
            machine::unpin()?;
            return Ok(Some(format!("{error:#}")));
        }
    }
    machine::unpin()?;
    Ok(workload.finish().err().map(|error| format!("{error:#}")))
}

/// Makes a machine that a mutant may have damaged sound again, as far as that
/// goes: what the kernel sets anew by itself when a CPU comes up.
fn recover(device: &Device) -> Result<()> {
    // A mutant's leftovers in the ledger go with the next sound round trip.
    expect::round_trip(device)?;
    for cpu in machine::online()?.into_iter().skip(1) {
        machine::set_online(cpu, false)?;
        machine::set_online(cpu, true)?;
    }
    Ok(())
}

pub(crate) fn run(only: &[String], brief: bool) -> Result<()> {
    let effort = if brief { Effort::Brief } else { Effort::Full };
    let device = Device::open()?;
    parameters::need_testing()?;
    let probe = Probe::load()?;
    let mut log = KernelLog::from_here()?;
    let planted = arch::plant(&probe)?;
    if let Some(found) = complaint(&device, &probe, &mut log, effort)? {
        bail!("without any mutant a check complains: {found}");
    }
    let mut unseen = Vec::new();
    let mut mutants = parameters::mutants()?;
    let of_others = arch::mutants_of_others()?;
    for name in of_others {
        ensure!(
            mutants.iter().any(|known| known == name),
            "the module does not know the mutant {name}, which is another backend's"
        );
    }
    mutants.retain(|name| !of_others.contains(&name.as_str()));
    if brief {
        mutants.retain(|name| name != LEAKS);
        println!("mutants: without {LEAKS}, which takes a hundred round trips to see");
    }
    mutants.retain(|name| only.is_empty() || only.contains(name));
    ensure!(
        !mutants.is_empty(),
        "the module knows none of the mutants {}",
        only.join(", ")
    );
    for name in &mutants {
        // Printed first: should the machine die of it, the console says of what.
        println!("mutant {name} ...");
        let set = parameters::set("mutant", name)?;
        let found = complaint(&device, &probe, &mut log, effort)?;
        drop(set);
        match found {
            Some(found) => println!("mutant {name}: caught by {found}"),
            None => unseen.push(name.as_str()),
        }
        recover(&device)?;
        planted.again()?;
        log.read()?;
    }
    if !unseen.is_empty() {
        bail!("no check noticed the mutants {}", unseen.join(", "));
    }
    let before = residue::cpu_states(&probe)?;
    if let Some(found) = complaint(&device, &probe, &mut log, effort)? {
        bail!("after the last mutant was switched off a check still complains: {found}");
    }
    let left = residue::differences(&before, &residue::cpu_states(&probe)?);
    if let Some(first) = left.first() {
        bail!("after the last mutant was switched off: {first}");
    }
    println!(
        "mutants: all {} noticed, and no complaint without one",
        mutants.len()
    );
    Ok(())
}
