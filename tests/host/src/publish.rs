// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module's cache maintenance (`arm64/publish.h`), called from Rust.
#![expect(unsafe_code, reason = "calls C, and is called by it")]

use core::ffi::c_ulong;
use core::ffi::c_void;

/// What it asks of a CPU.
pub trait Publisher {
    /// Begins to clean the line around an address.
    fn clean(&mut self, at: u64);
    /// Waits for all cleaning.
    fn wait(&mut self);
    /// No CPU keeps older instructions.
    fn forget_instructions(&mut self, start: u64, end: u64);
}

#[repr(C)]
struct Table {
    line: c_ulong,
    clean: extern "C" fn(*mut c_void, c_ulong),
    wait: extern "C" fn(*mut c_void),
    forget_instructions: extern "C" fn(*mut c_void, c_ulong, c_ulong),
}

// SAFETY: as in c/publish.c, which the same build compiles.
unsafe extern "C" {
    fn shim_publish(publisher: *const Table, context: *mut c_void, start: c_ulong, bytes: c_ulong);
}

fn publisher_of<'a, P: Publisher>(context: *mut c_void) -> &'a mut P {
    // SAFETY: `publish` passes this pointer to a `P` that is its own for the
    // time of the call, and C calls back one at a time.
    unsafe { &mut *context.cast::<P>() }
}

extern "C" fn clean<P: Publisher>(context: *mut c_void, at: c_ulong) {
    publisher_of::<P>(context).clean(at);
}

extern "C" fn wait<P: Publisher>(context: *mut c_void) {
    publisher_of::<P>(context).wait();
}

extern "C" fn forget<P: Publisher>(context: *mut c_void, start: c_ulong, end: c_ulong) {
    publisher_of::<P>(context).forget_instructions(start, end);
}

/// `mercury_publish_with`, for memory that is about to be executed.
pub fn publish<P: Publisher>(publisher: &mut P, line: u64, start: u64, bytes: u64) {
    let table = Table {
        line,
        clean: clean::<P>,
        wait: wait::<P>,
        forget_instructions: forget::<P>,
    };
    let context = (&raw mut *publisher).cast();
    // SAFETY: both live until it returns.
    unsafe { shim_publish(&raw const table, context, start, bytes) };
}
