// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a wish for a guest to its verdict: what `run` and `test` have in common.

use crate::boot::{self, Deadlines, Load, Outcome, Player, Ready};
use crate::card;
use crate::command::{pass_through, shown, stdout_of};
use crate::debian;
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

/// What [`Need::Scratch`] makes, and how large it is, in MiB.
const SCRATCH: &str = "scratch.img";
const SCRATCH_MIB: u64 = 64;
/// The initramfs in the run directory; QEMU is started there.
const INITRAMFS: &str = "initramfs.cpio";

/// A guest that is wished for, all but where it runs.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    /// The machine.
    pub(crate) machine: &'a Player<'a>,
    /// The kernel that it boots.
    pub(crate) kernel: &'a Kernel,
    /// What is booted instead of the kernel with a guest made for it.
    pub(crate) card: Option<card::Boot>,
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
        let ready = self.prepare(paths, folder)?;
        let outcome = boot::watch(ready, folder, limits, show);
        // Tens of megabytes that the next run makes again.
        for made in [INITRAMFS, SCRATCH, "vmlinuz", "disk.img"] {
            let _ = fs::remove_file(folder.join(made));
        }
        let _ = fs::remove_file(folder.join("monitor.sock"));
        outcome
    }

    /// Boots in `folder` with the terminal as the guest's own.
    pub(crate) fn hand_over(&self, paths: &Paths, folder: &Path) -> Result<()> {
        pass_through(&mut self.prepare(paths, folder)?.command)
    }

    fn prepare(&self, paths: &Paths, folder: &Path) -> Result<Ready> {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("emptying {}", folder.display()))?;
        }
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        if self.needs.contains(&Need::Scratch) {
            make_scratch(&folder.join(SCRATCH))?;
        }
        let load = match &self.card {
            Some(boot) => Some(self.take_from_card(boot, folder)?),
            None => {
                self.guest(paths)?.write(&folder.join(INITRAMFS))?;
                remark(&format!(
                    "Debian's {} on {}",
                    self.kernel.release,
                    self.machine.described()
                ));
                None
            }
        };
        if let Some(text) = self.machine.adjusted() {
            remark(&text);
        }
        let ready = self.machine.ready(paths, self.kernel, load, folder)?;
        // For whoever wants to start the same QEMU by hand.
        fs::write(folder.join("qemu.txt"), shown(&ready.command) + "\n")?;
        Ok(ready)
    }

    /// What the board's loader would load, put where QEMU can load it.
    fn take_from_card(&self, boot: &card::Boot, folder: &Path) -> Result<Load> {
        let write = |name: &str, contents: &[u8]| {
            let path = folder.join(name);
            fs::write(&path, contents)
                .with_context(|| format!("writing {}", path.display()))
                .map(|()| path)
        };
        write(INITRAMFS, &boot.initramfs)?;
        remark(&format!(
            "what is on the card, on {}",
            self.machine.described()
        ));
        Ok(Load {
            vmlinuz: write("vmlinuz", &boot.kernel)?,
            device_tree: Some(boot.device_tree.clone()),
            parameters: Some(boot.parameters.clone()),
        })
    }

    fn guest(&self, paths: &Paths) -> Result<Guest<'_>> {
        let stress_ng = match self.needs.contains(&Need::StressNg) {
            true => Some(debian::stress_ng(paths, self.kernel.arch)?),
            false => None,
        };
        Ok(Guest {
            kernel: self.kernel,
            products: self.products,
            userland: self.userland,
            channel: self.machine.channel(),
            suites: paths.source("tests/guest/scripts"),
            task: self.task.clone(),
            screen: self.screen,
            with: self.with.clone(),
            needs: self.needs,
            stress_ng,
            modules: self.modules,
            board_modules: self.machine.board_modules(),
        })
    }
}

/// An empty file system on a disk of its own.
fn make_scratch(path: &Path) -> Result<()> {
    let file = fs::File::create(path).with_context(|| format!("creating {}", path.display()))?;
    file.set_len(SCRATCH_MIB << 20)?;
    stdout_of(Command::new("/sbin/mkfs.ext4").args(["-q", "-F"]).arg(path))?;
    Ok(())
}
