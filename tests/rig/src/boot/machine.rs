// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU's command line.

use super::accel::Accel;
use super::board::{Board, Port};
use super::choice::{check_fixed, machine};
use super::load::{DEVICE_TREE, Load};
use super::{cpu, vhe};
use crate::debian::Emulator;
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
    /// A whole `-machine` string.
    pub(crate) machine: Option<String>,
    /// The version of the interrupt controller.
    pub(crate) gic: Option<u32>,
    /// Linux may keep EL2 for itself on a CPU with VHE.
    pub(crate) no_vhe_fix: bool,
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
    machine: String,
    smp: u32,
    memory: String,
    cpu: String,
    vhe_fix: Option<&'static str>,
    wishes: Wishes,
}

impl<'a> Machine<'a> {
    /// Decides what the wishes leave open, and refuses what cannot work.
    pub(crate) fn new(board: &'a Board, accel: Accel, wishes: Wishes) -> Result<Self> {
        check_fixed(board, &wishes)?;
        let one_cpu = wishes.icount && !board.qemu.icount_smp;
        let smp = wishes
            .smp
            .unwrap_or(if one_cpu { 1 } else { board.qemu.smp });
        if smp == 0 {
            bail!("SMP=0 makes no machine: expected 1 or more");
        }
        if one_cpu && smp > 1 {
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
            Accel::Tcg | Accel::Bochs => &board.qemu.cpu_tcg,
            Accel::Kvm => &board.qemu.cpu_kvm,
        };
        let cpu = cpu::complete(
            wishes.cpu.as_ref().unwrap_or(default),
            &board.qemu.cpu_features,
        );
        let vhe_fix = if wishes.no_vhe_fix {
            None
        } else {
            vhe::parameter(&cpu, &board.qemu.cpu_without_vhe, &wishes.append)
        };
        Ok(Self {
            machine: machine(board, &wishes)?,
            smp,
            memory: wishes
                .memory
                .clone()
                .unwrap_or_else(|| board.qemu.memory.clone()),
            cpu,
            vhe_fix,
            board,
            accel,
            wishes,
        })
    }

    /// One line for people.
    pub(crate) fn described(&self) -> String {
        let plural = if self.smp == 1 { "" } else { "s" };
        let icount = if self.wishes.icount { ", icount" } else { "" };
        let gic = match self.wishes.gic {
            Some(version) => format!(", GICv{version}"),
            None => String::new(),
        };
        format!(
            "{}, {} CPU{plural} ({}), {}{gic}, {}{icount}",
            self.board.name,
            self.smp,
            self.cpu,
            self.memory,
            self.accel.name()
        )
    }

    /// What was added to the kernel's parameters for the CPU's sake, in a line
    /// for people.
    pub(crate) fn adjusted(&self) -> Option<String> {
        let parameter = self.vhe_fix?;
        Some(format!(
            "this CPU has VHE, with which Linux would keep EL2 for itself: added the kernel parameter {parameter} (NOVHEFIX=1 leaves it out)"
        ))
    }

    /// Where the guest finds its end of the clean channel.
    pub(crate) fn channel(&self) -> &str {
        &self.board.qemu.channel
    }

    /// Its board.
    pub(crate) fn board(&self) -> &Board {
        self.board
    }

    /// QEMU, ready to start in its run directory: sockets and logs are named
    /// relative to it, for a socket's path may not be longer than 107 bytes.
    pub(crate) fn command(&self, emulator: &Emulator, load: &Load, run: &Path) -> Command {
        let qemu = &self.board.qemu;
        let mut command = emulator.command();
        command.current_dir(run);
        command
            .args(["-machine", &self.machine])
            .args(&qemu.arguments)
            .args(&self.wishes.arguments);
        if !self.board.fixes("cpu") {
            command.args(["-cpu", &self.cpu]);
        }
        command.args(["-smp", &self.smp.to_string(), "-m", &self.memory]);
        match (self.accel, self.wishes.icount) {
            (Accel::Kvm, _) => command.args(["-accel", "kvm"]),
            (Accel::Tcg | Accel::Bochs, false) => command.args(["-accel", "tcg,thread=multi"]),
            // The clock, the date and the seed fixed: two runs are alike to
            // the last instruction.
            (Accel::Tcg | Accel::Bochs, true) => command
                .args(["-accel", "tcg", "-icount", "shift=0,sleep=off"])
                .args(["-rtc", "base=2026-01-01,clock=vm", "-seed", "1"]),
        };
        // A reset ends QEMU; the monitor says that it was one.
        command.arg("-no-reboot");
        command.arg("-kernel").arg(&load.vmlinuz);
        command.args(["-initrd", "initramfs.cpio", "-append"]);
        command.arg(self.parameters(load.parameters.as_deref()));
        if load.device_tree.is_some() {
            command.args(["-dtb", DEVICE_TREE]);
        }
        for port in &qemu.serial {
            command.args(match port {
                Port::Console => ["-serial", "file:console.log"],
                Port::Channel => ["-serial", "chardev:clean"],
            });
        }
        let stdio = if self.wishes.interactive {
            "stdio,id=clean,mux=on,signal=off"
        } else {
            "stdio,id=clean,signal=off"
        };
        command
            .args(["-chardev", stdio])
            .args(&qemu.channel_arguments);
        command.args([
            "-chardev",
            "socket,id=monitor,path=monitor.sock,server=on,wait=off",
        ]);
        command.args(["-mon", "chardev=monitor,mode=control"]);
        command
    }

