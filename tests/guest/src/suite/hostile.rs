// SPDX-License-Identifier: MIT OR Apache-2.0
//! A kernel and programs that mean harm: everything that could reach Mercury
//! from above, made up from a seed. Every single answer is right, the machine
//! lives, no CPU leaves, and whoever has no business is refused.
//!
//! The kernel's part is done in the test module (`hostile.c` of each
//! architecture), which says how many answers were wrong and which was the first.

use super::hole;
use crate::kernel_log::KernelLog;
use crate::probe::Probe;
use crate::{arch, expect, machine, tool};
use anyhow::{Context, Result, ensure};
use mercury_device::{Device, ProofVerdict, Requirement};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Command;

/// Acts of the test module in one go, with IRQs off.
const BATCH: u32 = 200;
/// Touches of the hole per CPU and round: each is asked about in `status`.
const TOUCHES: u64 = 6;
/// A user without any right.
const NOBODY: u32 = 1000;

/// xorshift, as in the test module.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

fn rage(probe: &Probe, cpu: u32, seed: u64, faults: bool) -> Result<u64> {
    let command = format!("hostile {cpu} {seed} {BATCH} {}", u8::from(faults));
    let answer = probe.ask(&command)?;
    ensure!(
        answer.number("wrong")? == 0,
        "CPU {cpu}, seed {seed}: {} of {BATCH} answers were wrong; first that of act {} ({}) with {}: {}",
        answer.number("wrong")?,
        answer.number("act")?,
        arch::HOSTILE_ACTS[answer.number("act")? as usize],
        answer.text("with")?,
        answer.text("answered")?
    );
    for (act, name) in arch::HOSTILE_ACTS.iter().enumerate() {
        ensure!(
            answer.number(&format!("act{act}"))? > 0,
            "CPU {cpu}, seed {seed}: no act was '{name}'"
        );
    }
    Ok(u64::from(BATCH))
}

/// Any access to any frame of Mercury's.
fn touch(device: &Device, probe: &Probe, cpu: u32, random: &mut Random) -> Result<u64> {
    let frames = device.frames()?;
    let block = frames[random.below(frames.len())];
    let address = block.start + random.next() % block.pages * 4096;
    let names = hole::names();
    let name = names[random.below(names.len())];
    hole::check(device, probe, cpu, address, Some(name))
}

/// The child: gives root up.
pub(crate) fn become_user(user: Option<u32>) -> Result<()> {
    if let Some(user) = user {
        nix::unistd::setuid(nix::unistd::Uid::from_raw(user))?;
    }
    Ok(())
}

/// Programs of a user without rights: the tool, the device, a hypercall.
fn without_rights(cpu: u32, number: u64) -> Result<()> {
    for command in ["attach", "detach", "status"] {
        tool::refuses(
            tool::mercury(&[command]).uid(NOBODY),
            Requirement::Privilege,
        )
        .with_context(|| format!("mercury {command} of user {NOBODY}"))?;
    }
    machine::pin(cpu)?;
    let output = Command::new("/proc/self/exe")
        .args(["user-hypercall", &number.to_string()])
        .args(["--user", &NOBODY.to_string()])
        .output()?;
    machine::unpin()?;
    ensure!(
        output.status.signal() == Some(libc::SIGILL),
        "hypercall {number:#x} of user {NOBODY} on CPU {cpu} ended with {}",
        output.status
    );
    Ok(())
}

fn rounds(
    device: &Device,
    probe: &Probe,
    seed: u64,
    rounds: u64,
    faults: bool,
) -> Result<(u64, u64)> {
    let (mut acts, mut touches) = (0, 0);
    for round in 0..rounds {
        for cpu in machine::online()? {
            let seed = seed + (round << 16 | u64::from(cpu));
            let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
            acts += rage(probe, cpu, seed, faults)?;
            for _ in 0..TOUCHES {
                touches += touch(device, probe, cpu, &mut random)
                    .with_context(|| format!("CPU {cpu}, seed {seed}"))?;
            }
            if round == 0 {
                without_rights(cpu, random.next())?;
            }
        }
        expect::attached(device).with_context(|| format!("after round {round}"))?;
    }
    expect::proven(device, ProofVerdict::Guest)?;
    Ok((acts, touches))
}

pub(crate) fn run(seed: u64, count: u64) -> Result<()> {
    let device = Device::open()?;
    let probe = Probe::load()?;
    let mut log = KernelLog::from_here()?;
    println!("hostile: seed {seed}");
    let faults = arch::no_register_faults(&probe)?;
    expect::attach(&device)?;
    let outcome = rounds(&device, &probe, seed, count, faults);
    expect::detach(&device)?;
    let (acts, touches) = outcome?;
    expect::round_trip(&device)?;
    log.quiet()?;
    println!(
        "hostile: {acts} acts of the kernel's and {touches} touches of the hole, each answered as it must be; \
         a user without rights refused; no CPU left, and the next round trip worked"
    );
    Ok(())
}
