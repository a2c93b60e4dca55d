// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module's walk (`walk.h`), called from Rust.
//!
//! [`Walk`] is `struct mercury_walk` as a trait. A method that panics ends the
//! test program (a panic cannot pass through C), so tests look afterwards.
#![expect(unsafe_code, reason = "calls C, and is called by it")]

use core::ffi::c_int;
use core::ffi::c_void;

/// What the walk asks of the machine.
pub trait Walk {
    /// The first CPU after `cpu` (-1: the first), or a negative number.
    fn next(&mut self, cpu: i32) -> i32;
    /// Takes a CPU in; 0 or an error number.
    fn enter(&mut self, cpu: i32) -> i32;
    /// Takes a CPU out again; 0 or an error number.
    fn leave(&mut self, cpu: i32) -> i32;
    /// The commit; 0 or an error number.
    fn seal(&mut self, count: i32) -> i32;
    /// Whether the user has thought better of it.
    fn interrupted(&mut self) -> bool;
}

/// How a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Sealed.
    Done,
    /// This CPU could not enter, with this error.
    Entry(i32, i32),
    /// The seal was refused, with this error.
    Seal(i32),
    /// The user thought better of it.
    Interrupted,
    /// Whatever it was, so many CPUs could not be taken out again.
    Stuck(i32),
}

#[repr(C)]
struct Table {
    next: extern "C" fn(*mut c_void, c_int) -> c_int,
    enter: extern "C" fn(*mut c_void, c_int) -> c_int,
    leave: extern "C" fn(*mut c_void, c_int) -> c_int,
    seal: extern "C" fn(*mut c_void, c_int) -> c_int,
    interrupted: extern "C" fn(*mut c_void) -> c_int,
}

#[repr(C)]
#[derive(Default)]
struct WalkResult {
    stop: c_int,
    cpu: c_int,
    error: c_int,
    stuck: c_int,
}

// SAFETY: as in c/shim.c, which the same build compiles.
unsafe extern "C" {
    safe fn shim_walk_result_bytes() -> u32;
    fn shim_walk_in(walk: *const Table, context: *mut c_void, result: *mut WalkResult);
}

fn walk_of<'a, W: Walk>(context: *mut c_void) -> &'a mut W {
    // SAFETY: `walk_in` passes this pointer to a `W` that is its own for the
    // time of the call, and C calls back one at a time.
    unsafe { &mut *context.cast::<W>() }
}

extern "C" fn next<W: Walk>(context: *mut c_void, cpu: c_int) -> c_int {
    walk_of::<W>(context).next(cpu)
}

extern "C" fn enter<W: Walk>(context: *mut c_void, cpu: c_int) -> c_int {
    walk_of::<W>(context).enter(cpu)
}

extern "C" fn leave<W: Walk>(context: *mut c_void, cpu: c_int) -> c_int {
    walk_of::<W>(context).leave(cpu)
}

extern "C" fn seal<W: Walk>(context: *mut c_void, count: c_int) -> c_int {
    walk_of::<W>(context).seal(count)
}

extern "C" fn interrupted<W: Walk>(context: *mut c_void) -> c_int {
    walk_of::<W>(context).interrupted().into()
}

/// `mercury_walk_in`: takes every CPU in, or none.
///
/// # Panics
/// On an end that `walk.h` does not know.
pub fn walk_in<W: Walk>(walk: &mut W) -> Stop {
    let table = Table {
        next: next::<W>,
        enter: enter::<W>,
        leave: leave::<W>,
        seal: seal::<W>,
        interrupted: interrupted::<W>,
    };
    assert_eq!(shim_walk_result_bytes() as usize, size_of::<WalkResult>());
    let mut result = WalkResult::default();
    let context = (&raw mut *walk).cast();
    // SAFETY: all three live until it returns.
    unsafe { shim_walk_in(&raw const table, context, &raw mut result) };
    if result.stuck != 0 {
        return Stop::Stuck(result.stuck);
    }
    match result.stop {
        0 => Stop::Done,
        1 => Stop::Entry(result.cpu, result.error),
        2 => Stop::Seal(result.error),
        3 => Stop::Interrupted,
        other => panic!("the walk ended with {other}"),
    }
}
