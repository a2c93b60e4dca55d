// SPDX-License-Identifier: MIT OR Apache-2.0
//! The packages in a Debian that systemd boots from a disk: `make test-packages`.
//!
//! A root made by mmdebstrap (kept in the cache; needs root, for it has files of many
//! owners), with the packages and `tests/packages/system.sh` in it, becomes an ext4 disk,
//! and is booted once for each part of that script: everything that an administrator
//! does; a boot with the unit enabled; one on a CPU without SVM; one that wants signed
//! modules. The script says what it found on the second serial port. DKMS compiles in
//! emulation: allow an hour.

use crate::arch::Arch;
use crate::command::{shown, stdout_of};
use crate::paths::Paths;
use crate::terminal::{Work, remark};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const PACKAGES: &str = "systemd-sysv,udev,kmod,dbus,initramfs-tools,dkms,\
     linux-image-amd64,linux-headers-amd64,linux-image-cloud-amd64,linux-headers-cloud-amd64";
const WITH_SVM: &str = "max,+svm,+npt,-la57";
/// CPU and more kernel parameters of each boot.
const BOOTS: [(&str, &str); 4] = [
    (WITH_SVM, ""),
    (WITH_SVM, ""),
    ("qemu64,-svm", ""),
    (WITH_SVM, "module.sig_enforce=1"),
];
/// The longest that one boot may take.
const LIMIT: Duration = Duration::from_secs(5400);
const UNIT: &str = "[Unit]\nAfter=multi-user.target mercury.service\n\
     [Service]\nType=oneshot\nTimeoutStartSec=infinity\nExecStart=/usr/local/sbin/mercury-system\n\
     StandardOutput=file:/dev/ttyS1\nStandardError=file:/dev/ttyS1\n";
const TIMER: &str = "[Timer]\nOnBootSec=1\n";

/// Runs all boots; an error names what failed.
pub(crate) fn run(paths: &Paths) -> Result<()> {
    let packages = super::build(paths, Arch::X86_64)?;
    let root = root(paths)?;
    let folder = paths.target("deb").join("system");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    furnish(paths, &root, &packages)?;
    let disk = folder.join("disk.img");
    fs::File::create(&disk)?.set_len(4 << 30)?;
    let mut make = Command::new("mke2fs");
    stdout_of(make.args(["-q", "-t", "ext4", "-d"]).arg(&root).arg(&disk))?;
    let mut failures = Vec::new();
    for (number, (cpu, append)) in (1..).zip(BOOTS) {
        let said = boot(&root, &folder, number, cpu, append)?;
        print!("{said}");
        failures.extend(
            said.lines()
                .filter(|line| line.starts_with("FAILED"))
                .map(str::to_owned),
        );
        ensure!(
            said.lines().any(|line| line == format!("done {number}")),
            "boot {number} did not come to its end; its kernel's log is {}",
            folder.join(format!("console-{number}.log")).display()
        );
    }
    fs::remove_file(&disk)?;
    ensure!(failures.is_empty(), "{}", failures.join("; "));
    Ok(())
}

/// The root, made once.
fn root(paths: &Paths) -> Result<PathBuf> {
    let root = paths.cache.join("system-amd64");
    if root.join("complete").exists() {
        return Ok(root);
    }
    let _ = fs::remove_dir_all(&root);
    remark("making a Debian root in the cache (mmdebstrap, 1.5 GB)");
    let _work = Work::begin("mmdebstrap");
    let codename =
        stdout_of(Command::new("sh").args(["-c", ". /etc/os-release && echo $VERSION_CODENAME"]))?;
    stdout_of(
        Command::new("mmdebstrap")
            .args(["--variant=minbase", "--skip=cleanup/apt"])
            .arg(format!("--include={PACKAGES}"))
            .arg(codename.trim())
            .arg(&root),
    )
    .context("making the root; this must run as root")?;
    fs::write(root.join("complete"), "")?;
    Ok(root)
}

/// Puts the packages and the script in.
fn furnish(paths: &Paths, root: &Path, packages: &[PathBuf]) -> Result<()> {
    let place = root.join("packages");
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place)?;
    for package in packages {
        fs::copy(package, place.join(package.file_name().unwrap_or_default()))?;
    }
    let script = root.join("usr/local/sbin/mercury-system");
    fs::copy(paths.source("tests/packages/system.sh"), &script)?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    let units = root.join("etc/systemd/system");
    fs::write(units.join("mercury-system.service"), UNIT)?;
    fs::write(units.join("mercury-system.timer"), TIMER)?;
    let wants = units.join("timers.target.wants");
    fs::create_dir_all(&wants)?;
    let link = wants.join("mercury-system.timer");
    if fs::symlink_metadata(&link).is_err() {
        symlink("../mercury-system.timer", &link)?;
    }
    Ok(())
}

/// One boot, up to its power-off; what the script said.
fn boot(root: &Path, folder: &Path, number: u32, cpu: &str, append: &str) -> Result<String> {
    let kernel = stdout_of(Command::new("sh").arg("-c").arg(format!(
        "ls -v {}/boot/vmlinuz-* | grep -v cloud | tail -n 1",
        root.display()
    )))?;
    let kernel = kernel.trim();
    let result = folder.join(format!("result-{number}.log"));
    let mut command = Command::new("qemu-system-x86_64");
    command
        .args(["-machine", "q35", "-cpu", cpu, "-smp", "2", "-m", "2G"])
        .args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
        ])
        .args([
            "-kernel",
            kernel,
            "-initrd",
            &kernel.replace("vmlinuz", "initrd.img"),
        ])
        .args([
            "-append",
            &format!("root=/dev/vda rw console=ttyS0 panic=-1 {append}"),
        ])
        .args(["-drive", "file=disk.img,format=raw,if=virtio,cache=unsafe"])
        .args(["-serial", &format!("file:console-{number}.log")])
        .args(["-serial", &format!("file:{}", result.display())])
        .current_dir(folder)
        .stdin(Stdio::null());
    remark(&format!(
        "boot {number} of {} ({cpu} {append})",
        BOOTS.len()
    ));
    let _work = Work::begin(&format!("boot {number}"));
    let mut qemu = command
        .spawn()
        .with_context(|| format!("starting '{}'", shown(&command)))?;
    let started = Instant::now();
    while qemu.try_wait()?.is_none() {
        if started.elapsed() > LIMIT {
            qemu.kill()?;
            qemu.wait()?;
            bail!("boot {number} took longer than {LIMIT:?}");
        }
        sleep(Duration::from_secs(1));
    }
    fs::read_to_string(&result).with_context(|| format!("reading {}", result.display()))
}
