// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one place where an `ioctl` is made.
//!
//! Two shapes exist: an argument that stands for itself ([`plain`]), and one
//! that points at room for a list ([`list`]). In the second the pointer and
//! the capacity are filled in here from a slice, so that no code outside this
//! file can hand the kernel an address.
#![expect(
    unsafe_code,
    reason = "an ioctl is a foreign function with a raw pointer"
)]

use crate::abi;
use crate::abi::{Number, Zero};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// An argument without a pointer in it.
pub(crate) trait Plain: Zero {
    /// Writes the version of the contract into it.
    fn set_version(&mut self);
}

/// An argument that points at room for entries.
pub(crate) trait List: Zero {
    /// What it points at.
    type Entry: Zero + Copy;
    /// Writes version, address and capacity into it.
    fn set_room(&mut self, address: u64, capacity: u32);
}

macro_rules! plain {
    ($($type:ident),*) => {
        $(impl Plain for abi::$type {
            fn set_version(&mut self) { self.abi = abi::VERSION; }
        })*
    };
}
plain!(
    Info, Attach, Request, Proof, NullCalls, Trace, Guard, Checkpoint
);

macro_rules! list {
    ($($type:ident of $entry:ident: $capacity:ident, $address:ident;)*) => {
        $(impl List for abi::$type {
            type Entry = abi::$entry;
            fn set_room(&mut self, address: u64, capacity: u32) {
                self.abi = abi::VERSION;
                self.$address = address;
                self.$capacity = capacity;
            }
        })*
    };
}
list! {
    Check of Verdict: capacity, verdicts;
    Status of CpuStatus: cpu_capacity, cpus;
    Frames of FrameRange: capacity, ranges;
    Log of Record: capacity, records;
    Samples of Sample: capacity, samples;
    Retell of Word: capacity, words;
}

/// Makes a call whose argument stands for itself.
pub(crate) fn plain<T: Plain>(file: &File, number: Number<T>, argument: &mut T) -> io::Result<()> {
    argument.set_version();
    // SAFETY: the argument is a live structure of the length that the number
    // encodes, without pointers, and every bit pattern is valid for it.
    let result = unsafe {
        libc::ioctl(
            file.as_raw_fd(),
            number.value() as libc::Ioctl,
            std::ptr::from_mut(argument),
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Makes a call that fills `room`; how much of it was filled stands in the
/// argument afterwards.
pub(crate) fn list<T: List>(
    file: &File,
    number: Number<T>,
    argument: &mut T,
    room: &mut [T::Entry],
) -> io::Result<()> {
    let capacity = u32::try_from(room.len()).unwrap_or(u32::MAX);
    argument.set_room(room.as_mut_ptr() as u64, capacity);
    // SAFETY: as in `plain`; the pointer in the argument is that of `room`,
    // which is borrowed mutably for the whole call, and the capacity beside
    // it is not above its length. Every bit pattern is valid for an entry.
    let result = unsafe {
        libc::ioctl(
            file.as_raw_fd(),
            number.value() as libc::Ioctl,
            std::ptr::from_mut(argument),
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
