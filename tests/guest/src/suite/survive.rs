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
use mercury_device::{Cause, Device, GuardAction, GuardOptions, ProofVerdict};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// How a machine comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Way {
    /// SysRq c: a panic in a process
    Sysrq,
    /// `mercury rollback`
    Asked,
    /// A store to nowhere, in a process
    Oops,
    /// A panic in an interrupt between CPUs
    Irq,
    /// A panic in the timer's interrupt
    Timer,
    /// A panic in a tasklet
    Softirq,
    /// A panic while another CPU spins with its interrupts off
    IrqsOff,
    /// A panic in an NMI handler
    Nmi,
    /// A panic while another CPU does not come back from an NMI
    StuckInNmi,
    /// A triple fault
    Triple,
}

impl Way {
    fn cause(self) -> Cause {
        match self {
            Self::Asked => Cause::Asked,
            Self::Triple => Cause::Shutdown,
            _ => Cause::Panic,
        }
    }

    /// What the kernel's log says of it.
    fn story(self) -> Option<&'static str> {
        match self {
            Self::Sysrq => Some("sysrq triggered crash"),
            Self::Oops => Some("NULL pointer dereference"),
            Self::Asked | Self::Triple => None,
            _ => Some("mercury_test: a crash on purpose"),
        }
    }

    fn go(self, device: &Device, cpu: u32) -> Result<()> {
        let name = match self {
            Self::Sysrq => return machine::write("/proc/sysrq-trigger", "c"),
            Self::Asked => return Ok(device.rollback()?),
            Self::Oops => "oops",
            Self::Irq => "irq",
            Self::Timer => "timer",
            Self::Softirq => "softirq",
            Self::IrqsOff => "irqs-off",
            Self::Nmi => "nmi",
            Self::StuckInNmi => "stuck-in-nmi",
            Self::Triple => "triple",
        };
        Probe::load()?.say(&format!("crash {name} {cpu}"))?;
        // A tasklet or a timer may come a moment later.
        std::thread::sleep(Duration::from_secs(5));
        Ok(())
    }
}

/// Of a row that names none.
const WAYS: [Way; 3] = [Way::Sysrq, Way::Asked, Way::Timer];
/// How long a machine with a checkpoint is watched while it has nothing to do.
const IDLE_SECONDS: u64 = 5;
/// Workers that a sleep does not disturb.
const WORKERS: [&str; 4] = ["churn-a", "churn-b", "registers", "pipes"];
const FOLDER: &str = "/tmp/survive";
/// Words of memory that are written between checkpoint and crash.
const WORDS: usize = 1 << 20;
/// Words that are free at the checkpoint, and then used and freed again.
const FREED_WORDS: usize = 8 << 20;

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
        // Free memory has other contents afterwards, and a kernel that clears pages when
        // it frees them does not look again.
        drop(vec![!0u64; FREED_WORDS]);
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
        let fresh = vec![0u64; FREED_WORDS];
        ensure!(
            std::hint::black_box(&fresh).iter().all(|word| *word == 0),
            "new memory has old contents"
        );
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
fn told(device: &Device, number: u64, way: Way, cpus: usize) -> Result<()> {
    let record = device
        .postmortem()?
        .context("there is no record of the roll-back")?;
    ensure!(
        record.number == number,
        "the record is of roll-back {} where {number} was",
        record.number
    );
    let cause = way.cause();
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
    if let Some(story) = way.story() {
        ensure!(
            record.story.contains(story),
            "the story does not tell of '{story}':\n{}",
            record.story
        );
    }
    Ok(())
}

/// The `number`-th crash, from 1, on a CPU that changes.
fn crash(device: &Device, number: u64, way: Way, cpus: &[u32]) -> Result<()> {
    let cpu = cpus[number as usize % cpus.len()];
    machine::pin(cpu)?;
    way.go(device, cpu)?;
    bail!("crash {number} ({way:?}) on CPU {cpu} came back")
}

pub(crate) fn run(fresh: u64, same: u64, ways: &[Way]) -> Result<()> {
    let device = Device::open()?;
    let ways = if ways.is_empty() { &WAYS } else { ways };
    let way = |number: u64| ways[(number as usize + ways.len() - 1) % ways.len()];
    machine::write("/proc/sys/kernel/panic_on_oops", "1")?;
    if device.info()?.backend == "vmx" {
        return skip("this backend takes no checkpoints yet");
    }
    let cpus = machine::online()?;
    let refused = device.checkpoint();
    ensure!(refused.is_err(), "a checkpoint was taken without a store");
    ensure!(
        device.rollback().is_err(),
        "a roll-back without a checkpoint"
    );
    // Room for what the workload takes, too.
    let needed = device
        .guard(GuardAction::Status, GuardOptions::default())?
        .needed;
    // That it crashes again and again is meant.
    let options = GuardOptions {
        store: needed + (64 << 20),
        crash_loop: Duration::ZERO,
    };
    let guard = device.guard(GuardAction::On, options)?;
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
            told(&device, number, way(number), cpus.len())
                .with_context(|| format!("{:?}", way(number)))?;
        }
        // To the first checkpoint several times, to the others once.
        let wanted = crashes + if checkpoint == 1 { same } else { 1 };
        if number < wanted {
            state.go_on()?;
            crash(&device, number + 1, way(number + 1), &cpus)?;
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
    let guard = device.guard(GuardAction::Off, GuardOptions::default())?;
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
