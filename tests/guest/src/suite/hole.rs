// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hole: Mercury's frames read as zeros, plain stores are dropped and the
//! next instruction runs, what cannot be dropped gets a protection fault, never
//! a page fault; each is counted, and the machine lives. On every CPU.

use crate::expect;
use crate::kernel_log::KernelLog;
use crate::machine;
use crate::probe::{Answer, Probe};
use anyhow::{Context, Result, bail, ensure};
use mercury_device::{Device, ExitReason, Status};

const PROTECTION_FAULT: i64 = 13;
const NO_TRAP: i64 = -1;

/// What a store is answered with. A repeated one may come out once or once per
/// element, so "at least".
#[derive(Debug, Clone, Copy, PartialEq)]
enum Answered {
    Nothing,
    Dropped {
        exactly: bool,
    },
    Refused,
    /// Part of it is not Mercury's: dropped or refused, both are safe.
    Either,
}

const ONCE: Answered = Answered::Dropped { exactly: true };
const REPEATED: Answered = Answered::Dropped { exactly: false };

/// The first is the mildest if it goes wrong (see `hole.c`).
const STORES: [(&str, Answered); 23] = [
    ("read", Answered::Nothing),
    ("mov_immediate", ONCE),
    ("mov1", ONCE),
    ("mov2", ONCE),
    ("mov4", ONCE),
    ("mov8", ONCE),
    ("mov_indexed", ONCE),
    ("movnti", ONCE),
    ("movdqa", ONCE),
    ("movups", ONCE),
    ("two_pages", ONCE),
    ("stosb", REPEATED),
    ("stosq", REPEATED),
    ("stosq_down", REPEATED),
    ("stosb_across", REPEATED),
    ("movsq_in", REPEATED),
    ("movsq_out", Answered::Nothing),
    ("mov_across", Answered::Either),
    ("lock_inc", Answered::Refused),
    ("lock_bts", Answered::Refused),
    ("xchg", Answered::Refused),
    ("cmpxchg", Answered::Refused),
    ("add", Answered::Refused),
];

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

fn judge(
    name: &str,
    expected: Answered,
    answer: &Answer,
    dropped: u64,
    refused: u64,
) -> Result<()> {
    let trap = answer.signed("trap")?;
    ensure!(
        answer.number("zero")? == 1,
        "the frame does not read as zeros"
    );
    ensure!(
        answer.number("right")? == 1,
        "the registers or flags are not as the instruction leaves them"
    );
    let counted = match expected {
        Answered::Nothing => trap == NO_TRAP && dropped == 0 && refused == 0,
        Answered::Dropped { exactly: true } => trap == NO_TRAP && dropped == 1 && refused == 0,
        Answered::Dropped { exactly: false } => trap == NO_TRAP && dropped >= 1 && refused == 0,
        Answered::Refused => trap == PROTECTION_FAULT && dropped == 0 && refused == 1,
        Answered::Either => {
            (trap == NO_TRAP && dropped >= 1 && refused == 0)
                || (trap == PROTECTION_FAULT && refused == 1)
        }
    };
    ensure!(
        counted,
        "expected {expected:?}, found trap {trap} (-1: none), {dropped} dropped and {refused} refused"
    );
    if name == "stosb_across" {
        let edges = (answer.number("left")?, answer.number("right_page")?);
        ensure!(
            edges == (2, 2),
            "what lies beside the frame was not stored: {edges:?}"
        );
    }
    Ok(())
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
    for (name, expected) in STORES {
        if only.is_some_and(|only| only != name) {
            continue;
        }
        let before = counters(&device.status()?, cpu)?;
        let answer = probe.ask(&format!("hole {cpu} {address:x} {name}"))?;
        let after = counters(&device.status()?, cpu)?;
        judge(
            name,
            expected,
            &answer,
            after.0 - before.0,
            after.1 - before.1,
        )
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
