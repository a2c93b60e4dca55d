// SPDX-License-Identifier: MIT OR Apache-2.0
//! TCG or KVM.
//!
//! KVM is of use only if it hands a real virtualisation extension down to the
//! guest. That /dev/kvm exists shows nothing: there are machines whose KVM runs
//! in software and offers neither SVM nor VMX. So the CPU's own flag decides,
//! then whether KVM nests, then whether the device can be opened.

use super::board::Backend;
use anyhow::{Result, bail};
use clap::ValueEnum;
use std::fs::{self, OpenOptions};

/// What carries out the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Accel {
    /// Emulation.
    Tcg,
    /// The host's KVM, nested.
    Kvm,
    /// Bochs instead of QEMU: Intel's VMX, interpreted.
    Bochs,
}

impl Accel {
    /// QEMU's name for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcg => "tcg",
            Self::Kvm => "kvm",
            Self::Bochs => "bochs",
        }
    }
}

/// What the user asked for, or what this machine can do. KVM that was asked
/// for and cannot serve is an error that says why.
pub(crate) fn choose(asked: Option<Accel>, backend: &Backend) -> Result<Accel> {
    if let Some(accel @ (Accel::Tcg | Accel::Bochs)) = asked {
        return Ok(accel);
    }
    match (asked, by_kvm(backend)) {
        (_, Ok(_)) => Ok(Accel::Kvm),
        (Some(Accel::Kvm), Err(reason)) => {
            bail!("ACCEL=kvm cannot serve: {reason}; ACCEL=tcg does without")
        }
        (_, Err(_)) => Ok(Accel::Tcg),
    }
}

/// The backend that this host's KVM hands down, if it is another one than the
/// board's usual.
pub(crate) fn handed_down(backend: &Backend) -> Option<&Backend> {
    by_kvm(backend)
        .ok()
        .filter(|found| found.name != backend.name)
}

/// The first of a board's backends that this host's KVM hands down, or why none.
fn by_kvm(backend: &Backend) -> Result<&Backend, String> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let opens = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .is_ok();
    let nested = |one: &Backend| {
        let file = one.nested.as_ref()?;
        fs::read_to_string(file).ok()
    };
    first_usable(backend, |one| {
        usable(&cpuinfo, nested(one).as_deref(), opens, one)
    })
}

fn first_usable(
    backend: &Backend,
    usable: impl Fn(&Backend) -> Result<(), String>,
) -> Result<&Backend, String> {
    let mut reasons = Vec::new();
    for one in [backend].into_iter().chain(&backend.others) {
        match usable(one) {
            Ok(()) => return Ok(one),
            Err(reason) => reasons.push(reason),
        }
    }
    Err(reasons.join("; "))
}

fn usable(
    cpuinfo: &str,
    nested: Option<&str>,
    opens: bool,
    backend: &Backend,
) -> Result<(), String> {
    let (Some(flag), Some(file)) = (&backend.cpu_flag, &backend.nested) else {
        return Err(format!(
            "KVM hands Mercury's backend '{}' to no guest",
            backend.name
        ));
    };
    let has_flag = cpuinfo
        .lines()
        .filter(|line| line.starts_with("flags"))
        .any(|line| line.split_whitespace().any(|word| word == flag));
    if !has_flag {
        return Err(format!(
            "/proc/cpuinfo lists no '{flag}', which Mercury's backend '{}' needs",
            backend.name
        ));
    }
    match nested.map(str::trim) {
        Some("1" | "Y" | "y") => {}
        Some(other) => {
            return Err(format!("{} says {other}, expected 1 or Y", file.display()));
        }
        None => return Err(format!("{} cannot be read", file.display())),
    }
    if opens {
        Ok(())
    } else {
        Err("/dev/kvm cannot be opened".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend() -> Backend {
        Backend {
            name: "svm".into(),
            cpu_flag: Some("svm".into()),
            nested: Some("/nested".into()),
            cpu_features: Vec::new(),
            others: Vec::new(),
        }
    }

    #[test]
    fn a_host_of_the_other_maker_serves_too() {
        let mut both = backend();
        both.others.push(Backend {
            name: "vmx".into(),
            cpu_flag: Some("vmx".into()),
            ..backend()
        });
        let on = |flags: &str| {
            let found = first_usable(&both, |one| usable(flags, Some("Y"), true, one));
            found.map(|backend| backend.name.clone())
        };
        assert_eq!(on("flags\t\t: fpu vmx"), Ok("vmx".into()));
        assert_eq!(on("flags\t\t: fpu svm"), Ok("svm".into()));
        let neither = on("flags\t\t: fpu").unwrap_err();
        assert!(neither.contains("'svm'") && neither.contains("'vmx'"));
    }

    #[test]
    fn the_device_alone_shows_nothing() {
        assert!(usable("flags\t\t: fpu hypervisor", None, true, &backend()).is_err());
        assert!(usable("flags\t\t: fpu svm_lock", Some("1"), true, &backend()).is_err());
    }

    #[test]
    fn a_backend_without_a_flag_is_emulated() {
        let none = Backend {
            name: "el2".into(),
            cpu_flag: None,
            nested: None,
            ..backend()
        };
        assert!(usable("flags\t\t: svm", Some("1"), true, &none).is_err());
    }

    #[test]
    fn all_three_together_do() {
        let cpuinfo = "flags\t\t: fpu svm npt";
        assert!(usable(cpuinfo, Some("1\n"), true, &backend()).is_ok());
        assert!(usable(cpuinfo, Some("0\n"), true, &backend()).is_err());
        assert!(usable(cpuinfo, Some("Y\n"), false, &backend()).is_err());
    }
}
