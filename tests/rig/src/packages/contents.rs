// SPDX-License-Identifier: MIT OR Apache-2.0
//! What must be in the packages, and what they must not do.

use crate::arch::Arch;
use crate::command::stdout_of;
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Below `/`, of the tool's package; a name that ends in `/` stands for something in it.
const TOOL: &[&str] = &[
    "usr/bin/mercury",
    "lib/systemd/system/mercury.service",
    "lib/udev/rules.d/60-mercury.rules",
    "usr/share/bash-completion/completions/mercury",
    "usr/share/zsh/vendor-completions/_mercury",
    "usr/share/fish/vendor_completions.d/mercury.fish",
    "usr/share/man/man8/mercury.8.gz",
    "usr/share/man/man8/mercury-attach.8.gz",
    "usr/share/man/man8/mercury-trace-record.8.gz",
    "usr/share/doc/mercury/copyright",
];
const MODULE: &[&str] = &[
    "usr/src/mercury-0.1.0/dkms.conf",
    "usr/src/mercury-0.1.0/Kbuild",
    "usr/src/mercury-0.1.0/main.c",
    "usr/src/mercury-0.1.0/mercury_abi.h",
    "usr/src/mercury-0.1.0/image_hash.h",
    "usr/src/mercury-0.1.0/x86/door.S",
    "usr/src/mercury-0.1.0/arm64/door.S",
    "usr/share/doc/mercury-dkms/copyright",
];
/// No initramfs, no module loaded or machine attached to by being installed.
const NEVER: &[&str] = &[
    "etc/initramfs-tools/",
    "usr/share/initramfs-tools/",
    "etc/modules-load.d/",
    "usr/lib/modules-load.d/",
    "etc/systemd/system/",
];

pub(super) fn check(package: &Path, arch: Arch, image: &Path) -> Result<()> {
    let field = |name: &str| -> Result<String> {
        let said = stdout_of(Command::new("dpkg-deb").arg("-f").arg(package).arg(name))?;
        Ok(said.trim().to_owned())
    };
    let shown = package.display();
    ensure!(
        field("Architecture")? == arch.debian(),
        "{shown} is for {}",
        field("Architecture")?
    );
    let name = field("Package")?;
    let files = files(package)?;
    let firmware = format!(
        "lib/firmware/mercury/{}",
        image.file_name().unwrap_or_default().to_string_lossy()
    );
    let mut wanted: Vec<&str> = match name.as_str() {
        "mercury" => TOOL.to_vec(),
        "mercury-dkms" => MODULE.to_vec(),
        other => bail!("{shown} is a package '{other}' that nobody knows"),
    };
    if name == "mercury" {
        wanted.push(&firmware);
    }
    for one in wanted {
        ensure!(files.contains(one), "{shown} has no {one}");
    }
    for never in NEVER {
        if let Some(found) = files.iter().find(|file| file.starts_with(never)) {
            bail!("{shown} has {found}, and must leave {never} alone");
        }
    }
    let root = package.with_extension("root");
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    stdout_of(Command::new("dpkg-deb").arg("-R").arg(package).arg(&root))?;
    let judged = match name.as_str() {
        "mercury" => tool(&root, &firmware, image),
        _ => module(&root, image),
    };
    fs::remove_dir_all(&root).with_context(|| format!("removing {}", root.display()))?;
    judged.with_context(|| format!("{shown}"))
}

/// Every file's name, without what leads to it.
fn files(package: &Path) -> Result<BTreeSet<String>> {
    let listed = stdout_of(Command::new("dpkg-deb").arg("-c").arg(package))?;
    let names = listed.lines().filter_map(|line| {
        let name = line.split_whitespace().nth(5)?;
        name.strip_prefix("./").map(str::to_owned)
    });
    Ok(names.filter(|name| !name.ends_with('/')).collect())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

/// The image is the one that was built; nothing is enabled; removal looks first.
fn tool(root: &Path, firmware: &str, image: &Path) -> Result<()> {
    ensure!(
        fs::read(root.join(firmware))? == fs::read(image)?,
        "{firmware} is another image than {}",
        image.display()
    );
    let scripts = read(&root.join("DEBIAN/postinst"))?;
    ensure!(
        !scripts.contains("systemctl enable") && !scripts.contains("deb-systemd-invoke start"),
        "being installed enables or starts the unit:\n{scripts}"
    );
    let removal = read(&root.join("DEBIAN/prerm"))?;
    ensure!(
        removal.contains("mercury detach") && removal.contains("exit 1"),
        "removal does not look whether the machine is attached:\n{removal}"
    );
    Ok(())
}

/// The module takes the image that is in the other package, and DKMS knows its version.
fn module(root: &Path, image: &Path) -> Result<()> {
    let source = root.join("usr/src/mercury-0.1.0");
    let digits = stdout_of(Command::new("sha256sum").arg(image))?;
    let list: Vec<String> = digits
        .as_bytes()
        .chunks(2)
        .take(32)
        .map(|pair| format!("0x{}", String::from_utf8_lossy(pair)))
        .collect();
    let hash = read(&source.join("image_hash.h"))?;
    ensure!(
        hash.contains(&list.join(", ")),
        "image_hash.h is of another image than {}:\n{hash}",
        image.display()
    );
    let dkms = read(&source.join("dkms.conf"))?;
    ensure!(
        dkms.contains("PACKAGE_VERSION=\"0.1.0\"") && dkms.contains("AUTOINSTALL=\"yes\""),
        "dkms.conf says:\n{dkms}"
    );
    Ok(())
}
