// SPDX-License-Identifier: MIT OR Apache-2.0
//! A debugger's hardware breakpoints: a traced child writes to a watched word
//! and runs through a watched function a known number of times, and the
//! debugger must be woken exactly so often. A control register that is lost for
//! a moment loses hits; one of somebody else makes some up. How breakpoints are
//! set and told apart is the architecture's.
#![expect(unsafe_code, reason = "fork")]

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
use aarch64 as arch;
#[cfg(target_arch = "x86_64")]
use x86_64 as arch;

use super::Stop;
use anyhow::{Context, Result, bail, ensure};
use core::hint::black_box;
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill, raise};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use std::sync::atomic::{AtomicU64, Ordering};

/// Hits of each breakpoint in one round.
const HITS: u64 = 20;
/// Work between two hits, so that a round takes longer than a switch.
const BETWEEN: u64 = 3_000;

static WATCHED: AtomicU64 = AtomicU64::new(0);

/// Where the watched word and the watched function are.
fn places() -> (u64, u64) {
    (&raw const WATCHED as u64, landmark as *const () as u64)
}

#[inline(never)]
extern "C" fn landmark(value: u64) -> u64 {
    black_box(value).wrapping_mul(3)
}

/// What a trap of the child's was.
enum Hit {
    Write,
    Run,
}

fn debuggee() -> ! {
    if ptrace::traceme().is_err() || raise(Signal::SIGSTOP).is_err() {
        std::process::exit(2);
    }
    let mut value = 1u64;
    loop {
        for hit in 0..HITS {
            WATCHED.store(hit, Ordering::Relaxed);
            value = black_box(landmark as extern "C" fn(u64) -> u64)(value);
            for turn in 0..BETWEEN {
                value = black_box(value ^ turn);
            }
        }
        if raise(Signal::SIGUSR1).is_err() {
            std::process::exit(2);
        }
    }
}

/// One round: hits of the two breakpoints until the child says it is through.
fn round(child: Pid) -> Result<(u64, u64)> {
    let (mut writes, mut runs) = (0, 0);
    loop {
        ptrace::cont(child, None).context("continuing the child")?;
        match waitpid(child, None)? {
            WaitStatus::Stopped(_, Signal::SIGTRAP) => match arch::taken(child)? {
                Hit::Write => writes += 1,
                Hit::Run => runs += 1,
            },
            WaitStatus::Stopped(_, Signal::SIGUSR1) => return Ok((writes, runs)),
            other => bail!("the child came back with {other:?}"),
        }
    }
}

fn debug(child: Pid, stop: Stop) -> Result<u64> {
    match waitpid(child, None)? {
        WaitStatus::Stopped(_, Signal::SIGSTOP) => {}
        other => bail!("the child began with {other:?}"),
    }
    arch::set(child)?;
    let mut rounds = 0;
    while rounds == 0 || !stop.requested() {
        let (writes, runs) = round(child)?;
        ensure!(
            writes == HITS && runs == HITS,
            "round {rounds}: the watched word was written {HITS} times and {writes} were seen, \
             the watched function ran {HITS} times and {runs} were seen"
        );
        rounds += 1;
    }
    Ok(rounds)
}

pub(super) fn run(stop: Stop) -> Result<String> {
    // SAFETY: this process has one thread.
    match unsafe { fork() }? {
        ForkResult::Child => debuggee(),
        ForkResult::Parent { child } => {
            let outcome = debug(child, stop);
            kill(child, Signal::SIGKILL).context("ending the child")?;
            waitpid(child, None)?;
            let rounds = outcome?;
            Ok(format!(
                "{rounds} rounds, {} hits of each of two breakpoints, all seen",
                rounds * HITS
            ))
        }
    }
}
