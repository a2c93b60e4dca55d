// SPDX-License-Identifier: MIT OR Apache-2.0
//! A debugger's hardware breakpoints: a traced child writes to a watched word
//! and runs through a watched function a known number of times, and the
//! debugger must be woken exactly so often. A DR7 that is lost for a moment
//! loses hits; a DR7 of somebody else makes some up.
#![expect(unsafe_code, reason = "fork and ptrace")]

use super::Stop;
use anyhow::{Context, Result, bail, ensure};
use core::hint::black_box;
use core::mem::offset_of;
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

#[inline(never)]
extern "C" fn landmark(value: u64) -> u64 {
    black_box(value).wrapping_mul(3)
}

/// DR0: writes of 8 bytes; DR1: execution. Both local, DR7 as the APM has it.
const CONTROL: u64 = 1 | 1 << 2 | 0b01 << 16 | 0b10 << 18;

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

fn debug_register(number: usize) -> *mut libc::c_void {
    (offset_of!(libc::user, u_debugreg) + 8 * number) as *mut libc::c_void
}

fn write_register(child: Pid, number: usize, value: u64) -> Result<()> {
    ptrace::write_user(child, debug_register(number), value as libc::c_long)
        .with_context(|| format!("writing DR{number} of the child"))
}

/// One round: hits of the two breakpoints until the child says it is through.
fn round(child: Pid) -> Result<(u64, u64)> {
    let (mut writes, mut runs) = (0, 0);
    loop {
        ptrace::cont(child, None).context("continuing the child")?;
        match waitpid(child, None)? {
            WaitStatus::Stopped(_, Signal::SIGTRAP) => {
                let status =
                    ptrace::read_user(child, debug_register(6)).context("reading DR6")? as u64;
                writes += status & 1;
                runs += status >> 1 & 1;
                ensure!(
                    status & 3 != 0,
                    "a trap that is no breakpoint: DR6 {status:#x}"
                );
                write_register(child, 6, 0)?;
            }
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
    write_register(child, 0, &raw const WATCHED as u64)?;
    write_register(child, 1, landmark as *const () as u64)?;
    write_register(child, 7, CONTROL)?;
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
