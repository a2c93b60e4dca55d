// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest: a busybox, Mercury's programs, module and image, and one script,
//! as one initramfs.
//!
//! It is put together anew for each boot; that takes a fraction of a second,
//! and nothing stale can be in it.

mod cpio;
mod libraries;
mod userland;

use crate::kernel::{Kernel, with_dependencies};
use crate::product::Products;
use anyhow::{Context, Result, bail};
use cpio::Tree;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
pub(crate) use userland::Userland;

/// What a suite may ask to find in the guest beyond the usual.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Deserialize, serde::Serialize,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Need {
    /// kexec(8) of this machine, with its libraries.
    Kexec,
    /// The kernel at /boot/vmlinuz, and this initramfs at /boot/initrd.img.
    Vmlinuz,
    /// The kernel alone, at /boot/vmlinuz.
    Kernel,
    /// stress-ng, with its libraries.
    StressNg,
    /// A file system of type ext4 in the file scratch.img, for QEMU's arguments.
    Scratch,
}

/// What the guest runs.
#[derive(Debug, Clone)]
pub(crate) enum Task {
    /// A file of this machine, with arguments.
    Script(PathBuf, Vec<String>),
    /// One shell command.
    Line(String),
    /// A shell on the console.
    Interactive,
}

/// What the guest's end of the clean channel looks like. It is a serial line,
/// so the guest cannot find out by itself.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Screen {
    /// Someone sees colours.
    pub(crate) colour: bool,
    /// Rows and columns.
    pub(crate) size: Option<(u16, u16)>,
}

/// What goes into one guest.
#[derive(Debug)]
pub(crate) struct Guest<'a> {
    /// The kernel that it boots.
    pub(crate) kernel: &'a Kernel,
    /// What was built for it.
    pub(crate) products: &'a Products,
    /// Where its programs come from.
    pub(crate) userland: &'a Userland,
    /// Its end of the clean channel.
    pub(crate) channel: &'a str,
    /// tests/guest/scripts.
    pub(crate) suites: PathBuf,
    /// What it does.
    pub(crate) task: Task,
    /// Where its output is seen.
    pub(crate) screen: Screen,
    /// A folder to be found at /with.
    pub(crate) with: Option<PathBuf>,
    /// Extras.
    pub(crate) needs: &'a [Need],
    /// The root directory that stress-ng is in, if it is needed.
    pub(crate) stress_ng: Option<PathBuf>,
    /// Modules of the kernel beyond the usual.
    pub(crate) modules: &'a [String],
    /// Modules that its board needs, which are loaded before all else.
    pub(crate) board_modules: &'a [String],
}

/// Modules every guest has, if its kernel has them: KVM (the other user of
/// SVM) and the MSR device.
const USUAL_MODULES: [&str; 6] = ["kvm", "kvm-amd", "kvm-intel", "msr", "cpuid", "rtc-cmos"];

