// SPDX-License-Identifier: MIT OR Apache-2.0
//! The few modules of a kernel that the guest gets, with what they depend on.

use super::Kernel;
use crate::command::output;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

/// A module as it goes into the guest.
#[derive(Debug)]
pub(crate) struct ModuleFile {
    /// Its path below `/lib/modules/<release>`, uncompressed name.
    pub(crate) path: String,
    /// The module itself, uncompressed.
    pub(crate) contents: Vec<u8>,
    /// The paths of the modules it needs, as modules.dep lists them.
    pub(crate) needs: Vec<String>,
}

/// The named modules and all that they need. A name that the kernel has as
/// neither a module nor built in is an error, unless it is in `optional`.
pub(crate) fn with_dependencies(
    kernel: &Kernel,
    names: &[&str],
    optional: &[&str],
) -> Result<Vec<ModuleFile>> {
    let folder = kernel.modules();
    let list = folder.join("modules.dep");
    let text = fs::read_to_string(&list).with_context(|| format!("reading {}", list.display()))?;
    let dependencies = parse(&text);
    let built_in = fs::read_to_string(folder.join("modules.builtin")).unwrap_or_default();
    let mut wanted: BTreeMap<&str, &[&str]> = BTreeMap::new();
    for name in names.iter().chain(optional) {
        let found = dependencies
            .iter()
            .find(|(path, _)| name_of(path) == normal(name));
        if let Some((path, needs)) = found {
            wanted.insert(path, needs);
            for need in needs {
                wanted.insert(need, dependencies.get(need).map_or(&[], Vec::as_slice));
            }
        } else if !optional.contains(name)
            && !built_in.lines().any(|path| name_of(path) == normal(name))
        {
            bail!("kernel {} has no module '{name}'", kernel.release);
        }
    }
    wanted
        .into_iter()
        .map(|(path, needs)| {
            Ok(ModuleFile {
                path: uncompressed(path).to_owned(),
                contents: read(&folder.join(path))?,
                needs: needs
                    .iter()
                    .map(|need| uncompressed(need).to_owned())
                    .collect(),
            })
        })
        .collect()
}

fn parse(text: &str) -> BTreeMap<&str, Vec<&str>> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(path, needs)| (path, needs.split_whitespace().collect()))
        .collect()
}

/// `kvm_amd` of `kernel/arch/x86/kvm/kvm-amd.ko.xz`.
fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    normal(file.split('.').next().unwrap_or(file))
}

fn normal(name: &str) -> String {
    name.replace('-', "_")
}

fn uncompressed(path: &str) -> &str {
    path.trim_end_matches(".xz")
}

/// The guest's busybox has no decompressor for modules, so they are unpacked here.
fn read(path: &std::path::Path) -> Result<Vec<u8>> {
    if path.extension().is_some_and(|extension| extension == "xz") {
        let mut command = Command::new("xz");
        let unpacked = output(command.arg("-dc").arg(path))?;
        if !unpacked.status.success() {
            bail!("xz could not unpack {}", path.display());
        }
        return Ok(unpacked.stdout);
    }
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_compare_as_the_kernel_compares_them() {
        assert_eq!(name_of("kernel/arch/x86/kvm/kvm-amd.ko.xz"), "kvm_amd");
        assert_eq!(name_of("kernel/virt/lib/irqbypass.ko"), "irqbypass");
    }

    #[test]
    fn modules_dep_is_read() {
        let parsed = parse("a/kvm.ko: b/irqbypass.ko\nb/irqbypass.ko:\n");
        assert_eq!(parsed["a/kvm.ko"], ["b/irqbypass.ko"]);
        assert!(parsed["b/irqbypass.ko"].is_empty());
    }
}
