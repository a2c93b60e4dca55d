// SPDX-License-Identifier: MIT OR Apache-2.0
//! `mercury guard`, `checkpoint`, `rollback` and `postmortem`.
//!
//! A checkpoint is of memory. What lies on a disk is not rolled back, and memory that
//! remembers an older disk corrupts it silently; so as long as no layer keeps disks in
//! step, a checkpoint is refused while a block device is open for writing, unless the
//! user takes it upon himself ([`crate::disks`]).

mod causes;
mod told;

use crate::arguments::{Checkpoint, Guard, GuardOn, Postmortem, Rollback};
use crate::disks;
use crate::exit::Exit;
use crate::output::{BAD, DOUBTFUL, GOOD, Output, STRONG, paint};
use crate::signals::Watch;
use anyhow::bail;
use causes::Switch;
use mercury_device::{Device, GuardAction, GuardOptions};
use serde::Serialize;
use std::fmt::Write;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

const MIB: f64 = 1024.0 * 1024.0;

#[derive(Debug, Serialize)]
struct Standing {
    guarded: bool,
    store_bytes: u64,
    needed_bytes: u64,
    room_pages: u64,
    kept_pages: u64,
    checkpoints: u64,
    rolled_back: u64,
    changed_pages: u64,
    uncovered: Vec<disks::Disk>,
    switches: Vec<Switch>,
}

/// The store.
pub(crate) fn guard(options: &Guard, output: Output) -> anyhow::Result<Exit> {
    let device = Device::open()?;
    let (action, wished) = match options {
        Guard::On(on) => {
            let wished = GuardOptions {
                store: on.store.unwrap_or(0),
                crash_loop: on.crash_loop,
            };
            (GuardAction::On, wished)
        }
        Guard::Off => (GuardAction::Off, GuardOptions::default()),
        Guard::Status => (GuardAction::Status, GuardOptions::default()),
        Guard::GiveUp => (GuardAction::GiveUp, GuardOptions::default()),
    };
    if let Guard::On(on) = options
        && on.every.is_some()
    {
        may_take(on.i_accept_disk_mismatch)?;
    }
    let guard = device.guard(action, wished)?;
    match options {
        Guard::On(on) => drop(causes::set(&on.on, causes::note())?),
        Guard::Off => causes::restore(causes::note())?,
        Guard::Status | Guard::GiveUp => {}
    }
    let standing = Standing {
        guarded: guard.store != 0,
        store_bytes: guard.store,
        needed_bytes: guard.needed,
        room_pages: guard.room,
        kept_pages: guard.kept,
        checkpoints: guard.checkpoints,
        rolled_back: guard.rolled_back,
        changed_pages: guard.changed,
        uncovered: disks::open_for_writing()?,
        switches: causes::noted(causes::note())?,
    };
    match options {
        Guard::On(on) if let Some(every) = on.every => {
            output.entry(&standing, || render(&standing))?;
            watch(&device, on, every, output)
        }
        _ => {
            output.answer(&standing, || render(&standing))?;
            Ok(Exit::Success)
        }
    }
}

/// A checkpoint now and then. One that cannot be had is said, and tried again the next
/// time: a device that was busy is no reason to be without for good.
fn watch(
    device: &Device,
    options: &GuardOn,
    every: Duration,
    output: Output,
) -> anyhow::Result<Exit> {
    /// How long a signal may go unnoticed.
    const LOOK: Duration = Duration::from_millis(200);
    let signals = Watch::begin();
    while !signals.seen() {
        let taken = may_take(options.i_accept_disk_mismatch).and_then(|()| take(device));
        match taken {
            Ok(taken) => output.entry(&taken, || describe(&taken))?,
            Err(error) => anstream::eprintln!("mercury: {error:#}"),
        }
        let begin = Instant::now();
        while begin.elapsed() < every && !signals.seen() {
            thread::sleep(LOOK.min(every));
        }
    }
    Ok(Exit::Success)
}

fn render(standing: &Standing) -> String {
    let mut text = if standing.guarded {
        format!(
            "{}: a store of {:.0} MiB, room for {} pages; a checkpoint would need {:.0} MiB now.",
            paint(GOOD, "guarded"),
            standing.store_bytes as f64 / MIB,
            standing.room_pages,
            standing.needed_bytes as f64 / MIB,
        )
    } else {
        format!(
            "{}: there is no store. `mercury guard on` would take {:.0} MiB.",
            paint(STRONG, "not guarded"),
            standing.needed_bytes as f64 / MIB,
        )
    };
    if standing.guarded {
        let _ = match standing.kept_pages {
            0 => write!(text, "\nThere is no checkpoint."),
            kept => write!(
                text,
                "\nCheckpoint {} keeps {kept} pages.",
                standing.checkpoints
            ),
        };
        if standing.rolled_back != 0 {
            let _ = write!(
                text,
                "\nRolled back {} times; the last one put {} pages back (mercury postmortem).",
                standing.rolled_back, standing.changed_pages,
            );
        }
    }
    for switch in &standing.switches {
        let _ = write!(
            text,
            "\n{} is {} (before: {}).",
            switch.path, switch.now, switch.before
        );
    }
    for disk in &standing.uncovered {
        let _ = write!(
            text,
            "\n{}: {} ({}) would not be rolled back.",
            paint(DOUBTFUL, "not covered"),
            disk.device,
            disk.used_as
        );
    }
    text
}

#[derive(Debug, Serialize)]
struct Taken {
    result: &'static str,
    rolled_back: u64,
    checkpoint: u64,
    kept_pages: u64,
    microseconds: u64,
}

