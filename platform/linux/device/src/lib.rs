// SPDX-License-Identifier: MIT OR Apache-2.0
//! Safe access to `/dev/mercury`, the one way from user space to Mercury.
//!
//! The contract is the C header `platform/linux/module/mercury_abi.h`. This
//! crate holds its Rust mirror ([`abi`]), the one place where an `ioctl` is
//! made (`call`, private), and plain Rust types for what comes back, so that
//! no caller ever sees a raw pointer, a capacity or a C string.
//!
//! ```no_run
//! use mercury_device::{AttachOptions, Device, Error};
//!
//! let device = Device::open()?;
//! match device.attach(&AttachOptions::default()) {
//!     Ok(()) => println!("attached"),
//!     Err(Error::Refused(refusal)) => println!("{}", refusal.verdict),
//!     Err(other) => return Err(other),
//! }
//! println!("{}", device.status()?.state);
//! # Ok::<(), Error>(())
//! ```
//!
//! Numbers from the module are allegations: every code is an open enumeration
//! ([`Requirement::Unknown`] and friends), so that a newer module never makes
//! an older tool fail or lie, and every count is clamped to the room given.

pub mod abi;
mod call;
mod codes;
mod device;
mod error;
mod guard;
mod log;
mod proof;
mod sample;
mod status;
mod verdict;

pub use codes::{
    Cause, CpuState, ExitReason, GuardAction, Origin, Outcome, Requirement, SampleKind, State,
};
pub use device::{AttachOptions, Batch, Device, FrameRange, Info};
pub use error::{Error, Refusal};
pub use guard::{Checkpoint, CrashedCpu, Guard, GuardOptions, Postmortem};
pub use log::{Record, sentence};
pub use mercury_hal::event::{Event, Level};
pub use proof::{NullCalls, Proof, ProofVerdict};
pub use sample::Sample;
pub use status::{CpuStatus, Exits, Ledger, Memory, Stage2, Status, Totals};
pub use verdict::Verdict;