impl Guest<'_> {
    /// Writes the initramfs.
    pub(crate) fn write(&self, to: &Path) -> Result<()> {
        let mut tree = Tree::default();
        self.userland(&mut tree)?;
        self.mercury(&mut tree)?;
        self.kernel_modules(&mut tree)?;
        self.task(&mut tree)?;
        if let Some(with) = &self.with {
            tree.copy_folder("with", with)?;
        }
        if self.needs.contains(&Need::Kexec) {
            let kexec = self
                .userland
                .kexec()
                .context("kexec is not installed on this machine: package kexec-tools")?;
            self.userland
                .copy_with_libraries(&mut tree, "sbin/kexec", &kexec)?;
        }
        if let Some(root) = &self.stress_ng {
            let program = root.join("usr/bin/stress-ng");
            libraries::with_foreign_libraries(&mut tree, "bin/stress-ng", &program, root)?;
        }
        if self.needs.contains(&Need::Kernel) {
            tree.copy("boot/vmlinuz", &self.kernel.vmlinuz(), 0o644)?;
        }
        if self.needs.contains(&Need::Vmlinuz) {
            // The inner initramfs has all but itself and the kernel.
            let inner = tree.to_bytes()?;
            tree.file("boot/initrd.img", 0o644, inner);
            tree.copy("boot/vmlinuz", &self.kernel.vmlinuz(), 0o644)?;
        }
        let file = File::create(to).with_context(|| format!("creating {}", to.display()))?;
        let mut file = BufWriter::new(file);
        tree.write(&mut file)?;
        file.flush()
            .with_context(|| format!("writing {}", to.display()))
    }

    fn userland(&self, tree: &mut Tree) -> Result<()> {
        for (folder, mode) in [
            ("proc", 0o555),
            ("sys", 0o555),
            ("dev", 0o755),
            ("tmp", 0o1777),
            ("run", 0o755),
            ("root", 0o700),
            ("mnt", 0o755),
            ("var/log", 0o755),
        ] {
            tree.directory(folder, mode);
        }
        tree.copy("bin/busybox", &self.userland.busybox()?, 0o755)?;
        for applet in userland::applets()? {
            tree.link(&format!("bin/{applet}"), "busybox");
        }
        tree.link("sbin/modprobe", "../bin/busybox");
        // For first lines like '#!/usr/bin/env sh'.
        tree.link("usr/bin", "../bin");
        tree.link("usr/sbin", "../sbin");
        tree.file(
            "etc/passwd",
            0o644,
            "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/tmp:/bin/sh\n",
        );
        tree.file("etc/group", 0o644, "root:x:0:\nuser:x:1000:\n");
        tree.file("init", 0o755, include_str!("init"));
        tree.file("bin/mercury-ask", 0o755, include_str!("ask"));
        Ok(())
    }

    fn mercury(&self, tree: &mut Tree) -> Result<()> {
        let products = self.products;
        for program in &products.programs {
            tree.file(
                &format!("bin/{}", program.name()),
                0o755,
                program.contents.clone(),
            );
        }
        for module in &products.modules {
            let at = format!(
                "lib/modules/{}/extra/{}",
                self.kernel.release,
                module.name()
            );
            tree.file(&at, 0o644, module.contents.clone());
        }
        if let Some(image) = &products.image {
            tree.file(
                &format!("lib/firmware/mercury/{}", image.name()),
                0o644,
                image.contents.clone(),
            );
        }
        if self.suites.is_dir() {
            tree.copy_folder("tests", &self.suites)?;
        }
        Ok(())
    }

    fn kernel_modules(&self, tree: &mut Tree) -> Result<()> {
        let asked: Vec<&str> = self
            .modules
            .iter()
            .chain(self.board_modules)
            .map(String::as_str)
            .collect();
        let folder = format!("lib/modules/{}", self.kernel.release);
        let mut list = String::new();
        for module in with_dependencies(self.kernel, &asked, &USUAL_MODULES)? {
            list.push_str(&format!("{}: {}\n", module.path, module.needs.join(" ")));
            tree.file(&format!("{folder}/{}", module.path), 0o644, module.contents);
        }
        tree.file(&format!("{folder}/modules.dep"), 0o644, list);
        Ok(())
    }

    fn task(&self, tree: &mut Tree) -> Result<()> {
        tree.file("mercury/channel", 0o644, format!("{}\n", self.channel));
        let modules: String = self
            .board_modules
            .iter()
            .map(|module| format!("{module}\n"))
            .collect();
        tree.file("mercury/modules", 0o644, modules);
        match &self.task {
            Task::Script(script, arguments) => {
                if !script.is_file() {
                    bail!("the script {} is not a file", script.display());
                }
                let text =
                    fs::read(script).with_context(|| format!("reading {}", script.display()))?;
                // With a first line of its own it is run by that, else by sh.
                let mode = if text.starts_with(b"#!") || text.starts_with(b"\x7fELF") {
                    0o755
                } else {
                    0o644
                };
                tree.file("mercury/script", mode, text);
                if arguments.iter().any(|argument| argument.contains('\n')) {
                    bail!(
                        "an argument of the script holds a line break, which cannot be handed to the guest"
                    );
                }
                let lines: String = arguments
                    .iter()
                    .map(|argument| format!("{argument}\n"))
                    .collect();
                tree.file("mercury/arguments", 0o644, lines);
            }
            Task::Line(line) => tree.file("mercury/script", 0o644, format!("{line}\n")),
            Task::Interactive => tree.file("mercury/interactive", 0o644, ""),
        }
        if self.screen.colour {
            tree.file("mercury/colour", 0o644, "");
        }
        if let Some((rows, columns)) = self.screen.size {
            tree.file(
                "mercury/size",
                0o644,
                format!(
                    "rows {rows} cols {columns}
"
                ),
            );
        }
        Ok(())
    }
}
