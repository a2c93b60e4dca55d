// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU's command line.

use super::accel::Accel;
use super::board::Board;
use super::cpu;
use crate::kernel::Kernel;
use anyhow::{Result, bail};
use std::path::Path;
use std::process::Command;

/// What the user or a row may choose about the machine.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wishes {
    /// CPUs.
    pub(crate) smp: Option<u32>,
    /// Memory, as `-m` takes it.
    pub(crate) memory: Option<String>,
    /// A whole `-cpu` string.
    pub(crate) cpu: Option<String>,
    /// The deterministic clock that counts instructions.
    pub(crate) icount: bool,
    /// More kernel parameters.
    pub(crate) append: String,
    /// More arguments for QEMU.
    pub(crate) arguments: Vec<String>,
    /// The guest's second serial port is a person at a terminal.
    pub(crate) interactive: bool,
}

/// A machine that is fully decided.
#[derive(Debug)]
pub(crate) struct Machine<'a> {
    board: &'a Board,
    accel: Accel,
    smp: u32,
    memory: String,
    cpu: String,
    wishes: Wishes,
}

impl<'a> Machine<'a> {
    /// Decides what the wishes leave open, and refuses what cannot work.
    pub(crate) fn new(board: &'a Board, accel: Accel, wishes: Wishes) -> Result<Self> {
        let smp = wishes
            .smp
            .unwrap_or(if wishes.icount { 1 } else { board.qemu.smp });
        if smp == 0 {
            bail!("SMP=0 makes no machine: expected 1 or more");
        }
        if wishes.icount && smp > 1 {
            bail!(
                "ICOUNT=1 with SMP={smp}: QEMU 7.2 hangs while the second CPU starts when it counts instructions; use SMP=1, or leave ICOUNT out"
            );
        }
        if wishes.icount && accel == Accel::Kvm {
            bail!(
                "ICOUNT=1 counts emulated instructions, and ACCEL=kvm emulates none; use ACCEL=tcg"
            );
        }
        let default = match accel {
            Accel::Tcg => &board.qemu.cpu_tcg,
            Accel::Kvm => &board.qemu.cpu_kvm,
        };
        let cpu = cpu::complete(
            wishes.cpu.as_ref().unwrap_or(default),
            &board.qemu.cpu_features,
        );
        Ok(Self {
            smp,
            memory: wishes
                .memory
                .clone()
                .unwrap_or_else(|| board.qemu.memory.clone()),
            cpu,
            board,
            accel,
            wishes,
        })
    }

    /// One line for people.
    pub(crate) fn described(&self) -> String {
        let plural = if self.smp == 1 { "" } else { "s" };
        let icount = if self.wishes.icount { ", icount" } else { "" };
        format!(
            "{}, {} CPU{plural} ({}), {}, {}{icount}",
            self.board.name,
            self.smp,
            self.cpu,
            self.memory,
            self.accel.name()
        )
    }

    /// QEMU, ready to start in its run directory: sockets and logs are named
    /// relative to it, for a socket's path may not be longer than 107 bytes.
    pub(crate) fn command(&self, kernel: &Kernel, run: &Path) -> Command {
        let qemu = &self.board.qemu;
        let mut command = Command::new(&qemu.program);
        command.current_dir(run);
        command
            .args(["-machine", &qemu.machine])
            .args(&qemu.arguments)
            .args(&self.wishes.arguments);
        command.args(["-cpu", &self.cpu]);
        command.args(["-smp", &self.smp.to_string(), "-m", &self.memory]);
        match (self.accel, self.wishes.icount) {
            (Accel::Kvm, _) => command.args(["-accel", "kvm"]),
            (Accel::Tcg, false) => command.args(["-accel", "tcg,thread=multi"]),
            // The clock, the date and the seed fixed: two runs are alike to
            // the last instruction.
            (Accel::Tcg, true) => command
                .args(["-accel", "tcg", "-icount", "shift=0,sleep=off"])
                .args(["-rtc", "base=2026-01-01,clock=vm", "-seed", "1"]),
        };
        // A reset ends QEMU; the monitor says that it was one.
        command.arg("-no-reboot");
        command.arg("-kernel").arg(kernel.vmlinuz());
        command.args(["-initrd", "initramfs.cpio", "-append", &self.parameters()]);
        command.args(["-serial", "file:console.log"]);
        let stdio = if self.wishes.interactive {
            "stdio,id=clean,mux=on,signal=off"
        } else {
            "stdio,id=clean,signal=off"
        };
        command.args(["-chardev", stdio, "-serial", "chardev:clean"]);
        command.args([
            "-chardev",
            "socket,id=monitor,path=monitor.sock,server=on,wait=off",
        ]);
        command.args(["-mon", "chardev=monitor,mode=control"]);
        command
    }

    /// The kernel's parameters: a panic resets at once, so that it ends the run.
    fn parameters(&self) -> String {
        let mut parameters = format!("console={} panic=-1", self.board.qemu.console);
        if !self.wishes.append.is_empty() {
            parameters.push(' ');
            parameters.push_str(&self.wishes.append);
        }
        parameters
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::Paths;

    fn board() -> Board {
        super::super::board::for_arch(&Paths::find().unwrap(), "x86_64").unwrap()
    }

    #[test]
    fn counting_instructions_takes_one_cpu() {
        let board = board();
        let wishes = |smp| Wishes {
            smp,
            icount: true,
            ..Wishes::default()
        };
        let refused = Machine::new(&board, Accel::Tcg, wishes(Some(2))).unwrap_err();
        assert!(refused.to_string().contains("use SMP=1"));
        assert_eq!(
            Machine::new(&board, Accel::Tcg, wishes(None)).unwrap().smp,
            1
        );
        assert!(Machine::new(&board, Accel::Kvm, wishes(None)).is_err());
    }

    #[test]
    fn a_panic_ends_the_run() {
        let board = board();
        let machine = Machine::new(&board, Accel::Tcg, Wishes::default()).unwrap();
        assert!(machine.parameters().contains("panic=-1"));
        assert!(machine.described().contains("max,+svm,+npt"));
    }
}
