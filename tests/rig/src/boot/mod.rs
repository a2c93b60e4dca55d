// SPDX-License-Identifier: MIT OR Apache-2.0
//! Booting a guest in QEMU or Bochs and judging how it ended.

mod accel;
mod board;
mod bochs;
mod channel;
mod choice;
mod clock;
mod console;
mod cpu;
mod load;
mod machine;
mod monitor;
mod player;
mod request;
mod session;
mod verdict;
mod vhe;

pub(crate) use accel::{Accel, choose};
#[cfg(test)]
pub(crate) use board::names;
pub(crate) use board::{Board, Layout, asked, named};
pub(crate) use console::{read as read_log, tail, trouble};
pub(crate) use load::Load;
#[cfg(test)]
pub(crate) use machine::Machine;
pub(crate) use machine::Wishes;
pub(crate) use player::{Player, Ready};
pub(crate) use session::{Deadlines, Outcome, watch};
pub(crate) use verdict::{RIG_FAILED, Verdict};
