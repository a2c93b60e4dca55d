// SPDX-License-Identifier: MIT OR Apache-2.0
//! The board: what kind of machine the guest gets, read from `boards/`.

use super::accel::{self, Accel};
use crate::arch::Arch;
use crate::debian::Suite;
use crate::device_tree::Rules;
use crate::paths::Paths;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::fs;
use std::path::PathBuf;

/// One folder of `boards/`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Board {
    /// The folder's name.
    pub(crate) name: String,
    /// The instruction set, as `ARCH=` names it.
    pub(crate) arch: Arch,
    /// What people call it.
    pub(crate) what: String,
    /// Its interrupt controller; the family, where `qemu.gic` has the version.
    #[cfg_attr(not(test), expect(dead_code, reason = "an axis of the test matrix"))]
    pub(crate) interrupts: String,
    /// How what boots is laid out on it.
    pub(crate) layout: Layout,
    /// What Linux wants to know there.
    #[serde(default)]
    pub(crate) linux: Linux,
    /// Files of others that its medium needs.
    #[serde(default)]
    pub(crate) firmware: Firmware,
    /// How QEMU plays it.
    pub(crate) qemu: Qemu,
    /// What Mercury uses on it.
    pub(crate) backend: Backend,
}

/// How what boots is laid out on a board's medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Layout {
    /// Nothing is: Mercury goes into an installed Linux.
    LateLaunch,
    /// As Raspberry Pi's boot ROM and firmware read it: config.txt, cmdline.txt.
    RaspberryPi,
    /// As U-Boot reads it: extlinux/extlinux.conf.
    Extlinux,
}

/// What Linux wants to know on a board.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Linux {
    /// The device tree of Debian's kernel package, where the board has to bring
    /// one.
    pub(crate) device_tree: Option<String>,
    /// The console on the real board.
    pub(crate) console: String,
    /// Modules without which it does not work.
    pub(crate) modules: Vec<String>,
}

/// Files of others that a board's medium needs.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Firmware {
    /// Without these the board does not boot from it.
    pub(crate) needed: Vec<String>,
    /// Without these it may not.
    pub(crate) wanted: Vec<String>,
    /// Where they are found, for people.
    pub(crate) r#where: String,
}

/// How QEMU plays a board.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Qemu {
    /// The program.
    pub(crate) program: String,
    /// The suite that its program comes from; none for this machine's own.
    pub(crate) suite: Option<Suite>,
    /// `-machine`.
    pub(crate) machine: String,
    /// The version of the interrupt controller, where there are several.
    pub(crate) gic: Option<u32>,
    /// `-cpu` under TCG.
    pub(crate) cpu_tcg: String,
    /// `-cpu` under KVM.
    pub(crate) cpu_kvm: String,
    /// CPU features added where the string does not name them.
    pub(crate) cpu_features: Vec<String>,
    /// CPUs on which Linux leaves EL2 by itself; none where that is no question.
    #[serde(default)]
    pub(crate) cpu_without_vhe: Vec<String>,
    /// CPUs.
    pub(crate) smp: u32,
    /// `-m`.
    pub(crate) memory: String,
    /// What of CPU, SMP, MEM and MACHINE cannot be chosen, for the model is one
    /// board.
    #[serde(default)]
    pub(crate) fixed: Vec<String>,
    /// What the machine's own serial ports are, in QEMU's order.
    #[serde(default = "console_alone")]
    pub(crate) serial: Vec<Port>,
    /// The kernel's console; none where `append` makes one.
    pub(crate) console: String,
    /// More kernel parameters that the model needs.
    #[serde(default)]
    pub(crate) append: String,
    /// The guest's end of the clean channel.
    pub(crate) channel: String,
    /// Our end of it: what makes QEMU's `clean` a port of the machine.
    #[serde(default)]
    pub(crate) channel_arguments: Vec<String>,
    /// Whether instructions can be counted with several CPUs.
    pub(crate) icount_smp: bool,
    /// More arguments.
    pub(crate) arguments: Vec<String>,
    /// What to change in the device tree for the model.
    #[serde(default)]
    pub(crate) device_tree: Rules,
}

/// What a serial port of the machine is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Port {
    /// The kernel's log.
    Console,
    /// The clean channel.
    Channel,
}

fn console_alone() -> Vec<Port> {
    vec![Port::Console]
}

