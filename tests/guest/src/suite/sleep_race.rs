// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sleep and switches at the same time: one process puts the machine to sleep
//! (as far as the devices) while another attaches and detaches without end.
//! Both want locks of each other's; neither may hang, and whatever comes first,
//! an attached machine is attached again after sleep and a native one native.

use crate::expect::{self, Counts, skip};
use crate::kernel_log::KernelLog;
use crate::machine;
use anyhow::{Context, Result, bail, ensure};
use mercury_device::{AttachOptions, Device, Error, Requirement, State};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const SLEEP: &str = "/sys/power/state";
const TEST: &str = "/sys/power/pm_test";
/// Seconds that the kernel spends in a sleep that is only a test.
const LENGTH: &str = "/sys/module/suspend/parameters/pm_test_delay";
/// Sleeps refused, because a switch was under way, before it is no chance any more.
const MOST_REFUSED: u64 = 400;
const PATIENCE: Duration = Duration::from_secs(60);

/// The body of the other process: switches until its standard input ends, with
/// short breaks, so that sleep gets its turn.
pub(crate) fn switcher() -> Result<()> {
    let device = Device::open()?;
    let mut counts = Counts::default();
    let mut turn: u64 = 0;
    while !crate::workload::Stop.requested() {
        for (outcome, name) in [
            (device.attach(&AttachOptions::default()), "attaches"),
            (device.detach(), "detaches"),
        ] {
            match outcome {
                Ok(()) => counts.add(name),
                Err(Error::Refused(refusal)) => match refusal.verdict.requirement {
                    Requirement::Idle => counts.add("busy"),
                    // The freezer wakes a process as a signal does; it is undone.
                    Requirement::Uninterrupted => counts.add("undone"),
                    Requirement::Native | Requirement::Attached => counts.add("late"),
                    _ => bail!("while the machine goes to sleep: {}", refusal.verdict),
                },
                Err(other) => return Err(other.into()),
            }
            turn += 1;
            sleep(Duration::from_millis(turn * 37 % 150));
        }
    }
    ensure!(counts.of("attaches") > 0, "not one attach: {counts}");
    println!("{counts}");
    Ok(())
}

/// One sleep; false if a switch was in its way.
fn sleeps() -> Result<bool> {
    match fs::write(SLEEP, "freeze") {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::ResourceBusy => Ok(false),
        Err(error) => Err(error).context("putting the machine to sleep"),
    }
}

fn start() -> Result<Child> {
    Command::new("/proc/self/exe")
        .arg("switcher")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting the other process")
}

/// Sleeps so many times while the other process switches.
fn race(count: u64) -> Result<u64> {
    let mut other = start()?;
    let mut refused = 0;
    for time in 1..=count {
        while !sleeps().with_context(|| format!("sleep {time}"))? {
            refused += 1;
            ensure!(refused < MOST_REFUSED, "{refused} sleeps were refused");
            sleep(Duration::from_millis(refused * 7 % 40));
        }
        if let Some(status) = other.try_wait()? {
            bail!("the other process ended early with {status}");
        }
        // At another moment of the other's work each time.
        sleep(Duration::from_millis(100 + time * 53 % 190));
    }
    drop(other.stdin.take());
    let output = other.wait_with_output()?;
    ensure!(
        output.status.success(),
        "the other process ended with {}",
        output.status
    );
    println!(
        "sleep-race: {count} sleeps, {refused} refused as a switch was under way; beside them {}",
        String::from_utf8_lossy(&output.stdout).trim()
    );
    Ok(refused)
}

/// A rope that ends while the machine sleeps is pulled afterwards.
fn rope(device: &Device) -> Result<()> {
    let rope = Some(Duration::from_secs(1));
    device.attach(&AttachOptions {
        rope,
        ..AttachOptions::default()
    })?;
    ensure!(sleeps()?, "the machine is idle and does not sleep");
    let start = Instant::now();
    while device.status()?.state != State::Native {
        ensure!(
            start.elapsed() < PATIENCE,
            "the rope was not pulled after sleep"
        );
        sleep(Duration::from_millis(50));
    }
    expect::native(device)?;
    Ok(())
}

pub(crate) fn run(count: u64) -> Result<()> {
    if !machine::read(SLEEP)?.split(' ').any(|way| way == "freeze") {
        return skip("this kernel has no s2idle");
    }
    if !Path::new(TEST).exists() {
        return skip("this kernel has no pm_test");
    }
    let device = Device::open()?;
    let mut log = KernelLog::from_here()?;
    machine::write(TEST, "devices")?;
    machine::write(LENGTH, "1")?;
    race(count)?;
    match device.status()?.state {
        State::Attached => {
            expect::detach(&device)?;
        }
        State::Native => {
            expect::native(&device)?;
        }
        other => bail!("the machine is {other} after the race"),
    }
    rope(&device)?;
    // Both ways once more, with nobody in the way.
    expect::attach(&device)?;
    ensure!(sleeps()?, "the machine is idle and does not sleep");
    expect::attached(&device).context("after sleep")?;
    expect::detach(&device)?;
    ensure!(sleeps()?, "the machine is idle and does not sleep");
    expect::native(&device).context("after sleep")?;
    machine::write(TEST, "none")?;
    log.quiet()?;
    println!("sleep-race: nothing hung, nothing was lost, status was right after every sleep");
    Ok(())
}
