// SPDX-License-Identifier: MIT OR Apache-2.0
//! The CPU's performance counters, where there are any: a counter of this
//! program's cycles, pinned, must run whenever the program does, never go back
//! and never be given to anybody else. A hypervisor that traps the counters,
//! or keeps them for itself, stops it.
#![expect(unsafe_code, reason = "perf_event_open has no safe wrapper")]

use super::Stop;
use anyhow::{Context, Result, bail, ensure};
use core::hint::black_box;
use std::fs::File;
use std::io::{Error, Read};
use std::os::fd::FromRawFd;

/// The first version of `struct perf_event_attr`.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup: u32,
    breakpoint_type: u32,
    config1: u64,
}
/// Total time enabled, total time running.
const FORMAT: u64 = 1 | 2;
const PINNED: u64 = 1 << 2;
const EXCLUDE_KERNEL: u64 = 1 << 5;
const EXCLUDE_HYPERVISOR: u64 = 1 << 6;
const TURNS: u64 = 200_000;

/// PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES: both are 0. `None`: the
/// machine has no such counter.
fn open() -> Result<Option<File>> {
    let attributes = Attributes {
        size: size_of::<Attributes>() as u32,
        read_format: FORMAT,
        flags: PINNED | EXCLUDE_KERNEL | EXCLUDE_HYPERVISOR,
        ..Attributes::default()
    };
    // SAFETY: the structure is as long as it says; this thread, any CPU.
    let descriptor = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attributes,
            0,
            -1,
            -1,
            0,
        )
    };
    if descriptor < 0 {
        let error = Error::last_os_error();
        return match error.raw_os_error() {
            Some(libc::ENOENT | libc::EOPNOTSUPP | libc::ENODEV | libc::ENOSYS) => Ok(None),
            _ => bail!("perf_event_open: {error}"),
        };
    }
    // SAFETY: just made, and nobody else's.
    Ok(Some(unsafe { File::from_raw_fd(descriptor as i32) }))
}

/// Value, time enabled, time running; `None` where a pinned counter was thrown out.
fn read(counter: &mut File) -> Result<Option<[u64; 3]>> {
    let mut bytes = [0; 24];
    let length = counter.read(&mut bytes).context("reading the counter")?;
    if length == 0 {
        return Ok(None);
    }
    ensure!(length == 24, "the counter gave {length} bytes");
    let mut words = [0; 3];
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_ne_bytes(bytes.try_into().unwrap_or_default());
    }
    Ok(Some(words))
}

pub(super) fn run(stop: Stop) -> Result<String> {
    let Some(mut counter) = open()? else {
        return stop.nothing_to_do("no performance counters on this machine");
    };
    let (mut rounds, mut last) = (0u64, 0u64);
    while rounds < 2 || !stop.requested() {
        for turn in 0..TURNS {
            black_box(turn);
        }
        let Some([value, enabled, running]) = read(&mut counter)? else {
            bail!("round {rounds}: the pinned counter was taken from its CPU");
        };
        ensure!(
            value > last,
            "round {rounds}: the counter of cycles stands at {value} after {last}"
        );
        ensure!(
            running == enabled,
            "round {rounds}: the counter ran for {running} of {enabled} ns"
        );
        last = value;
        rounds += 1;
    }
    Ok(format!("{rounds} rounds, {last} cycles counted"))
}