impl Board {
    /// The board as this accelerator plays it: by KVM with the extension that this
    /// host hands down.
    pub(crate) fn played_by(mut self, accel: Accel) -> Self {
        if accel == Accel::Kvm
            && let Some(other) = accel::handed_down(&self.backend)
        {
            self.qemu.cpu_features.clone_from(&other.cpu_features);
            self.backend = other.clone();
        }
        self
    }

    /// Whether the board leaves no choice about this.
    pub(crate) fn fixes(&self, what: &str) -> bool {
        self.qemu.fixed.iter().any(|fixed| fixed == what)
    }
}

/// The host's side of the virtualisation extension.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Backend {
    /// The backend's name.
    pub(crate) name: String,
    /// The flag in /proc/cpuinfo; none where no KVM hands the extension down.
    pub(crate) cpu_flag: Option<String>,
    /// The file that says whether KVM nests.
    pub(crate) nested: Option<PathBuf>,
    /// CPU features that are added for this one instead of QEMU's usual ones.
    #[serde(default)]
    pub(crate) cpu_features: Vec<String>,
    /// What hosts of other makers hand down.
    #[serde(default)]
    pub(crate) others: Vec<Backend>,
}

/// The board that stands for an architecture.
pub(crate) fn for_arch(paths: &Paths, arch: Arch) -> Result<Board> {
    let board = named(paths, arch.board())?;
    if board.arch != arch {
        bail!(
            "boards/{}/board.toml says arch = \"{}\", expected \"{arch}\"",
            board.name,
            board.arch
        );
    }
    Ok(board)
}

/// The board of this name.
pub(crate) fn named(paths: &Paths, name: &str) -> Result<Board> {
    let known = names(paths)?;
    if !known.iter().any(|other| other == name) {
        bail!(
            "there is no board '{name}': expected one of {} (boards/)",
            known.join(", ")
        );
    }
    let path = paths.source("boards").join(name).join("board.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let board: Board =
        toml::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
    if board.name != name {
        bail!(
            "{} says name = \"{}\", expected its folder's",
            path.display(),
            board.name
        );
    }
    Ok(board)
}

/// The board that was asked for by name, instruction set, both or neither.
pub(crate) fn asked(paths: &Paths, name: Option<&str>, arch: Option<Arch>) -> Result<Board> {
    let Some(name) = name else {
        return for_arch(paths, arch.unwrap_or(Arch::X86_64));
    };
    let board = named(paths, name)?;
    match arch {
        Some(arch) if arch != board.arch => bail!(
            "ARCH={arch} with BOARD={name}, which is {}: leave ARCH out",
            board.arch
        ),
        _ => Ok(board),
    }
}

/// All boards, by name.
pub(crate) fn names(paths: &Paths) -> Result<Vec<String>> {
    let folder = paths.source("boards");
    let listing = fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut names: Vec<String> = listing
        .flatten()
        .filter(|entry| entry.path().join("board.toml").is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_instruction_set_has_its_board() {
        let paths = Paths::find().unwrap();
        for arch in [Arch::X86_64, Arch::Aarch64] {
            let board = for_arch(&paths, arch).unwrap();
            assert_eq!(board.name, arch.board());
            assert_eq!(board.backend.name, arch.backend());
        }
    }

    #[test]
    fn every_board_is_read_and_has_both_ports() {
        let paths = Paths::find().unwrap();
        let names = names(&paths).unwrap();
        assert!(names.len() >= 5, "{names:?}");
        for name in names {
            let board = named(&paths, &name).unwrap();
            let qemu = &board.qemu;
            assert!(qemu.serial.contains(&Port::Console), "{name}");
            assert_ne!(
                qemu.serial.contains(&Port::Channel),
                !qemu.channel_arguments.is_empty(),
                "{name}: the channel is a port of the machine or made by arguments"
            );
            let own_tree = board.linux.device_tree.is_some();
            assert_eq!(own_tree, board.layout != Layout::LateLaunch, "{name}");
        }
    }

    #[test]
    fn a_board_brings_its_instruction_set() {
        let paths = Paths::find().unwrap();
        let arch = |name, arch| asked(&paths, name, arch).map(|board| board.name);
        assert_eq!(arch(None, None).unwrap(), "qemu-q35");
        assert_eq!(arch(Some("rpi4"), None).unwrap(), "rpi4");
        assert!(arch(Some("rpi4"), Some(Arch::X86_64)).is_err());
        let refused = arch(Some("rpi5"), None).unwrap_err().to_string();
        assert!(refused.contains("rpi4") && refused.contains("zcu102"));
    }
}
