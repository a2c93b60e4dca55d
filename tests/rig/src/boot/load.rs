// SPDX-License-Identifier: MIT OR Apache-2.0
//! What QEMU loads in place of a board's firmware: the kernel and, where the
//! board brings one, its device tree, changed for the model.

use super::board::Board;
use crate::device_tree::DeviceTree;
use crate::kernel::Kernel;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// The device tree's file in the run directory.
pub(super) const DEVICE_TREE: &str = "board.dtb";

/// What is booted, beside the initramfs in the run directory.
#[derive(Debug)]
pub(crate) struct Load {
    /// The kernel.
    pub(crate) vmlinuz: PathBuf,
    /// The device tree: where it is from, and itself.
    pub(crate) device_tree: Option<(String, Vec<u8>)>,
    /// The parameters that it brings.
    pub(crate) parameters: Option<String>,
}

impl Load {
    /// Debian's kernel on this board.
    pub(crate) fn new(board: &Board, kernel: &Kernel) -> Result<Self> {
        let device_tree = match &board.linux.device_tree {
            None => None,
            Some(name) => {
                let path = kernel.device_tree(name)?;
                let bytes =
                    fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
                Some((path.display().to_string(), bytes))
            }
        };
        Ok(Self {
            vmlinuz: kernel.vmlinuz(),
            device_tree,
            parameters: None,
        })
    }

    /// Puts the device tree into the run directory, where the board brings one.
    pub(crate) fn lay_out(&self, board: &Board, run: &Path) -> Result<()> {
        let Some((name, bytes)) = &self.device_tree else {
            return Ok(());
        };
        let said = || format!("changing {name} for QEMU's model");
        let mut tree = DeviceTree::parse(bytes).with_context(said)?;
        board.qemu.device_tree.apply(&mut tree).with_context(said)?;
        let to = run.join(DEVICE_TREE);
        fs::write(&to, tree.flatten().with_context(said)?)
            .with_context(|| format!("writing {}", to.display()))
    }
}
