// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signals while an attach is under way.
//!
//! Ctrl-C before the commit must undo the attach and be told apart from a
//! crash. The signal has to reach the module's call: a handler is installed
//! that does nothing but take a note, and without `SA_RESTART`, so the call
//! comes back with EINTR and the requirement `uninterrupted`. The module undoes
//! everything before it returns. After the call the old ways are restored.
//!
//! Between the last look at the note and the call lie a few instructions in
//! which a signal is noted and not seen; the attach then goes through, and the
//! tool says so. Nothing is lost by it.
#![expect(
    unsafe_code,
    reason = "signal handlers are installed through the C library"
)]

use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

static SEEN: AtomicBool = AtomicBool::new(false);

const WATCHED: [libc::c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

extern "C" fn take_note(_signal: libc::c_int) {
    SEEN.store(true, Ordering::Relaxed);
}

/// Signals are noted as long as this lives.
pub(crate) struct Watch {
    before: [libc::sigaction; WATCHED.len()],
}

impl Watch {
    /// Begins to take note of SIGINT, SIGTERM and SIGHUP. A signal that the
    /// caller made us ignore (nohup) stays ignored.
    pub(crate) fn begin() -> Self {
        let handler: extern "C" fn(libc::c_int) = take_note;
        let before = WATCHED.map(|signal| {
            let before = exchange(signal, None);
            if before.sa_sigaction != libc::SIG_IGN {
                exchange(signal, Some(&action(handler as libc::sighandler_t)));
            }
            before
        });
        Self { before }
    }

    /// Whether one came.
    pub(crate) fn seen(&self) -> bool {
        SEEN.load(Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        for (signal, before) in WATCHED.into_iter().zip(&self.before) {
            exchange(signal, Some(before));
        }
    }
}

/// An action without flags, above all without `SA_RESTART`.
fn action(handler: libc::sighandler_t) -> libc::sigaction {
    // SAFETY: a structure of integers and an optional function pointer, for
    // which all bits zero is the valid empty value.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = handler;
    action
}

/// Sets an action, if one is given, and returns the one before.
fn exchange(signal: libc::c_int, new: Option<&libc::sigaction>) -> libc::sigaction {
    let mut before = action(libc::SIG_DFL);
    // SAFETY: both pointers are to live structures or null; the handler only
    // stores to an atomic. The call cannot fail for these signals.
    unsafe {
        libc::sigaction(
            signal,
            new.map_or(ptr::null(), ptr::from_ref),
            &raw mut before,
        );
    }
    before
}

/// Lets `mercury log | head` end silently as every other program does; Rust's
/// start-up code ignores SIGPIPE.
pub(crate) fn die_of_a_closed_pipe() {
    exchange(libc::SIGPIPE, Some(&action(libc::SIG_DFL)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read};
    use std::thread;
    use std::time::Duration;

    /// Reading an empty pipe stands for the module's call: both wait, and a
    /// handler with `SA_RESTART` would make both wait on.
    #[test]
    fn a_signal_interrupts_a_call_and_is_noted() {
        let watch = Watch::begin();
        assert!(!watch.seen());
        let (mut reader, writer) = std::io::pipe().unwrap();
        // SAFETY: has no preconditions.
        let this_thread = unsafe { libc::pthread_self() };
        let sender = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            // SAFETY: that thread lives, for it joins this one; the signal's
            // handler is ours.
            unsafe { libc::pthread_kill(this_thread, libc::SIGTERM) };
            // A call that was not interrupted ends here, so that this test
            // fails and does not hang.
            thread::sleep(Duration::from_secs(1));
            drop(writer);
        });
        let error = reader.read(&mut [0]).unwrap_err();
        sender.join().unwrap();
        assert_eq!(error.kind(), ErrorKind::Interrupted);
        assert!(watch.seen());
        drop(watch);
        assert_eq!(exchange(libc::SIGTERM, None).sa_sigaction, libc::SIG_DFL);
    }
}
