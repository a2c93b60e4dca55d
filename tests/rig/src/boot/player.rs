// SPDX-License-Identifier: MIT OR Apache-2.0
//! What plays the machine: QEMU, or Bochs.

use super::accel::Accel;
use super::board::Board;
use super::bochs::Bochs;
use super::load::Load;
use super::machine::{Machine, Wishes};
use crate::debian;
use crate::kernel::Kernel;
use crate::paths::Paths;
use anyhow::{Result, bail};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

/// A machine that is fully decided, and by what it is played.
#[derive(Debug)]
pub(crate) enum Player<'a> {
    /// QEMU.
    Qemu(Machine<'a>),
    /// Bochs.
    Bochs(Bochs),
}

/// A program that is about to play, and how it is talked to.
#[derive(Debug)]
pub(crate) struct Ready {
    /// The program.
    pub(crate) command: Command,
    /// Bochs: where it brings the clean channel. QEMU has it on its standard
    /// input and output, and a monitor.
    pub(crate) channel: Option<TcpListener>,
}

impl<'a> Player<'a> {
    /// Decides what the wishes leave open.
    pub(crate) fn new(
        paths: &Paths,
        board: &'a Board,
        accel: Accel,
        wishes: Wishes,
    ) -> Result<Self> {
        if accel != Accel::Bochs {
            return Ok(Self::Qemu(Machine::new(board, accel, wishes)?));
        }
        if board.arch != crate::arch::Arch::X86_64 {
            bail!("ACCEL=bochs plays a PC, and ARCH={} is none", board.arch);
        }
        Ok(Self::Bochs(Bochs::new(paths, &wishes)?))
    }

    /// One line for people.
    pub(crate) fn described(&self) -> String {
        match self {
            Self::Qemu(machine) => machine.described(),
            Self::Bochs(bochs) => bochs.described(),
        }
    }

    /// What was added or changed, in a line for people.
    pub(crate) fn adjusted(&self) -> Option<String> {
        match self {
            Self::Qemu(machine) => machine.adjusted(),
            Self::Bochs(bochs) => bochs.adjusted(),
        }
    }

    /// Where the guest finds its end of the clean channel.
    pub(crate) fn channel(&self) -> &str {
        match self {
            Self::Qemu(machine) => machine.channel(),
            Self::Bochs(bochs) => bochs.channel(),
        }
    }

    /// Modules of the kernel that the machine needs.
    pub(crate) fn board_modules(&self) -> &[String] {
        match self {
            Self::Qemu(machine) => &machine.board().linux.modules,
            Self::Bochs(_) => &[],
        }
    }

    /// The virtualisation extension of the CPU, and the machine in a word.
    pub(crate) fn plays(&self, board: &Board, accel: Accel) -> (String, String) {
        match self {
            Self::Qemu(_) => (
                board.backend.name.clone(),
                format!("{}/{}", board.name, accel.name()),
            ),
            Self::Bochs(bochs) => (
                bochs.backend().to_owned(),
                format!("{}/{}", super::bochs::NAME, accel.name()),
            ),
        }
    }

    /// Ready to start in its run directory, with what is to be loaded where
    /// that is not the kernel as Debian packs it.
    pub(crate) fn ready(
        &self,
        paths: &Paths,
        kernel: &Kernel,
        load: Option<Load>,
        run: &Path,
    ) -> Result<Ready> {
        Ok(match self {
            Self::Qemu(machine) => {
                let board = machine.board();
                let load = match load {
                    Some(load) => load,
                    None => Load::new(board, kernel)?,
                };
                let emulator = debian::emulator(paths, &board.qemu.program, board.qemu.suite)?;
                load.lay_out(board, run)?;
                Ready {
                    command: machine.command(&emulator, &load, run),
                    channel: None,
                }
            }
            Self::Bochs(bochs) => {
                let (command, channel) = bochs.command(kernel, run)?;
                Ready {
                    command,
                    channel: Some(channel),
                }
            }
        })
    }
}
