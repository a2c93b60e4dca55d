// SPDX-License-Identifier: MIT OR Apache-2.0
//! Modules of the kernel are loaded and unloaded.

use super::{Act, Disturbance, Place, Prepared, cannot, ready};
use crate::machine;
use anyhow::{Context, Result};
use fastrand::Rng;
use nix::kmod::{DeleteModuleFlags, ModuleInitFlags, delete_module, finit_module};
use std::ffi::CString;
use std::fs::{self, File};
use std::path::PathBuf;

/// Any of these: they need no other, and nobody needs them.
const NAMES: [&str; 3] = ["dummy", "msr", "cpuid"];

/// Where the kernel's modules are.
pub(super) fn folder() -> Result<PathBuf> {
    let release = machine::read("/proc/sys/kernel/osrelease")?;
    Ok(PathBuf::from("/lib/modules").join(release))
}

/// Loads a module without parameters.
pub(super) fn load(path: &PathBuf) -> Result<()> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    finit_module(&file, &CString::default(), ModuleInitFlags::empty())
        .with_context(|| format!("loading {}", path.display()))
}

/// Unloads one at once, or not at all.
pub(super) fn unload(name: &str) -> nix::Result<()> {
    let name = CString::new(name).map_err(|_| nix::errno::Errno::EINVAL)?;
    delete_module(&name, DeleteModuleFlags::O_NONBLOCK)
}

struct Modules {
    files: Vec<(&'static str, PathBuf)>,
}

impl Disturbance for Modules {
    fn act(&mut self, draw: &mut Rng) -> Result<Act> {
        let (name, path) = &self.files[draw.usize(..self.files.len())];
        load(path)?;
        unload(name).with_context(|| format!("unloading {name}"))?;
        Ok(Act::Done)
    }
}

pub(super) fn prepare(_: &Place) -> Prepared {
    let folder = folder()?;
    let list = fs::read_to_string(folder.join("modules.dep")).unwrap_or_default();
    let loaded = fs::read_to_string("/proc/modules")?;
    let find = |name: &'static str| {
        let path = list.lines().find_map(|line| {
            let (path, _) = line.split_once(':')?;
            path.ends_with(&format!("/{name}.ko"))
                .then(|| folder.join(path))
        })?;
        let free = !loaded
            .lines()
            .any(|line| line.split(' ').next() == Some(name));
        free.then_some((name, path))
    };
    let files: Vec<_> = NAMES.into_iter().filter_map(find).collect();
    if files.is_empty() {
        return cannot(format!("none of the modules {} is here", NAMES.join(", ")));
    }
    ready(Modules { files })
}
