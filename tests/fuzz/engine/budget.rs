// SPDX-License-Identifier: MIT OR Apache-2.0
//! The time that a run may take, in seconds of a CPU.
#![expect(
    unsafe_code,
    reason = "asks the kernel for CPU time, and raises a signal"
)]

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many inputs between two looks at the clock, which is a system call.
const BETWEEN_LOOKS: u64 = 64;

static SECONDS: LazyLock<Option<f64>> = LazyLock::new(|| {
    let text = std::env::var("MERCURY_FUZZ_SECONDS").ok()?;
    text.parse().ok()
});

static INPUTS: AtomicU64 = AtomicU64::new(0);

fn used() -> f64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the structure is ours.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(failed, 0, "the CPU time of a process can be read");
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// After an input: when the time is used up, says what there is to say and asks
/// libFuzzer to end (SIGUSR1 is its signal for that; it ends without `atexit`).
pub(crate) fn end_when_used(last_words: impl Fn()) {
    let inputs = INPUTS.fetch_add(1, Ordering::Relaxed) + 1;
    let Some(seconds) = *SECONDS else { return };
    if inputs % BETWEEN_LOOKS != 0 || used() < seconds {
        return;
    }
    if SECONDS.is_some() && INPUTS.swap(0, Ordering::Relaxed) > 0 {
        println!("inputs: {inputs}");
        last_words();
        // SAFETY: libFuzzer has a handler.
        unsafe { libc::raise(libc::SIGUSR1) };
    }
}
