// SPDX-License-Identifier: MIT OR Apache-2.0
//! Callers without the right: another user, root without a capability (as in a
//! container), and root that gave one up after it had opened the device.
#![expect(
    unsafe_code,
    reason = "capabilities are set by system calls without a safe wrapper"
)]

use anyhow::{Result, bail, ensure};
use mercury_device::{AttachOptions, Device, Requirement};
use std::io::Error;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::{expect, tool};

pub(crate) const CAP_SYS_RAWIO: u32 = 17;
pub(crate) const CAP_SYS_ADMIN: u32 = 21;
const ORDINARY_USER: u32 = 1000;
/// _LINUX_CAPABILITY_VERSION_3: two words of 32 bits each.
const VERSION: u32 = 0x2008_0522;

/// Takes a capability out of this process's sets.
fn give_up(capability: u32) -> Result<()> {
    let mut header = [VERSION, 0];
    // effective, permitted, inheritable; low word, then high word
    let mut sets = [0u32; 6];
    // SAFETY: header and sets are as large as version 3 wants them.
    let failed = unsafe { libc::syscall(libc::SYS_capget, header.as_mut_ptr(), sets.as_mut_ptr()) };
    ensure!(failed == 0, "capget: {}", Error::last_os_error());
    for set in &mut sets[..3] {
        *set &= !(1 << capability);
    }
    // SAFETY: as above.
    let failed = unsafe { libc::syscall(libc::SYS_capset, header.as_mut_ptr(), sets.as_mut_ptr()) };
    ensure!(failed == 0, "capset: {}", Error::last_os_error());
    Ok(())
}

/// The child: the device is open, the capability is gone, attach must be refused.
pub(crate) fn attach_without(capability: u32) -> Result<()> {
    let device = Device::open()?;
    give_up(capability)?;
    let outcome = device.attach(&AttachOptions::default());
    if outcome.is_ok() {
        device.detach()?;
    }
    let said = expect::refused(outcome)?;
    ensure!(
        said.requirement == Requirement::Privilege && said.errno == libc::EPERM,
        "without capability {capability} attach was refused with {said:?}"
    );
    // Asking is not allowed either.
    if device.status().is_ok() {
        bail!("without capability {capability} status was answered");
    }
    Ok(())
}

/// Runs a program whose bounding set lacks a capability: root in a container.
fn without(command: &mut Command, capability: u32) -> &mut Command {
    let drop_it = move || {
        // SAFETY: prctl is async-signal-safe; the argument is a plain number.
        let failed = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, u64::from(capability), 0, 0, 0) };
        if failed == 0 {
            Ok(())
        } else {
            Err(Error::last_os_error())
        }
    };
    // SAFETY: the closure makes one system call and allocates nothing.
    unsafe { command.pre_exec(drop_it) }
}

/// All of them, through the tool and through the call.
pub(crate) fn refusals() -> Result<usize> {
    tool::refuses(
        tool::mercury(&["attach"]).uid(ORDINARY_USER),
        Requirement::Privilege,
    )?;
    for capability in [CAP_SYS_RAWIO, CAP_SYS_ADMIN] {
        tool::refuses(
            without(&mut tool::mercury(&["attach"]), capability),
            Requirement::Privilege,
        )?;
        let output = Command::new("/proc/self/exe")
            .args(["without-capability", &capability.to_string()])
            .output()?;
        ensure!(
            output.status.success(),
            "capability {capability} given up after opening: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(5)
}
