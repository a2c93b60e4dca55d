// SPDX-License-Identifier: MIT OR Apache-2.0
//! Timers and signals: on time and counted.
//!
//! Time is the machine's own (CLOCK_MONOTONIC), never that of the wall: an
//! emulated machine may run at any speed, but a periodic timer must have fired
//! exactly as often as its period fits into the time that the same machine says
//! has passed, a sleep must never end early, and queued signals must arrive
//! each exactly once.
#![expect(
    unsafe_code,
    reason = "POSIX timers and signal handlers are not in the safe wrappers"
)]

use super::Stop;
use anyhow::{Result, bail, ensure};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};
use std::io::Error;
use std::sync::atomic::{AtomicI64, AtomicPtr, AtomicU64, Ordering};
use std::time::Duration;

const PERIOD: Duration = Duration::from_millis(10);
const SLEEP: Duration = Duration::from_millis(7);
/// Later than this is not "on time" on any machine.
const LATEST: Duration = Duration::from_secs(20);
const BURST: i64 = 20;

static FIRED: AtomicU64 = AtomicU64::new(0);
static TIMER: AtomicPtr<libc::c_void> = AtomicPtr::new(std::ptr::null_mut());
static QUEUED: AtomicI64 = AtomicI64::new(0);
static QUEUED_SUM: AtomicI64 = AtomicI64::new(0);

extern "C" fn on_timer(_: i32, _: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: async-signal-safe, and the timer exists as long as its signals come.
    let more = unsafe { libc::timer_getoverrun(TIMER.load(Ordering::Relaxed)) };
    FIRED.fetch_add(1 + u64::try_from(more).unwrap_or(0), Ordering::Relaxed);
}

extern "C" fn on_queued(_: i32, information: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid record to a handler installed with SA_SIGINFO.
    let information = unsafe { &*information };
    // SAFETY: the signal was sent by sigqueue, so the value is there.
    let value = unsafe { information.si_value() };
    QUEUED.fetch_add(1, Ordering::Relaxed);
    QUEUED_SUM.fetch_add(value.sival_ptr as i64, Ordering::Relaxed);
}

type Handler = extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void);

fn install(signal: i32, handler: Handler) -> Result<()> {
    // SAFETY: all zero is a valid sigaction.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
    // SAFETY: the structure is valid and the handlers are async-signal-safe.
    let failed = unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
    ensure!(failed == 0, "sigaction: {}", Error::last_os_error());
    Ok(())
}

fn start_timer(signal: i32) -> Result<()> {
    // SAFETY: all zero is a valid sigevent.
    let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
    event.sigev_notify = libc::SIGEV_SIGNAL;
    event.sigev_signo = signal;
    let mut timer = std::ptr::null_mut();
    // SAFETY: both pointers are to live locals.
    let failed =
        unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer) };
    ensure!(failed == 0, "timer_create: {}", Error::last_os_error());
    TIMER.store(timer, Ordering::Relaxed);
    let period = *TimeSpec::from_duration(PERIOD).as_ref();
    let setting = libc::itimerspec {
        it_interval: period,
        it_value: period,
    };
    // SAFETY: the timer was just created.
    let failed = unsafe { libc::timer_settime(timer, 0, &raw const setting, std::ptr::null_mut()) };
    ensure!(failed == 0, "timer_settime: {}", Error::last_os_error());
    Ok(())
}

fn queue(signal: i32, value: i64) -> Result<()> {
    let value = libc::sigval {
        sival_ptr: value as *mut libc::c_void,
    };
    let myself = nix::unistd::getpid().as_raw();
    // SAFETY: to ourselves, handled by `on_queued`.
    let failed = unsafe { libc::sigqueue(myself, signal, value) };
    ensure!(failed == 0, "sigqueue: {}", Error::last_os_error());
    Ok(())
}

fn periods(time: Duration) -> u64 {
    (time.as_nanos() / PERIOD.as_nanos()) as u64
}

fn now() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_MONOTONIC)?.into())
}

/// Sleeps until a moment, however often signals interrupt it.
fn sleep_until(moment: Duration) -> Result<()> {
    let request = TimeSpec::from_duration(moment);
    loop {
        match clock_nanosleep(
            ClockId::CLOCK_MONOTONIC,
            ClockNanosleepFlags::TIMER_ABSTIME,
            &request,
        ) {
            Ok(_) => return Ok(()),
            Err(nix::errno::Errno::EINTR) => {}
            Err(other) => bail!("clock_nanosleep: {other}"),
        }
    }
}

pub(super) fn run(stop: Stop) -> Result<String> {
    let (timer_signal, queued_signal) = (libc::SIGRTMIN(), libc::SIGRTMIN() + 1);
    install(timer_signal, on_timer)?;
    install(queued_signal, on_queued)?;
    let start = now()?;
    start_timer(timer_signal)?;
    let started = now()?;
    let mut latest = Duration::ZERO;
    let (mut sent, mut sent_sum) = (0i64, 0i64);
    while sent == 0 || !stop.requested() {
        let moment = now()? + SLEEP;
        sleep_until(moment)?;
        let woken = now()?;
        ensure!(woken >= moment, "a sleep ended {:?} early", moment - woken);
        latest = latest.max(woken - moment);
        for _ in 0..BURST {
            sent += 1;
            sent_sum += sent;
            queue(queued_signal, sent)?;
        }
        let (seen, sum) = (
            QUEUED.load(Ordering::Relaxed),
            QUEUED_SUM.load(Ordering::Relaxed),
        );
        ensure!(
            seen == sent && sum == sent_sum,
            "{sent} signals were queued and {seen} seen; the sum of their values is {sum}, not {sent_sum}"
        );
    }
    // The CPU on which the timer ends may be slower than ours, so what was due
    // by now may take a moment; more than is due by then must not have come.
    let due = periods(now()? - started);
    let given_up = now()? + LATEST;
    while FIRED.load(Ordering::Relaxed) < due && now()? < given_up {
        sleep_until(now()? + SLEEP)?;
    }
    let fired = FIRED.load(Ordering::Relaxed);
    let possible = periods(now()? - start);
    ensure!(
        fired >= due && fired <= possible,
        "a timer of {PERIOD:?} fired {fired} times; at least {due} were due and {possible} were possible"
    );
    ensure!(
        latest < LATEST,
        "a sleep of {SLEEP:?} ended {latest:?} late"
    );
    Ok(format!(
        "{fired} timer signals, {sent} queued signals, latest wake-up {latest:?}"
    ))
}
