// SPDX-License-Identifier: MIT OR Apache-2.0
//! kexec: something is loaded to be started one day, and unloaded.
//!
//! It is a piece of memory and no kernel, by kexec_load(2) itself: nobody starts
//! it (the suites `kexec-e` and `crash` start real ones), and kexec's own program
//! sums up a whole kernel each time, which costs an emulator half a minute.
#![expect(unsafe_code, reason = "kexec_load is not in the safe wrappers")]

use super::{Act, Disturbance, Place, Prepared, cannot, ready};
use anyhow::{Context, Result};
use fastrand::Rng;
use nix::errno::Errno;

/// What is loaded, in bytes.
const SIZE: usize = 4 << 20;
/// Where it would be started, a physical address. Linux does not ask whether
/// there is memory.
const TO: usize = 0x5000_0000;

/// struct kexec_segment of linux/kexec.h.
#[repr(C)]
struct Segment {
    buffer: *const u8,
    buffer_size: usize,
    memory: usize,
    memory_size: usize,
}

struct NextKernel {
    contents: Vec<u8>,
}

/// Loads segments; none unloads what is loaded.
fn kexec_load(segments: &[Segment]) -> nix::Result<()> {
    // SAFETY: the kernel reads the segments and their buffers, which their
    // owner keeps for as long as this call lasts.
    let result = unsafe {
        libc::syscall(
            libc::SYS_kexec_load,
            TO,
            segments.len(),
            segments.as_ptr(),
            0,
        )
    };
    Errno::result(result).map(drop)
}

impl NextKernel {
    fn load(&self) -> nix::Result<()> {
        kexec_load(&[Segment {
            buffer: self.contents.as_ptr(),
            buffer_size: self.contents.len(),
            memory: TO,
            memory_size: self.contents.len(),
        }])
    }
}

impl Disturbance for NextKernel {
    fn act(&mut self, _: &mut Rng) -> Result<Act> {
        match self.load() {
            Ok(()) => {}
            Err(Errno::ENOMEM | Errno::EBUSY) => return Ok(Act::Refused),
            Err(error) => return Err(error).context("kexec_load"),
        }
        kexec_load(&[]).context("kexec_load of nothing, which unloads")?;
        Ok(Act::Done)
    }
}

pub(super) fn prepare(_: &Place) -> Prepared {
    match kexec_load(&[]) {
        Ok(()) => ready(NextKernel {
            contents: vec![0x5a; SIZE],
        }),
        Err(error) => cannot(format!("kexec_load says {error}")),
    }
}
