// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hypervisor dies, and the machine lives: on each CPU, in each way in which
//! an image can die, under a workload. The CPU on which it died is native at once,
//! the others after one status, the log names the cause, detach gives everything
//! back, and the next attach brings a new image.

use crate::kernel_log::KernelLog;
use crate::workload::Workload;
use crate::{arch, expect, machine, parameters};
use anyhow::{Context, Result, bail, ensure};
use mercury_device::{AttachOptions, CpuState, Device, Event, ProofVerdict, Record, Requirement};

/// A way to die (image/.../provoke.rs).
#[derive(Debug)]
struct Way {
    number: u32,
    name: &'static str,
    /// The record that says so.
    event: Event,
    /// Vector and the bits of the error code that must be set (x86).
    vector: u64,
    error: u64,
}

const fn way(number: u32, name: &'static str, vector: u64, error: u64) -> Way {
    let event = if number == 1 {
        Event::HostPanic
    } else {
        Event::HostException
    };
    Way {
        number,
        name,
        event,
        vector,
        error,
    }
}

const WAYS: [Way; 7] = [
    way(0, "undefined instruction", 6, 0),
    way(1, "panic", 0, 0),
    // The fault on the guard page finds no stack to be delivered on.
    way(2, "stack overflow", 8, 0),
    // Present, write; present, fetch.
    way(3, "store to its text", 14, 0b11),
    way(4, "jump into its data", 14, 0b1_0001),
    way(5, "undefined instruction, holding the map's lock", 6, 0),
    way(6, "undefined instruction, in the middle of a record", 6, 0),
];

/// The record must name what happened, not just that something did.
fn judge(way: &Way, record: &Record) -> Result<()> {
    let [vector, error, ..] = record.arguments;
    if way.event == Event::HostPanic {
        ensure!(vector > 0, "no line in '{}'", record.sentence());
    } else if cfg!(target_arch = "x86_64") {
        ensure!(
            vector == way.vector && error & way.error == way.error,
            "'{}' where vector {} was expected",
            record.sentence(),
            way.vector
        );
    }
    Ok(())
}

fn dies(device: &Device, way: &Way, cpu: u32, workload: &mut Workload) -> Result<String> {
    let from = device.log(0)?.next;
    expect::attach(device)?;
    expect::proven(device, ProofVerdict::Guest)?;
    let answer = parameters::once("die", &format!("{}@{cpu}", way.number));
    answer.context("the CPU came back with an answer")?;
    // That CPU is native, without anybody having been asked.
    let proof = device.prove(cpu)?;
    ensure!(
        proof.verdict() == ProofVerdict::Native,
        "CPU {cpu}, on which the image died, proves to be {:?}",
        proof.verdict()
    );
    // A new attach must not use the dead image.
    let said = expect::refused(device.attach(&AttachOptions::default()))?;
    ensure!(said.requirement == Requirement::Native, "{said:?}");
    let status = device.status()?;
    for one in status.online() {
        ensure!(
            one.state == CpuState::Native && one.why == u32::from(Event::DiedNative as u16),
            "CPU {} is {}, why {}",
            one.cpu,
            one.state,
            one.why
        );
    }
    expect::proven(device, ProofVerdict::Native)?;
    // Nobody goes into it, whoever comes up.
    if let Some(last) = machine::online()?.pop().filter(|last| *last != 0) {
        machine::set_online(last, false)?;
        machine::set_online(last, true)?;
        ensure!(device.prove(last)?.verdict() == ProofVerdict::Native);
    }
    workload.still_right()?;
    expect::detach(device)?;
    let records = device.log(from)?.items;
    let found = |event: Event| {
        let code = event as u16;
        records.iter().filter(move |record| record.code == code)
    };
    let cause = found(way.event)
        .find(|record| record.cpu == Some(cpu))
        .context("no record of the cause")?;
    judge(way, cause)?;
    ensure!(found(Event::Freed).count() > 0, "no CPU was freed");
    ensure!(
        found(Event::DeadDetached).count() == 1,
        "detach said nothing"
    );
    expect::round_trip(device)?;
    workload.still_right()?;
    Ok(cause.sentence())
}

/// An entry in which the image dies is undone like any other that fails.
fn dies_at_entry(device: &Device, cpu: u32) -> Result<()> {
    let set = parameters::set("inject", &format!("die@{cpu}"))?;
    let said = expect::refused(device.attach(&AttachOptions::default()))?;
    drop(set);
    ensure!(
        said.requirement == Requirement::Entry && said.cpu == Some(cpu),
        "an image that dies at the entry of CPU {cpu}: {said:?}"
    );
    expect::native(device)?;
    expect::round_trip(device)
}

pub(crate) fn run(only: &[u32]) -> Result<()> {
    let device = Device::open()?;
    parameters::need_testing()?;
    let mut log = KernelLog::from_here()?;
    let mut workload = Workload::start(
        &arch::WORKERS_BESIDE_MUTANTS
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>(),
    )?;
    let mut deaths = 0;
    for way in &WAYS {
        if !only.is_empty() && !only.contains(&way.number) {
            continue;
        }
        for cpu in machine::online()? {
            println!("death: {} on CPU {cpu} ...", way.name);
            let said = dies(&device, way, cpu, &mut workload)
                .with_context(|| format!("{} on CPU {cpu}", way.name))?;
            println!("death: {} on CPU {cpu}: {said}", way.name);
            log.quiet()?;
            deaths += 1;
        }
    }
    for cpu in machine::online()? {
        dies_at_entry(&device, cpu)?;
        deaths += 1;
    }
    if deaths == 0 {
        bail!("no such way to die");
    }
    workload.finish()?;
    log.quiet()?;
    println!("death: survived {deaths}, each followed by a detach and a round trip");
    Ok(())
}
