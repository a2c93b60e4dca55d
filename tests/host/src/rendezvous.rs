// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module's rendezvous (`rendezvous.h`), called from Rust, its word being the
//! model checker's: so the C is seen in every interleaving.
#![expect(unsafe_code, reason = "calls C, and is called by it")]

use core::ffi::c_int;
use core::ffi::c_void;

use loom::sync::atomic::AtomicU32;
use loom::sync::atomic::Ordering;

/// `mercury_word`.
#[derive(Debug)]
pub struct Rendezvous(AtomicU32);

// SAFETY: as in c/rendezvous.c, which the same build compiles. The word is a
// `Rendezvous`, which C knows as a name only.
unsafe extern "C" {
    fn shim_visit_is_free(state: *const c_void) -> c_int;
    fn shim_visit_send(state: *const c_void);
    fn shim_visit_withdraw(state: *const c_void);
    fn shim_visit_is_done(state: *const c_void) -> c_int;
    fn shim_visit_call_off(state: *const c_void) -> c_int;
    fn shim_visit_begin(state: *const c_void) -> c_int;
    fn shim_visit_end(state: *const c_void);
}

/// The kernel's `atomic_read_acquire`.
#[unsafe(no_mangle)]
extern "C" fn mercury_word_load(word: &Rendezvous) -> c_int {
    word.0.load(Ordering::Acquire) as c_int
}

/// Its `atomic_set_release`.
#[unsafe(no_mangle)]
extern "C" fn mercury_word_store(word: &Rendezvous, value: c_int) {
    word.0.store(value as u32, Ordering::Release);
}

/// Its `atomic_cmpxchg`, which is fully ordered.
#[unsafe(no_mangle)]
extern "C" fn mercury_word_exchange(word: &Rendezvous, old: c_int, new: c_int) -> c_int {
    let (old, new) = (old as u32, new as u32);
    let both = Ordering::AcqRel;
    match word.0.compare_exchange(old, new, both, Ordering::Acquire) {
        Ok(found) | Err(found) => found as c_int,
    }
}

impl Default for Rendezvous {
    fn default() -> Self {
        Self::new()
    }
}

/// Each calls the function of the same name.
macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident = $shim:ident;)*) => {
        $($(#[$doc])*
        #[must_use]
        pub fn $name(&self) -> bool {
            // SAFETY: the word outlives the call.
            (unsafe { $shim((&raw const *self).cast()) }) != 0
        })*
    };
}

macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident = $shim:ident;)*) => {
        $($(#[$doc])*
        pub fn $name(&self) {
            // SAFETY: the word outlives the call.
            unsafe { $shim((&raw const *self).cast()) };
        })*
    };
}

impl Rendezvous {
    /// Nobody is on the way.
    #[must_use]
    pub fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    calls! {
        /// The visitor: the visit is its own.
        is_free = shim_visit_is_free;
        /// The visitor: the CPU is done.
        is_done = shim_visit_is_done;
        /// The visitor has waited long enough.
        call_off = shim_visit_call_off;
        /// The CPU has come.
        begin = shim_visit_begin;
    }

    steps! {
        /// The visitor: the visit is written.
        send = shim_visit_send;
        /// The visitor: nobody was called.
        withdraw = shim_visit_withdraw;
        /// The CPU: it is the visitor's again.
        end = shim_visit_end;
    }
}
