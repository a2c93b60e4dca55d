// SPDX-License-Identifier: MIT OR Apache-2.0
//! The workload: several processes, each of which would notice if something of
//! its own was disturbed.
//!
//! A worker is this program again, as a process of its own. It works until its
//! standard input ends (which also happens when its parent dies), then prints
//! one line of what it did and ends with 0; if it saw something wrong it ends
//! at once with 1 and a line that says what. Whoever started the workload reads
//! all the lines at the end. A worker that did nothing has shown nothing: that
//! is an error too.

mod breakpoint;
mod churn;
mod clocks;
#[cfg(target_arch = "aarch64")]
mod compat;
#[cfg(target_arch = "x86_64")]
pub(crate) mod ldt;
#[cfg(target_arch = "aarch64")]
mod mte;
#[cfg(target_arch = "aarch64")]
mod pauth;
mod perf;
mod pipes;
mod pong;
mod registers;
mod timers;

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Whether this worker has been asked to stop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stop;

impl Stop {
    pub(crate) fn requested(self) -> bool {
        let input = std::io::stdin();
        let mut waiting = [PollFd::new(input.as_fd(), PollFlags::POLLIN)];
        // Input that ended counts as readable, and so does an error; a signal
        // that came meanwhile does not.
        !matches!(
            poll(&mut waiting, PollTimeout::ZERO),
            Ok(0) | Err(Errno::EINTR)
        )
    }
}

impl Stop {
    /// For a worker that this machine has no work for: waits for the end.
    fn nothing_to_do(self, why: &str) -> Report {
        while !self.requested() {
            sleep(Duration::from_millis(50));
        }
        Ok(why.to_owned())
    }
}

/// What a worker says at its end.
type Report = Result<String>;
type Work = fn(Stop) -> Report;

/// What every machine has, and what is of one architecture only.
const WORKERS: &[(&str, Work)] = &[
    ("churn-a", churn::run),
    ("churn-b", churn::run),
    ("registers", registers::run),
    ("timers", timers::run),
    ("pipes", pipes::run),
    ("breakpoint", breakpoint::run),
    ("clocks", clocks::run),
    ("ping-pong", pong::run),
    ("perf", perf::run),
    #[cfg(target_arch = "x86_64")]
    ("ldt", ldt::run),
    #[cfg(target_arch = "aarch64")]
    ("pauth", pauth::run),
    #[cfg(target_arch = "aarch64")]
    ("mte", mte::run),
    #[cfg(target_arch = "aarch64")]
    ("compat", compat::run),
];

/// The body of one worker process.
pub(crate) fn worker(name: &str) -> Result<()> {
    if name == "echo" {
        return pipes::echo();
    }
    let (_, work) = WORKERS
        .iter()
        .find(|(known, _)| *known == name)
        .with_context(|| format!("there is no worker '{name}'"))?;
    match work(Stop) {
        Ok(did) => {
            println!("{did}");
            Ok(())
        }
        // On the pipe to the parent, which will pass it on.
        Err(error) => {
            println!("{error:#}");
            std::io::stdout().flush()?;
            std::process::exit(1)
        }
    }
}

/// A running workload. Dropped without [`Workload::finish`] it stops unjudged.
#[derive(Debug)]
pub(crate) struct Workload {
    workers: Vec<(&'static str, Child)>,
    started: Instant,
}

impl Workload {
    /// Starts all workers, or only those named.
    pub(crate) fn start(only: &[String]) -> Result<Self> {
        let mut workers = Vec::new();
        for name in only {
            ensure!(
                WORKERS.iter().any(|(known, _)| known == name),
                "there is no worker '{name}'"
            );
        }
        for &(name, _) in WORKERS {
            if !only.is_empty() && !only.iter().any(|asked| asked.as_str() == name) {
                continue;
            }
            let child = Command::new("/proc/self/exe")
                .args(["worker", name])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .with_context(|| format!("starting the worker {name}"))?;
            workers.push((name, child));
        }
        Ok(Self {
            workers,
            started: Instant::now(),
        })
    }

    /// Fails as soon as one worker has: it says why at once.
    pub(crate) fn still_right(&mut self) -> Result<()> {
        for (name, child) in &mut self.workers {
            if let Some(status) = child.try_wait()? {
                let mut said = String::new();
                if let Some(output) = &mut child.stdout {
                    output.read_to_string(&mut said)?;
                }
                bail!("worker {name} ended early with {status}: {}", said.trim());
            }
        }
        Ok(())
    }

    /// Stops all workers and judges their reports.
    pub(crate) fn finish(mut self) -> Result<Vec<String>> {
        for (_, child) in &mut self.workers {
            drop(child.stdin.take());
        }
        let mut reports = Vec::new();
        let mut wrong = Vec::new();
        for (name, mut child) in self.workers.drain(..) {
            let mut said = String::new();
            if let Some(output) = &mut child.stdout {
                output.read_to_string(&mut said)?;
            }
            let status = child.wait()?;
            let line = format!("{name}: {}", said.trim());
            if status.success() && !said.trim().is_empty() {
                reports.push(line);
            } else {
                wrong.push(format!("{line} ({status})"));
            }
        }
        ensure!(
            wrong.is_empty(),
            "the workload was disturbed: {}",
            wrong.join("; ")
        );
        Ok(reports)
    }

    /// How long it has been running.
    pub(crate) fn age(&self) -> Duration {
        self.started.elapsed()
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        for (_, child) in &mut self.workers {
            drop(child.stdin.take());
            // Best effort: somebody else's error is being reported already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The suite: the workload alone.
pub(crate) fn suite(time: Duration, until_file: Option<&Path>, only: &[String]) -> Result<()> {
    let mut workload = Workload::start(only)?;
    loop {
        sleep(Duration::from_millis(100));
        workload.still_right()?;
        match until_file {
            Some(file) if file.exists() => break,
            None if workload.age() >= time => break,
            _ => {}
        }
    }
    let age = workload.age();
    for report in workload.finish()? {
        println!("{report}");
    }
    println!("workload: right after {:.1} s", age.as_secs_f64());
    Ok(())
}
