// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hole: Mercury's frames read as zeros, plain stores are dropped and the
//! next instruction runs, what cannot be dropped gets a fault that no kernel
//! retries (x86: a protection fault, ARM64: an external abort), never a page
//! fault; each is counted, and the machine lives. On every CPU. Which accesses
//! there are is the architecture's.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
use aarch64 as arch;
#[cfg(target_arch = "x86_64")]
use x86_64 as arch;

pub(super) use arch::MILDEST;

use crate::expect;
use crate::kernel_log::KernelLog;
use crate::machine;
use crate::probe::Probe;
use anyhow::{Context, Result, bail, ensure};
use mercury_device::{Device, ExitReason, Status};

/// What an access is answered with. A repeated one may come out once or once
/// per element, so "at least".
#[derive(Debug, Clone, Copy, PartialEq)]
enum Answered {
    Nothing,
    Dropped {
        exactly: bool,
    },
    Refused,
    /// Dropped or refused, both are safe: part of it is not Mercury's.
    #[cfg_attr(
        target_arch = "aarch64",
        expect(dead_code, reason = "no such access there")
    )]
    Either,
}

const ONCE: Answered = Answered::Dropped { exactly: true };

/// What became of one access.
#[derive(Debug)]
struct Touched {
    /// The fault that it got (x86: its vector; ARM64: the signal), or `NO_TRAP`.
    trap: i64,
    /// Registers and flags are as the instruction must leave them.
    right: bool,
    /// The frame reads as zeros.
    zero: bool,
    /// What lies beside the frame got what was meant for it.
    beside: bool,
}

const NO_TRAP: i64 = -1;

/// Dropped and refused accesses that one CPU has come out with.
fn counters(status: &Status, cpu: u32) -> Result<(u64, u64)> {
    let cpu = status
        .cpus
        .iter()
        .find(|entry| entry.cpu == cpu)
        .with_context(|| format!("CPU {cpu} is not in the status"))?;
    Ok((
        cpu.exits.of(ExitReason::HoleStore),
        cpu.exits.of(ExitReason::HoleRefused),
    ))
}

fn judge(expected: Answered, touched: &Touched, dropped: u64, refused: u64) -> Result<()> {
    let trap = touched.trap;
    ensure!(touched.zero, "the frame does not read as zeros");
    ensure!(
        touched.right,
        "the registers or flags are not as the instruction leaves them"
    );
    ensure!(touched.beside, "what lies beside the frame was not stored");
    let counted = match expected {
        Answered::Nothing => trap == NO_TRAP && dropped == 0 && refused == 0,
        Answered::Dropped { exactly: true } => trap == NO_TRAP && dropped == 1 && refused == 0,
        Answered::Dropped { exactly: false } => trap == NO_TRAP && dropped >= 1 && refused == 0,
        Answered::Refused => trap == arch::REFUSAL && dropped == 0 && refused == 1,
        Answered::Either => {
            (trap == NO_TRAP && dropped >= 1 && refused == 0)
                || (trap == arch::REFUSAL && refused == 1)
        }
    };
    ensure!(
        counted,
        "expected {expected:?}, found trap {trap} (-1: none), {dropped} dropped and {refused} refused"
    );
    Ok(())
}

/// The names of all accesses.
pub(crate) fn names() -> Vec<&'static str> {
    arch::accesses().iter().map(|&(name, _)| name).collect()
}

/// The first store that is not answered as it must be, on one CPU.
pub(crate) fn check(
    device: &Device,
    probe: &Probe,
    cpu: u32,
    address: u64,
    only: Option<&str>,
) -> Result<u64> {
    let mut done = 0;
    for &(name, expected) in arch::accesses() {
        if only.is_some_and(|only| only != name) {
            continue;
        }
        let before = counters(&device.status()?, cpu)?;
        let touched = arch::touch(probe, cpu, address, name)?;
        let after = counters(&device.status()?, cpu)?;
        judge(expected, &touched, after.0 - before.0, after.1 - before.1)
            .with_context(|| format!("{name} to the frame at {address:#x} on CPU {cpu}"))?;
        done += 1;
    }
    Ok(done)
}

/// The last frame lent: if a store should get through, it does least harm there.
pub(crate) fn last_frame(device: &Device) -> Result<u64> {
    let frames = device.frames()?;
    let last = frames
        .last()
        .context("attached, and no frame is Mercury's")?;
    Ok(last.start + (last.pages - 1) * 4096)
}

pub(crate) fn run() -> Result<()> {
    let device = Device::open()?;
    let probe = Probe::load()?;
    let mut log = KernelLog::from_here()?;
    expect::attach(&device)?;
    let outcome = all(&device, &probe);
    // Whatever was found: the machine goes on, and natively.
    expect::detach(&device)?;
    let (frames, stores) = outcome?;
    log.quiet()?;
    println!(
        "hole: {frames} frames read as zeros on every CPU, {stores} stores answered as they must be"
    );
    Ok(())
}

/// Every frame and every store, on every CPU; how many of each.
pub(crate) fn all(device: &Device, probe: &Probe) -> Result<(u64, u64)> {
    let ranges = device.frames()?;
    ensure!(!ranges.is_empty(), "attached, and no frame is Mercury's");
    let (mut frames, mut stores) = (0, 0);
    for cpu in machine::online()? {
        for range in &ranges {
            for page in 0..range.pages {
                let address = range.start + page * 4096;
                let answer = probe.ask(&format!("hole {cpu} {address:x} read"))?;
                if answer.number("zero")? != 1 {
                    bail!("the frame at {address:#x} does not read as zeros on CPU {cpu}");
                }
                frames += 1;
            }
        }
        stores += check(device, probe, cpu, last_frame(device)?, None)?;
        // The first frame is the image's: the one that would hurt.
        stores += check(device, probe, cpu, ranges[0].start, None)?;
    }
    Ok((frames / machine::online()?.len() as u64, stores))
}
