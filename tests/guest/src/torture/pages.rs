// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that is mapped for a purpose: to be made huge, merged, or shared with
//! a process that is going to be killed.
#![expect(unsafe_code, reason = "mappings")]

use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::io::Error;
use std::os::fd::AsRawFd;
use std::sync::atomic::AtomicU64;

/// Words of eight bytes, zero at first, aligned to a page.
#[derive(Debug)]
pub(super) struct Pages {
    start: *mut libc::c_void,
    bytes: usize,
}

// SAFETY: an owner of memory, as a Box is.
unsafe impl Send for Pages {}

fn map(bytes: usize, flags: i32, file: i32) -> Result<Pages> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping, wherever the kernel likes it.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, file, 0) };
    ensure!(
        start != libc::MAP_FAILED,
        "mmap of {bytes} bytes: {}",
        Error::last_os_error()
    );
    Ok(Pages { start, bytes })
}

impl Pages {
    pub(super) fn new(bytes: usize) -> Result<Self> {
        map(bytes, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1)
    }

    /// One page of a file, shared with everybody who maps it.
    pub(super) fn shared(path: &str) -> Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .with_context(|| format!("opening {path}"))?;
        file.set_len(4096)?;
        map(4096, libc::MAP_SHARED, file.as_raw_fd())
    }

    pub(super) fn words(&mut self) -> &mut [u64] {
        // SAFETY: mapped, aligned, readable and writable, and borrowed with self.
        unsafe { std::slice::from_raw_parts_mut(self.start.cast(), self.bytes / 8) }
    }

    /// The same words, for several processes.
    pub(super) fn atomics(&self) -> &[AtomicU64] {
        // SAFETY: as above; every access is atomic.
        unsafe { std::slice::from_raw_parts(self.start.cast(), self.bytes / 8) }
    }

    /// `madvise` for a part; false if the kernel would not.
    pub(super) fn advise(&self, from: usize, bytes: usize, advice: i32) -> bool {
        assert!(from + bytes <= self.bytes);
        // SAFETY: inside the mapping.
        let start = unsafe { self.start.byte_add(from) };
        // SAFETY: the advice that is given here at most zeroes private memory.
        unsafe { libc::madvise(start, bytes, advice) == 0 }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: mapped by us, and nobody has a reference into it any more.
        unsafe { libc::munmap(self.start, self.bytes) };
    }
}
