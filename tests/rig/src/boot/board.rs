// SPDX-License-Identifier: MIT OR Apache-2.0
//! The board: what kind of machine the guest gets, read from `boards/`.

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
    pub(crate) arch: String,
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
    /// `-cpu` under TCG.
    pub(crate) cpu_tcg: String,
    /// `-cpu` under KVM.
    pub(crate) cpu_kvm: String,
    /// CPU features added where the string does not name them.
    pub(crate) cpu_features: Vec<String>,
    /// CPUs.
    pub(crate) smp: u32,
    /// `-m`.
    pub(crate) memory: String,
    /// The kernel's console.
    pub(crate) console: String,
    /// More arguments.
    pub(crate) arguments: Vec<String>,
}

/// The host's side of the virtualisation extension.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Backend {
    /// The backend's name.
    pub(crate) name: String,
    /// The flag in /proc/cpuinfo.
    pub(crate) cpu_flag: String,
    /// The file that says whether KVM nests.
    pub(crate) nested: PathBuf,
}

/// The board that stands for an architecture.
pub(crate) fn for_arch(paths: &Paths, arch: &str) -> Result<Board> {
    let name = match arch {
        "x86_64" => "qemu-q35",
        other => bail!("ARCH={other} is not supported yet; supported: x86_64"),
    };
    let path = paths.source("boards").join(name).join("board.toml");
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
