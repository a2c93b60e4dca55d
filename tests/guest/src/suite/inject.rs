// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every failure point of an attach, on every CPU where it is of one: the
//! attach is refused with the right requirement, everything is undone, nothing
//! is held, and the next attach works.

use super::hole;
use crate::kernel_log::KernelLog;
use crate::probe::Probe;
use crate::{expect, machine, parameters};
use anyhow::{Context, Result, bail, ensure};
use mercury_device::{AttachOptions, CpuState, Device, ProofVerdict, Requirement, State};

/// An attach makes fewer allocations than this; more means that it never ends.
const MOST_ALLOCATIONS: u32 = 4096;

const HOOKS: u64 = 4;

/// Pages of a block of order 3: the largest that attach may depend on.
const LARGEST_PAGES: u64 = 8;

fn fails(device: &Device, point: &str, requirement: Requirement, cpu: Option<u32>) -> Result<()> {
    let set = parameters::set("inject", point)?;
    let said = expect::refused(device.attach(&AttachOptions::default()))
        .with_context(|| point.to_owned())?;
    drop(set);
    ensure!(
        said.requirement == requirement && (cpu.is_none() || said.cpu == cpu),
        "{point}: refused with {said:?} where {requirement} was expected"
    );
    expect::native(device).with_context(|| format!("after {point}"))?;
    expect::round_trip(device).with_context(|| format!("after {point}"))?;
    println!("injected: {point}: {requirement}, errno {}", said.errno);
    Ok(())
}

/// Lets the n-th allocation fail, for every n until there is no n-th.
fn allocations(device: &Device) -> Result<u32> {
    for nth in 1..MOST_ALLOCATIONS {
        let set = parameters::set("inject", &format!("alloc:{nth}"))?;
        let outcome = device.attach(&AttachOptions::default());
        drop(set);
        if outcome.is_ok() {
            expect::attached(device)?;
            expect::detach(device)?;
            ensure!(nth > 1, "no allocation could be made to fail");
            return Ok(nth - 1);
        }
        let said = expect::refused(outcome).with_context(|| format!("allocation {nth}"))?;
        ensure!(
            said.requirement == Requirement::Memory && said.errno == libc::ENOMEM,
            "allocation {nth} failed: refused with {said:?}"
        );
        expect::native(device).with_context(|| format!("after allocation {nth} failed"))?;
        if nth % 16 == 1 {
            expect::round_trip(device).with_context(|| format!("after allocation {nth} failed"))?;
        }
    }
    bail!("{MOST_ALLOCATIONS} allocations failed one by one, and attach still wanted more")
}

/// The kernel has no large blocks to spare: attach works as ever, in many
/// small ones.
fn without_large_blocks(device: &Device) -> Result<usize> {
    let probe = Probe::load()?;
    let set = parameters::set("inject", "large")?;
    expect::attach(device).context("without large blocks")?;
    drop(set);
    let outcome = in_small_blocks(device, &probe);
    expect::detach(device)?;
    outcome
}

fn in_small_blocks(device: &Device, probe: &Probe) -> Result<usize> {
    let blocks = device.frames()?;
    ensure!(
        blocks.len() > 1 && blocks.iter().all(|block| block.pages <= LARGEST_PAGES),
        "without large blocks there are {} blocks, the largest of {:?} pages",
        blocks.len(),
        blocks.iter().map(|block| block.pages).max()
    );
    let frames: u64 = blocks.iter().map(|block| block.pages).sum();
    let lent = expect::attached(device)?.memory.lent;
    ensure!(
        frames * 4096 == lent,
        "{frames} frames are out of reach and {lent} bytes are lent"
    );
    expect::proven(device, ProofVerdict::Guest)?;
    hole::all(device, probe)?;
    Ok(blocks.len())
}

/// A CPU that cannot be taken out: the detach fails, nothing is freed, the machine
/// is mixed and says so, and the next detach works.
fn stuck(device: &Device, cpu: u32, cpus: usize) -> Result<()> {
    expect::attach(device)?;
    let set = parameters::set("inject", &format!("stuck@{cpu}"))?;
    let outcome = device.detach();
    drop(set);
    let found = device.status()?;
    let still: Vec<u32> = found
        .online()
        .filter(|entry| entry.state == CpuState::Attached)
        .map(|entry| entry.cpu)
        .collect();
    expect::detach(device).with_context(|| format!("after stuck@{cpu}"))?;
    ensure!(outcome.is_err(), "stuck@{cpu}: detach said that it worked");
    let state = if cpus > 1 {
        State::Mixed
    } else {
        State::Attached
    };
    ensure!(
        still == [cpu] && found.state == state && found.memory.lent > 0,
        "stuck@{cpu}: CPUs {still:?} were guests, the machine {}, {} bytes lent",
        found.state,
        found.memory.lent
    );
    expect::round_trip(device).with_context(|| format!("after stuck@{cpu}"))?;
    println!("injected: stuck@{cpu}: {state}, nothing freed, the next detach worked");
    Ok(())
}

pub(crate) fn run() -> Result<()> {
    let device = Device::open()?;
    parameters::need_testing()?;
    let mut log = KernelLog::from_here()?;
    expect::round_trip(&device)?;
    let allocations = allocations(&device)?;
    println!(
        "injected: each of {allocations} allocations: memory, errno {}",
        libc::ENOMEM
    );
    let blocks = without_large_blocks(&device)?;
    println!("injected: no large block: attached in {blocks} blocks, proof and hole as ever");
    fails(&device, "firmware", Requirement::ImageFound, None)?;
    fails(&device, "prepare", Requirement::Prepare, None)?;
    fails(&device, "seal", Requirement::Seal, None)?;
    fails(&device, "signal", Requirement::Uninterrupted, None)?;
    // Hot-plug state, suspend notifier, reboot notifier.
    for hook in 1..=HOOKS {
        fails(
            &device,
            &format!("hooks:{hook}"),
            Requirement::Prepare,
            None,
        )?;
    }
    let mut points = u64::from(allocations) + 4 + HOOKS;
    for cpu in machine::online()? {
        for &(point, requirement) in crate::arch::CPU_POINTS {
            fails(&device, &format!("{point}@{cpu}"), requirement, Some(cpu))?;
            points += 1;
        }
        stuck(&device, cpu, machine::online()?.len())?;
        points += 1;
    }
    log.quiet()?;
    println!("inject: {points} failure points, each undone, attach worked after each");
    Ok(())
}
