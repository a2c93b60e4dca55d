// SPDX-License-Identifier: MIT OR Apache-2.0
//! `make debug`: gdb on the image, in a guest of QEMU's.
//!
//! The guest is a `mercury-rig run` of its own, with a gdb server on a socket; gdb has
//! the image's symbols and stops at the door (`mercury_entry`), the first instruction
//! that runs in the image's own address space. Hardware breakpoints, because before the
//! first attach there is no memory at that address to put another kind into.

use crate::arch::Arch;
use crate::arguments::Debug;
use crate::paths::Paths;
use crate::product;
use crate::terminal::remark;
use anyhow::{Context, Result, bail, ensure};
use std::env;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const SYMBOL: &str = "mercury_entry";
/// Building and booting come before the socket is there.
const PATIENCE: Duration = Duration::from_secs(900);

/// Boots and hands the terminal to gdb; gives gdb's exit code.
pub(crate) fn debug(paths: &Paths, arguments: &Debug) -> Result<u8> {
    let arch = arguments.arch;
    product::build_image(paths, arch, arguments.flavour)?;
    let symbols = product::image_elf(paths, arch, arguments.flavour);
    let folder = paths.target("debug-guest");
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let socket = folder.join("gdb.sock");
    let _ = fs::remove_file(&socket);
    let log = folder.join("output");
    let mut guest = start(arguments, &socket, &log)?;
    let ended = wait_for(&mut guest, &socket, &log).and_then(|()| {
        remark(&format!(
            "gdb stops at the door when the guest attaches; its output is in {}",
            log.display()
        ));
        gdb(arguments, arch, &symbols, &socket)
    });
    // The guest and its QEMU are a process group of their own.
    let group = format!("-{}", guest.id());
    let _ = Command::new("kill").args(["-TERM", "--", &group]).status();
    let _ = guest.wait();
    ended
}

fn start(arguments: &Debug, socket: &Path, log: &Path) -> Result<Child> {
    let output = File::create(log).with_context(|| format!("creating {}", log.display()))?;
    let chardev = format!("socket,id=gdb,path={},server=on,wait=off", socket.display());
    let mut command = Command::new(env::current_exe().context("finding this program")?);
    command
        .args(["run", "--arch", arguments.arch.name(), "--accel", "tcg"])
        .args(["--smp", &arguments.smp.to_string()])
        .args(["--flavour", arguments.flavour.name()])
        .args(["--quiet-seconds", "86400", "--limit-seconds", "604800"])
        .args(["--qemu", "-chardev", "--qemu", &chardev])
        .args(["--qemu", "-gdb", "--qemu", "chardev:gdb"])
        // Nothing runs before gdb is there.
        .args(["--qemu", "-S"]);
    if let Some(script) = &arguments.script {
        command.arg("--script").arg(script);
    }
    command
        .stdin(Stdio::null())
        .stderr(output.try_clone()?)
        .stdout(output)
        .process_group(0)
        .spawn()
        .context("starting the guest")
}

fn wait_for(guest: &mut Child, socket: &Path, log: &Path) -> Result<()> {
    let started = Instant::now();
    while !socket.exists() {
        if let Some(status) = guest.try_wait()? {
            let said = fs::read_to_string(log).unwrap_or_default();
            bail!("the guest ended with {status} before gdb came:\n{said}");
        }
        ensure!(
            started.elapsed() < PATIENCE,
            "after {PATIENCE:?} there is no {}: see {}",
            socket.display(),
            log.display()
        );
        sleep(Duration::from_millis(200));
    }
    Ok(())
}

fn gdb(arguments: &Debug, arch: Arch, symbols: &Path, socket: &Path) -> Result<u8> {
    let program = if arch.is_ours() {
        "gdb"
    } else {
        "gdb-multiarch"
    };
    let mut command = Command::new(program);
    command.args(["-q", "-nx"]);
    if arguments.batch {
        command.arg("-batch");
    }
    for line in [
        "set pagination off".to_owned(),
        "set confirm off".to_owned(),
        format!("file {}", symbols.display()),
        format!("target remote {}", socket.display()),
        format!("hbreak {SYMBOL}"),
        "continue".to_owned(),
    ] {
        command.args(["-ex", &line]);
    }
    if arguments.batch {
        for line in [
            "info symbol $pc",
            "info registers pc sp",
            "x/4i $pc",
            "kill",
        ] {
            command.args(["-ex", line]);
        }
    }
    let status = command
        .status()
        .with_context(|| format!("starting {program} ('make debug' installs it)"))?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(1))
}