    /// The kernel's parameters: a panic resets at once, so that it ends the run.
    /// What is booted may bring parameters of its own, a console among them.
    fn parameters(&self, own: Option<&str>) -> String {
        let qemu = &self.board.qemu;
        let console = match (own, &*qemu.console) {
            (Some(own), _) => own.to_owned(),
            (None, "") => String::new(),
            (None, console) => format!("console={console}"),
        };
        let parts = [
            &*console,
            "panic=-1",
            &*qemu.append,
            self.vhe_fix.unwrap_or_default(),
            &*self.wishes.append,
        ];
        let said: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        said.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Arch;
    use crate::paths::Paths;

    fn of(arch: Arch) -> Board {
        super::super::board::for_arch(&Paths::find().unwrap(), arch).unwrap()
    }

    fn board() -> Board {
        of(Arch::X86_64)
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
        assert!(machine.parameters(None).contains("panic=-1"));
        assert!(machine.described().contains("max,+svm,+npt"));
    }
    #[test]
    fn the_interrupt_controller_can_be_chosen_where_there_is_one() {
        let wishes = |machine: Option<&str>, gic| Wishes {
            machine: machine.map(str::to_owned),
            gic,
            ..Wishes::default()
        };
        let arm = of(Arch::Aarch64);
        let said = |wished: &Wishes| machine(&arm, wished);
        assert!(
            said(&wishes(None, None))
                .unwrap()
                .ends_with(",gic-version=3")
        );
        assert!(
            said(&wishes(None, Some(2)))
                .unwrap()
                .ends_with(",gic-version=2")
        );
        assert_eq!(
            said(&wishes(Some("virt,gic-version=2"), None)).unwrap(),
            "virt,gic-version=2"
        );
        assert!(said(&wishes(Some("virt,gic-version=2"), Some(3))).is_err());
        assert!(machine(&board(), &wishes(None, Some(3))).is_err());
        assert_eq!(machine(&board(), &wishes(None, None)).unwrap(), "q35");
    }

    #[test]
    fn cpus_with_vhe_get_the_parameter_unless_forbidden() {
        let board = of(Arch::Aarch64);
        let parameters = |no_vhe_fix| {
            let wishes = Wishes {
                cpu: Some("neoverse-n1".into()),
                append: "quiet".into(),
                no_vhe_fix,
                ..Wishes::default()
            };
            Machine::new(&board, Accel::Tcg, wishes)
                .unwrap()
                .parameters(None)
        };
        assert!(parameters(false).ends_with("kvm-arm.mode=nvhe quiet"));
        assert!(!parameters(true).contains("nvhe"));
    }

    #[test]
    fn counting_instructions_keeps_the_cpus_where_qemu_can() {
        let board = of(Arch::Aarch64);
        let wishes = Wishes {
            icount: true,
            ..Wishes::default()
        };
        assert_eq!(Machine::new(&board, Accel::Tcg, wishes).unwrap().smp, 2);
    }

    #[test]
    fn a_board_is_what_it_is() {
        let board = super::super::board::named(&Paths::find().unwrap(), "raspi3b").unwrap();
        let made = |smp, memory: Option<&str>| {
            let wishes = Wishes {
                smp,
                memory: memory.map(str::to_owned),
                ..Wishes::default()
            };
            Machine::new(&board, Accel::Tcg, wishes)
        };
        assert_eq!(made(None, None).unwrap().smp, 4);
        assert!(made(Some(4), Some("1G")).is_ok());
        let refused = made(Some(2), None).unwrap_err().to_string();
        assert!(refused.contains("SMP=2") && refused.contains("raspi3b"));
        assert!(made(None, Some("2G")).is_err());
    }

    #[test]
    fn a_board_without_a_console_names_none() {
        let board = super::super::board::named(&Paths::find().unwrap(), "rpi4").unwrap();
        let machine = Machine::new(&board, Accel::Tcg, Wishes::default()).unwrap();
        assert!(machine.parameters(None).starts_with("panic=-1 earlycon="));
        let own = machine.parameters(Some("console=x panic=10"));
        assert!(own.starts_with("console=x panic=10 panic=-1 earlycon="));
    }
}
