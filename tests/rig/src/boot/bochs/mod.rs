// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bochs: a PC that is interpreted, with Intel's VMX in it.
//!
//! Debian's Bochs is enough. It differs from QEMU in what the rig has to do:
//! there is no `-kernel`, so a disk is made ([`disk`], [`unpack`]); no monitor,
//! so nothing can be asked of it while it runs; a reset starts over, so the
//! loader ends it; and its exit status says nothing, so its log is read.
//!
//! Its clock ticks once an instruction: two runs are alike.
//!
//! Bochs can hang for good: it logs from a signal handler once a second, and
//! when the main thread is logging at that moment both wait for one lock. All
//! levels that can be are ignored, which keeps it from the lock; a stall that
//! uses no CPU is named as this.

mod disk;
mod unpack;

use super::machine::Wishes;
use crate::kernel::Kernel;
use crate::paths::Paths;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;

/// `boards/bochs-pc/bochs.toml`.
#[derive(Debug, Clone, Deserialize)]
struct Board {
    name: String,
    bochs: Settings,
}

#[derive(Debug, Clone, Deserialize)]
struct Settings {
    program: String,
    bios: String,
    vga_bios: String,
    cpu: String,
    cpus_with_svm: Vec<String>,
    smp: u32,
    memory: u32,
    instructions_per_second: u64,
    console: String,
    channel: String,
    parameters: String,
    /// More of them, by CPU model.
    parameters_of: BTreeMap<String, String>,
}

/// A machine that is fully decided.
#[derive(Debug)]
pub(crate) struct Bochs {
    board: Board,
    cpu: String,
    smp: u32,
    megabytes: u32,
    append: String,
    /// The kernel as Debian packs it.
    packed: bool,
}

/// File names in the run's folder.
const CONFIGURATION: &str = "bochsrc.txt";
const COMMANDS: &str = "bochs-commands.txt";
const LOG: &str = "bochs.log";
const DISK: &str = "disk.img";

/// The board's name.
pub(crate) const NAME: &str = "bochs-pc";

impl Bochs {
    /// Decides what the wishes leave open, and refuses what Bochs has not.
    pub(crate) fn new(paths: &Paths, wishes: &Wishes) -> Result<Self> {
        let path = paths.source("boards").join(NAME).join("bochs.toml");
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let board: Board =
            toml::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
        for (name, asked) in [
            ("MACHINE=", wishes.machine.is_some()),
            ("GIC=", wishes.gic.is_some()),
            ("INTERACTIVE=1", wishes.interactive),
            ("--qemu", !wishes.arguments.is_empty()),
        ] {
            if asked {
                bail!("{name} is QEMU's, and ACCEL=bochs is not: leave it out");
            }
        }
        let settings = &board.bochs;
        Ok(Self {
            cpu: wishes.cpu.clone().unwrap_or_else(|| settings.cpu.clone()),
            smp: wishes.smp.unwrap_or(settings.smp).max(1),
            megabytes: wishes
                .memory
                .as_deref()
                .map_or(Ok(settings.memory), megabytes)?,
            packed: wishes.append.split_whitespace().any(|word| word == "kaslr"),
            append: wishes.append.clone(),
            board,
        })
    }

    /// One line for people.
    pub(crate) fn described(&self) -> String {
        format!(
            "{}, {} CPU{} ({}), {} MiB, bochs",
            self.board.name,
            self.smp,
            if self.smp == 1 { "" } else { "s" },
            self.cpu,
            self.megabytes
        )
    }

    /// The extension that the CPU model has.
    pub(crate) fn backend(&self) -> &'static str {
        if self.board.bochs.cpus_with_svm.contains(&self.cpu) {
            "svm"
        } else {
            "vmx"
        }
    }

    /// What was changed about the kernel, in a line for people.
    pub(crate) fn adjusted(&self) -> Option<String> {
        (!self.packed).then(|| {
            "Bochs: the kernel was unpacked here, to spare the guest the decompressor (and with it KASLR; APPEND=kaslr boots it as Debian packs it)".to_owned()
        })
    }

    /// The guest's end of the clean channel.
    pub(crate) fn channel(&self) -> &str {
        &self.board.bochs.channel
    }

    /// Writes disk and configuration; gives Bochs, ready to start, and the
    /// socket on which it will bring the clean channel.
    pub(crate) fn command(&self, kernel: &Kernel, run: &Path) -> Result<(Command, TcpListener)> {
        let ready = unpack::take_apart(&kernel.vmlinuz(), self.packed)?;
        let initramfs = fs::read(run.join("initramfs.cpio")).context("reading the initramfs")?;
        let loader = unpack::loader(run)?;
        disk::write(
            &run.join(DISK),
            &loader,
            ready,
            initramfs,
            &self.parameters(),
        )?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .context("opening a port for the clean channel")?;
        let port = listener.local_addr()?.port();
        fs::write(run.join(CONFIGURATION), self.configuration(port))
            .context("writing Bochs' configuration")?;
        // Debian's Bochs has its debugger in it, which waits for this word.
        fs::write(run.join(COMMANDS), "c\n").context("writing Bochs' commands")?;
        let mut command = Command::new(&self.board.bochs.program);
        command
            .current_dir(run)
            .args(["-q", "-f", CONFIGURATION, "-rc", COMMANDS]);
        Ok((command, listener))
    }

    fn parameters(&self) -> String {
        let settings = &self.board.bochs;
        let of_model = settings.parameters_of.get(&self.cpu);
        format!(
            "console={},115200 panic=-1 {} {} {}",
            settings.console,
            settings.parameters,
            of_model.map_or("", String::as_str),
            self.append
        )
    }

    fn configuration(&self, port: u16) -> String {
        let settings = &self.board.bochs;
        // The screen is for nobody; rfb is the one that needs none.
        let mut text = String::from("display_library: rfb, options=\"timeout=0\"\n");
        // Nor is the sound: without a sound card, and in some locales (C.UTF-8), the
        // mixer's thread runs over a buffer of its own and takes Bochs with it.
        text.push_str("plugin_ctrl: speaker=0\n");
        for line in [
            format!(
                "cpu: model={}, count={}, ips={}, quantum=32, reset_on_triple_fault=0, ignore_bad_msrs=1",
                self.cpu, self.smp, settings.instructions_per_second
            ),
            format!("megs: {}", self.megabytes),
            format!("romimage: file={}", settings.bios),
            format!("vgaromimage: file={}", settings.vga_bios),
            "ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14".into(),
            format!("ata0-master: type=disk, mode=flat, path={DISK}"),
            "boot: disk".into(),
            // As fast as it goes, at a date that is always the same.
            "clock: sync=none, time0=1767225600".into(),
            "com1: enabled=1, mode=file, dev=console.log".into(),
            format!("com2: enabled=1, mode=socket-client, dev=localhost:{port}"),
            format!("log: {LOG}"),
            "panic: action=fatal".into(),
            "error: action=ignore".into(),
            "info: action=ignore".into(),
            "debug: action=ignore".into(),
            "port_e9_hack: enabled=1".into(),
        ] {
            let _ = writeln!(text, "{line}");
        }
        text
    }
}

