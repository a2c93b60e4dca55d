// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checkpoints, crashes on purpose, and what is there afterwards.
//!
//! This process is rolled back with all the rest: whatever it has noted since the
//! checkpoint is gone, and that is the test. The only thing that it learns is the number
//! of the roll-back, with which the call returns again. So what happens at the n-th
//! return follows from n alone.

use crate::expect::{self, skip};
use crate::kernel_log::KernelLog;
use crate::machine;
use crate::probe::Probe;
use crate::suite::idle;
use crate::workload::Workload;
use anyhow::{Context, Result, bail, ensure};
use mercury_device::{Cause, Device, GuardAction, ProofVerdict};
use std::fs;
use std::path::Path;

/// What the kernel says of a crash that was asked for, in a program's name and inside an
/// interrupt.
const CRASHES: [&str; 2] = ["sysrq triggered crash", "crash in an interrupt"];
/// Workers that a sleep does not disturb.
const WORKERS: [&str; 4] = ["churn-a", "churn-b", "registers", "pipes"];
const FOLDER: &str = "/tmp/survive";
/// How long a machine with a checkpoint is watched while it has nothing to do.
const IDLE_SECONDS: u64 = 5;
/// Words of memory that are written between checkpoint and crash.
const WORDS: usize = 1 << 20;

/// Memory and files as they are at a checkpoint.
struct State {
    memory: Vec<u64>,
    seed: u64,
}

impl State {
    fn new(seed: u64) -> Result<Self> {
        let _ = fs::remove_dir_all(FOLDER);
        fs::create_dir_all(FOLDER)?;
        for number in 0..20u64 {
            fs::write(file(number), content(seed, number))?;
        }
        let memory = (0..WORDS as u64).map(|index| index ^ seed).collect();
        Ok(Self { memory, seed })
    }

    /// More work, which will not have happened.
    fn go_on(&mut self) -> Result<()> {
        for word in &mut self.memory {
            *word = word.wrapping_mul(3);
        }
        for number in 0..10 {
            fs::remove_file(file(number))?;
        }
        for number in 10..40 {
            fs::write(file(number), content(!self.seed, number))?;
        }
        Ok(())
    }

    /// As it was.
    fn check(&self) -> Result<()> {
        let wrong = self
            .memory
            .iter()
            .zip(0u64..)
            .filter(|(word, index)| **word != index ^ self.seed);
        ensure!(wrong.count() == 0, "memory is not the checkpoint's");
        for number in 0..20 {
            let found = fs::read(file(number)).with_context(|| format!("file {number}"))?;
            ensure!(
                found == content(self.seed, number),
                "file {number} is not the checkpoint's"
            );
        }
        ensure!(
            !Path::new(&file(20)).exists(),
            "a file is there that was made after the checkpoint"
        );
        Ok(())
    }
}

fn file(number: u64) -> String {
    format!("{FOLDER}/{number}")
}

fn content(seed: u64, number: u64) -> Vec<u8> {
    (0..5000u64)
        .flat_map(|word| (word ^ seed ^ number << 32).to_le_bytes())
        .collect()
}

/// A disk that nobody else uses: its first bytes, past the page cache.
fn disk() -> Option<String> {
    ["vda", "sda", "nvme0n1"]
        .into_iter()
        .map(|name| format!("/dev/{name}"))
        .find(|path| Path::new(path).exists())
}

fn read_disk(path: &str) -> Result<Vec<u8>> {
    use std::io::Read;
    machine::write("/proc/sys/vm/drop_caches", "3")?;
    let mut bytes = vec![0; 1 << 20];
    fs::File::open(path)?
        .read_exact(&mut bytes)
        .with_context(|| format!("reading {path}"))?;
    Ok(bytes)
}

/// What must be true behind every return.
fn still_whole(
    device: &Device,
    cpus: &[u32],
    workload: &mut Workload,
    log: &mut KernelLog,
) -> Result<()> {
    ensure!(
        machine::online()? == cpus,
        "CPUs {:?} are online where {cpus:?} were",
        machine::online()?
    );
    expect::attached(device)?;
    expect::proven(device, ProofVerdict::Guest)?;
    workload.still_right()?;
    log.quiet()
}

/// The story of the last crash.
fn told(device: &Device, number: u64, cause: Cause, cpus: usize) -> Result<()> {
    let record = device
        .postmortem()?
        .context("there is no record of the roll-back")?;
    ensure!(
        record.number == number,
        "the record is of roll-back {} where {number} was",
        record.number
    );
    ensure!(
        record.cause == cause,
        "the cause is {} where {cause} was",
        record.cause
    );
    ensure!(
        record.changed > WORDS as u64 * 8 / 4096,
        "only {} pages had changed",
        record.changed
    );
    ensure!(
        record.cpus.len() == cpus,
        "registers of {} CPUs where there were {cpus}",
        record.cpus.len()
    );
    for cpu in &record.cpus {
        let instruction = cpu.registers[16];
        ensure!(
            instruction >> 63 == 1 || cause != Cause::Panic && instruction != 0,
            "CPU {} was at {instruction:#x} in a panic",
            cpu.cpu
        );
    }
    if cause == Cause::Panic {
        ensure!(
            record
                .story
                .contains(CRASHES[usize::from(in_an_interrupt(number))]),
            "the story does not tell of the crash:\n{}",
            record.story
        );
    }
    Ok(())
}

