// SPDX-License-Identifier: MIT OR Apache-2.0
//! The board: what kind of machine the guest gets, read from `boards/`.

use crate::arch::Arch;
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
    /// How QEMU plays it.
    pub(crate) qemu: Qemu,
    /// What Mercury uses on it.
    pub(crate) backend: Backend,
}

/// How QEMU plays a board.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Qemu {
    /// The program.
    pub(crate) program: String,
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
    /// The kernel's console.
    pub(crate) console: String,
    /// The guest's end of the clean channel.
    pub(crate) channel: String,
    /// Our end of it: what makes QEMU's `clean` a port of the machine.
    pub(crate) channel_arguments: Vec<String>,
    /// Whether instructions can be counted with several CPUs.
    pub(crate) icount_smp: bool,
    /// More arguments.
    pub(crate) arguments: Vec<String>,
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
}

/// The board that stands for an architecture.
pub(crate) fn for_arch(paths: &Paths, arch: Arch) -> Result<Board> {
    let path = paths.source("boards").join(arch.board()).join("board.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let board: Board =
        toml::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
    if board.arch != arch {
        bail!(
            "{} says arch = \"{}\", expected \"{arch}\"",
            path.display(),
            board.arch
        );
    }
    Ok(board)
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
}