/// Refuses while a disk would not be rolled back.
fn may_take(accepted: bool) -> anyhow::Result<()> {
    let open = disks::open_for_writing()?;
    if open.is_empty() || accepted {
        return Ok(());
    }
    let names: Vec<_> = open
        .iter()
        .map(|disk| format!("{} ({})", disk.device, disk.used_as))
        .collect();
    bail!(
        "no checkpoint was taken: {} would not be rolled back with memory, and memory that remembers \
         an older disk corrupts it. Expected: no block device open for writing. Unmount or remount \
         read-only what can be, or say --i-accept-disk-mismatch",
        names.join(", ")
    )
}

/// Takes one. Comes back once more behind each roll-back, and lets everybody know.
fn take(device: &Device) -> anyhow::Result<Taken> {
    let begin = Instant::now();
    let taken = device.checkpoint()?;
    let microseconds = u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX);
    let result = if taken.rolled_back == 0 {
        "taken"
    } else {
        for wrong in told::tell(Path::new(told::FOLDER), taken.rolled_back, taken.number) {
            anstream::eprintln!("mercury: {wrong}");
        }
        "rolled-back"
    };
    Ok(Taken {
        result,
        rolled_back: taken.rolled_back,
        checkpoint: taken.number,
        kept_pages: taken.kept,
        microseconds,
    })
}

fn describe(taken: &Taken) -> String {
    match taken.rolled_back {
        0 => format!(
            "{}: checkpoint {} keeps {} pages.",
            paint(GOOD, "taken"),
            taken.checkpoint,
            taken.kept_pages
        ),
        number => format!(
            "{} to checkpoint {}, for the {number}. time. What was sent and answered since stays sent and \
             answered. See `mercury postmortem`.",
            paint(BAD, "rolled back"),
            taken.checkpoint
        ),
    }
}

/// Takes a checkpoint; says so once more after each roll-back.
pub(crate) fn checkpoint(options: &Checkpoint, output: Output) -> anyhow::Result<Exit> {
    let device = Device::open()?;
    may_take(options.i_accept_disk_mismatch)?;
    let taken = take(&device)?;
    output.answer(&taken, || describe(&taken))?;
    Ok(Exit::Success)
}

/// Goes back.
pub(crate) fn rollback(options: &Rollback, _: Output) -> anyhow::Result<Exit> {
    if !options.yes {
        bail!("everything since the checkpoint would be lost: say --yes if you mean it");
    }
    Device::open()?.rollback()?;
    Ok(Exit::Success)
}

#[derive(Debug, Serialize)]
struct Crash {
    rolled_back: u64,
    cause: String,
    cpu: u32,
    ticks: u64,
    changed_pages: u64,
    cpus: Vec<CrashCpu>,
    story: String,
}

#[derive(Debug, Serialize)]
struct CrashCpu {
    cpu: u32,
    registers: Vec<String>,
}

/// Tells of the last roll-back.
pub(crate) fn postmortem(_: &Postmortem, output: Output) -> anyhow::Result<Exit> {
    let Some(record) = Device::open()?.postmortem()? else {
        bail!(
            "there is nothing to tell: the machine was not rolled back since the store was made, or there \
             is no store (`mercury guard status`)"
        );
    };
    let crash = Crash {
        rolled_back: record.number,
        cause: record.cause.to_string(),
        cpu: record.cpu,
        ticks: record.ticks,
        changed_pages: record.changed,
        cpus: record
            .cpus
            .iter()
            .map(|cpu| CrashCpu {
                cpu: cpu.cpu,
                registers: cpu
                    .registers
                    .iter()
                    .map(|word| format!("{word:#x}"))
                    .collect(),
            })
            .collect(),
        story: record.story,
    };
    output.answer(&crash, || {
        let mut text = format!(
            "roll-back {}: {} on CPU {}; {} pages had changed\n",
            crash.rolled_back, crash.cause, crash.cpu, crash.changed_pages
        );
        for cpu in &crash.cpus {
            let _ = writeln!(text, "CPU {}: {}", cpu.cpu, cpu.registers.join(" "));
        }
        text.push_str(&crash.story);
        text
    })?;
    Ok(Exit::Success)
}

/// An empty folder of a test's.
#[cfg(test)]
fn scratch(name: &str) -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("mercury-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_documented() {
        let disk = disks::Disk {
            device: "sda1".to_owned(),
            used_as: "ext4 on /".to_owned(),
        };
        let standing = Standing {
            guarded: true,
            store_bytes: 1,
            needed_bytes: 1,
            room_pages: 1,
            kept_pages: 1,
            checkpoints: 1,
            rolled_back: 1,
            changed_pages: 1,
            uncovered: vec![disk],
            switches: vec![Switch {
                path: "/proc/sys/kernel/panic_on_oops".to_owned(),
                before: "0".to_owned(),
                now: "1".to_owned(),
            }],
        };
        crate::command::assert_documented(&serde_json::to_value(&standing).unwrap());
        assert!(render(&standing).contains("sda1 (ext4 on /)"));
        let taken = Taken {
            result: "taken",
            rolled_back: 0,
            checkpoint: 1,
            kept_pages: 2,
            microseconds: 3,
        };
        crate::command::assert_documented(&serde_json::to_value(&taken).unwrap());
        let crash = Crash {
            rolled_back: 1,
            cause: "panic".to_owned(),
            cpu: 0,
            ticks: 1,
            changed_pages: 1,
            cpus: vec![CrashCpu {
                cpu: 0,
                registers: vec!["0x1".to_owned()],
            }],
            story: String::new(),
        };
        crate::command::assert_documented(&serde_json::to_value(&crash).unwrap());
    }
}