/// How the `number`-th crash comes about, from a CPU that changes.
fn crash(device: &Device, probe: &Probe, number: u64, cpus: &[u32]) -> Result<()> {
    let cpu = cpus[number as usize % cpus.len()];
    machine::pin(cpu)?;
    if by(number) == Cause::Asked {
        device.rollback()?;
    } else if in_an_interrupt(number) {
        probe.say(&format!("crash {cpu}"))?;
    } else {
        machine::write("/proc/sysrq-trigger", "c")?;
    }
    bail!("crash {number} on CPU {cpu} came back")
}

/// Every third is asked for.
fn by(number: u64) -> Cause {
    if number % 3 == 2 {
        Cause::Asked
    } else {
        Cause::Panic
    }
}

/// Every third is a panic while an interrupt is handled: the timer's.
fn in_an_interrupt(number: u64) -> bool {
    number.is_multiple_of(3)
}

pub(crate) fn run(fresh: u64, same: u64) -> Result<()> {
    let device = Device::open()?;
    if device.info()?.backend == "vmx" {
        return skip("this backend takes no checkpoints yet");
    }
    let probe = Probe::load()?;
    let cpus = machine::online()?;
    let refused = device.checkpoint();
    ensure!(refused.is_err(), "a checkpoint was taken without a store");
    ensure!(
        device.rollback().is_err(),
        "a roll-back without a checkpoint"
    );
    // Room for what the workload takes, too.
    let needed = device.guard(GuardAction::Status, 0)?.needed;
    let guard = device.guard(GuardAction::On, needed + (64 << 20))?;
    ensure!(
        guard.store != 0 && guard.kept == 0,
        "guarded, and {guard:?}"
    );
    expect::attached(&device)?;
    ensure!(
        device.rollback().is_err(),
        "a roll-back without a checkpoint"
    );
    let bytes = disk()
        .map(|path| Ok::<_, anyhow::Error>((read_disk(&path)?, path)))
        .transpose()?;
    let workers = WORKERS.map(str::to_owned);
    let mut workload = Workload::start(&workers)?;
    let mut log = KernelLog::from_here()?;
    let mut crashes = 0;
    for checkpoint in 1..=fresh {
        let mut state = State::new(checkpoint.wrapping_mul(0x9e37_79b9_7f4a_7c15))?;
        let taken = device
            .checkpoint()
            .with_context(|| format!("checkpoint {checkpoint}"))?;
        still_whole(&device, &cpus, &mut workload, &mut log).with_context(|| {
            format!(
                "behind checkpoint {checkpoint}, return {}",
                taken.rolled_back
            )
        })?;
        state
            .check()
            .with_context(|| format!("return {}", taken.rolled_back))?;
        ensure!(
            taken.number == checkpoint,
            "checkpoint {} where {checkpoint} was",
            taken.number
        );
        let number = taken.rolled_back.max(crashes);
        if number > crashes {
            told(&device, number, by(number), cpus.len())?;
        }
        // To the first checkpoint several times, to the others once.
        let wanted = crashes + if checkpoint == 1 { same } else { 1 };
        if number < wanted {
            state.go_on()?;
            crash(&device, &probe, number + 1, &cpus)?;
        }
        crashes = number;
        if let Some((bytes, path)) = &bytes {
            ensure!(
                read_disk(path)? == *bytes,
                "{path} reads otherwise after a roll-back"
            );
        }
    }
    workload.finish()?;
    let exits = idle::watch(&device, IDLE_SECONDS)?.others;
    ensure!(
        exits == 0,
        "{exits} exits in {IDLE_SECONDS} idle seconds with a checkpoint"
    );
    let guard = device.guard(GuardAction::Off, 0)?;
    ensure!(guard.store == 0, "not guarded, and {guard:?}");
    expect::attached(&device)?;
    expect::detach(&device)?;
    expect::native(&device)?;
    log.quiet()?;
    println!(
        "survive: {crashes} crashes on {} CPUs survived, {same} of them to one checkpoint of {fresh}; memory, files, \
         processes{} as of the checkpoint each time, and the record tells of each",
        cpus.len(),
        if bytes.is_some() {
            " and the disk's bytes"
        } else {
            ""
        },
    );
    Ok(())
}
