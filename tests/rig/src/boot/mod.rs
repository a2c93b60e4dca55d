// SPDX-License-Identifier: MIT OR Apache-2.0
//! Booting a guest in QEMU and judging how it ended.

mod accel;
mod board;
mod channel;
mod clock;
mod console;
mod cpu;
mod machine;
mod monitor;
mod request;
mod session;
mod verdict;
mod vhe;

pub(crate) use accel::{Accel, choose};
pub(crate) use board::for_arch;
pub(crate) use console::{read as read_log, tail, trouble};
pub(crate) use machine::{Machine, Wishes};
pub(crate) use session::{Deadlines, Outcome, watch};
pub(crate) use verdict::{RIG_FAILED, Verdict};