/// `512M`, `1G` or `512` in mebibytes.
fn megabytes(text: &str) -> Result<u32> {
    let (number, unit) = match text.strip_suffix(['G', 'g']) {
        Some(number) => (number, 1024),
        None => (text.strip_suffix(['M', 'm']).unwrap_or(text), 1),
    };
    let number: u32 = number
        .parse()
        .with_context(|| format!("MEM={text} is no amount like 512M or 1G"))?;
    let megabytes = number.saturating_mul(unit);
    if !(256..=3072).contains(&megabytes) {
        bail!("MEM={text}: in Bochs 256M to 3G");
    }
    Ok(megabytes)
}

/// The CPU time that a process has used, in ticks (utime and stime of stat).
pub(crate) fn processor_time(process: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let words: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let tick = |at: usize| words.get(at)?.parse::<u64>().ok();
    Some(tick(11)? + tick(12)?)
}

/// Why Bochs ended, in the words that QEMU has for it.
pub(crate) fn why_ended(run: &Path) -> String {
    let log = fs::read(run.join(LOG)).unwrap_or_default();
    reason(&String::from_utf8_lossy(&log))
}

fn reason(log: &str) -> String {
    let panic = log
        .lines()
        .rev()
        .find_map(|line| line.split_once(">>PANIC<< "))
        .map(|(_, said)| said);
    match panic {
        Some(said) if said.contains("soft power off") => "guest-shutdown".into(),
        // From the loader: it has been started a second time.
        Some(said) if said.contains("shutdown requested") => "guest-reset".into(),
        Some(said) if said.contains("3rd (") => "guest-reset".into(),
        Some(said) => format!("Bochs: {said}"),
        None => "Bochs gave no reason".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bochs(wishes: &Wishes) -> Result<Bochs> {
        Bochs::new(&Paths::find().unwrap(), wishes)
    }

    #[test]
    fn the_cpu_decides_about_the_extension() {
        let of = |cpu: &str| {
            let wishes = Wishes {
                cpu: Some(cpu.into()),
                ..Wishes::default()
            };
            bochs(&wishes).unwrap().backend()
        };
        assert_eq!(of("corei7_haswell_4770"), "vmx");
        assert_eq!(of("ryzen"), "svm");
    }

    #[test]
    fn a_model_gets_what_it_alone_needs() {
        let of = |cpu: &str| {
            let wishes = Wishes {
                cpu: Some(cpu.into()),
                ..Wishes::default()
            };
            bochs(&wishes).unwrap().parameters()
        };
        assert!(of("ryzen").contains("clearcpuid=221"));
        assert!(!of("corei7_haswell_4770").contains("clearcpuid"));
    }

    #[test]
    fn what_is_qemus_is_refused() {
        let wishes = Wishes {
            machine: Some("q35".into()),
            ..Wishes::default()
        };
        let error = bochs(&wishes).unwrap_err().to_string();
        assert!(error.contains("MACHINE="));
    }

    #[test]
    fn a_process_has_used_some_cpu() {
        assert!(processor_time(std::process::id()).is_some());
        assert!(processor_time(u32::MAX).is_none());
    }

    #[test]
    fn memory_is_read_as_qemu_reads_it() {
        assert_eq!(megabytes("512M").unwrap(), 512);
        assert_eq!(megabytes("1G").unwrap(), 1024);
        assert!(megabytes("lots").is_err() && megabytes("8G").is_err());
    }

    #[test]
    fn ends_are_told_apart() {
        let line = |said: &str| format!("000p[ACPI  ] >>PANIC<< {said}\n001i[CPU0 ] x\n");
        assert_eq!(
            reason(&line("ACPI control: soft power off")),
            "guest-shutdown"
        );
        assert_eq!(
            reason(&line("Shutdown port: shutdown requested")),
            "guest-reset"
        );
        assert_eq!(
            reason(&line("exception(): 3rd (13) exception with no resolution")),
            "guest-reset"
        );
        assert!(reason(&line("something else")).contains("something else"));
        assert_eq!(reason(""), "Bochs gave no reason");
    }
}
