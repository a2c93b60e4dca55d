// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a wish for a guest to its verdict: what `run` and `test` have in common.

use crate::boot::{self, Deadlines, Machine, Outcome};
use crate::command::{pass_through, shown};
use crate::guest::{Guest, Need, Screen, Task, Userland};
use crate::kernel::Kernel;
use crate::paths::Paths;
use crate::product::Products;
use crate::terminal::remark;
use anyhow::{Context, Result};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A guest that is wished for, all but where it runs.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    /// The machine.
    pub(crate) machine: &'a Machine<'a>,
    /// The kernel that it boots.
    pub(crate) kernel: &'a Kernel,
    /// What was built for that kernel.
    pub(crate) products: &'a Products,
    /// Where the guest's programs come from.
    pub(crate) userland: &'a Userland,
    /// What the guest does.
    pub(crate) task: Task,
    /// Where its output is seen.
    pub(crate) screen: Screen,
    /// A folder to find at /with.
    pub(crate) with: Option<PathBuf>,
    /// Extras.
    pub(crate) needs: &'a [Need],
    /// Modules beyond the usual.
    pub(crate) modules: &'a [String],
}

impl Launch<'_> {
    /// Boots in `folder`, watched, with the guest's output going to `show`.
    pub(crate) fn watch(
        &self,
        paths: &Paths,
        folder: &Path,
        limits: Deadlines,
        show: &mut dyn Write,
    ) -> Result<Outcome> {
        let mut command = self.prepare(paths, folder)?;
        let outcome = boot::watch(&mut command, folder, limits, show);
        // Tens of megabytes that the next run makes again.
        let _ = fs::remove_file(folder.join("initramfs.cpio"));
        let _ = fs::remove_file(folder.join("monitor.sock"));
        outcome
    }

    /// Boots in `folder` with the terminal as the guest's own.
    pub(crate) fn hand_over(&self, paths: &Paths, folder: &Path) -> Result<()> {
        pass_through(&mut self.prepare(paths, folder)?)
    }

    fn prepare(&self, paths: &Paths, folder: &Path) -> Result<Command> {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("emptying {}", folder.display()))?;
        }
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let guest = Guest {
            kernel: self.kernel,
            products: self.products,
            userland: self.userland,
            channel: self.machine.channel(),
            suites: paths.source("tests/guest/scripts"),
            task: self.task.clone(),
            screen: self.screen,
            with: self.with.clone(),
            needs: self.needs,
            modules: self.modules,
        };
        guest.write(&folder.join("initramfs.cpio"))?;
        remark(&format!(
            "Debian's {} on {}",
            self.kernel.release,
            self.machine.described()
        ));
        if let Some(text) = self.machine.adjusted() {
            remark(&text);
        }
        let command = self.machine.command(self.kernel, folder);
        // For whoever wants to start the same QEMU by hand.
        fs::write(folder.join("qemu.txt"), shown(&command) + "\n")?;
        Ok(command)
    }
}
