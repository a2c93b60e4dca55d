// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the machine is, by its device tree.
//!
//! Machines without one (PCs, ARM servers with ACPI) have nothing to say here,
//! and that is no error. The tree is the kernel's own copy,
//! `/sys/firmware/fdt`, which only root may read.

#[path = "platform/checked.rs"]
mod checked;

use fdt::Fdt;
use fdt::node::FdtNode;
use serde::Serialize;
use std::fs;

const TREE: &str = "/sys/firmware/fdt";

/// How the firmware is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Conduit {
    /// By SMC: it is at EL3, or QEMU plays it.
    Smc,
    /// By HVC: it is at EL2, or a hypervisor plays it.
    Hvc,
}

/// A device, by what it is compatible with first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Part {
    /// As the device tree names it.
    pub(crate) compatible: String,
    /// Host physical address of its first registers.
    pub(crate) address: Option<u64>,
}

/// What the device tree says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Platform {
    /// What the machine calls itself.
    pub(crate) model: Option<String>,
    /// Bytes of memory.
    pub(crate) memory: u64,
    /// How PSCI is called, if there is any.
    pub(crate) psci: Option<Conduit>,
    /// The interrupt controller of the CPUs.
    pub(crate) interrupt_controller: Option<Part>,
    /// The serial port that the kernel's console is on.
    pub(crate) console: Option<Part>,
}

impl Platform {
    /// This machine, if it has a device tree that can be read.
    pub(crate) fn of_this_machine() -> Option<Self> {
        Self::read(&fs::read(TREE).ok()?)
    }

    /// A flattened device tree.
    pub(crate) fn read(tree: &[u8]) -> Option<Self> {
        let tree = checked::checked(tree)?;
        let tree = Fdt::new(&tree).ok()?;
        let root = tree.find_node("/")?;
        let memory = tree
            .all_nodes()
            .filter(|node| text(node, "device_type").as_deref() == Some("memory"))
            .filter_map(|node| node.reg())
            .flat_map(|parts| parts.filter_map(|part| part.size))
            .fold(0u64, |sum, size| sum.saturating_add(size as u64));
        // An ACPI machine's tree has nothing but the kernel's arguments in it.
        if memory == 0 {
            return None;
        }
        let psci = tree
            .find_node("/psci")
            .or_else(|| tree.find_node("/firmware/psci"))
            .and_then(|node| text(&node, "method"));
        Some(Self {
            model: text(&root, "model").or_else(|| first_compatible(&root)),
            memory,
            psci: match psci.as_deref() {
                Some("smc") => Some(Conduit::Smc),
                Some("hvc") => Some(Conduit::Hvc),
                _ => None,
            },
            interrupt_controller: controller(&tree).and_then(|node| part(&node)),
            console: tree
                .find_node("/chosen")
                .and_then(|chosen| text(&chosen, "stdout-path"))
                .and_then(|path| console(&tree, path.split(':').next().unwrap_or_default())),
        })
    }
}

/// The interrupt controller that the root names, or the first there is.
fn controller<'b, 'a>(tree: &'b Fdt<'a>) -> Option<FdtNode<'b, 'a>> {
    tree.find_node("/")
        .and_then(|root| root.property("interrupt-parent")?.as_usize())
        .and_then(|handle| tree.find_phandle(handle as u32))
        .or_else(|| {
            tree.all_nodes()
                .find(|node| node.property("interrupt-controller").is_some())
        })
}

fn console(tree: &Fdt<'_>, path: &str) -> Option<Part> {
    let node = if path.starts_with('/') {
        tree.find_node(path)
    } else {
        let aliases = tree.find_node("/aliases")?;
        let path = text(&aliases, path)?;
        // An alias of an alias could be one of itself.
        tree.find_node(Some(&*path).filter(|path| path.starts_with('/'))?)
    };
    part(&node?)
}

fn part(node: &FdtNode<'_, '_>) -> Option<Part> {
    Some(Part {
        compatible: first_compatible(node)?,
        address: node
            .reg()
            .and_then(|mut parts| parts.next())
            .map(|part| part.starting_address as u64),
    })
}

fn first_compatible(node: &FdtNode<'_, '_>) -> Option<String> {
    // Several strings, each with a NUL behind it; the first says most.
    let names = node.property("compatible")?.value;
    let name = names.split(|byte| *byte == 0).next()?;
    String::from_utf8(name.to_vec()).ok()
}

fn text(node: &FdtNode<'_, '_>, property: &str) -> Option<String> {
    let text = node.property(property)?.as_str()?;
    Some(text.trim_end_matches('\0').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// QEMU's virt machine, cut down (`platform/virt.dts`).
    const VIRT: &[u8] = include_bytes!("platform/virt.dtb");

    #[test]
    fn the_virt_machine_is_read() {
        let platform = Platform::read(VIRT).unwrap();
        assert_eq!(platform.model.as_deref(), Some("linux,dummy-virt"));
        assert_eq!(platform.memory, 512 << 20);
        assert_eq!(platform.psci, Some(Conduit::Smc));
        let part = |compatible: &str, address| {
            Some(Part {
                compatible: compatible.to_owned(),
                address: Some(address),
            })
        };
        assert_eq!(
            platform.interrupt_controller,
            part("arm,gic-v3", 0x800_0000)
        );
        assert_eq!(platform.console, part("arm,pl011", 0x900_0000));
    }

    /// A node that firmware has blanked.
    #[test]
    fn gaps_are_passed_over() {
        let mut tree = VIRT.to_vec();
        // The node pl011 begins with its name; blank it up to its end.
        let name = tree
            .windows(8)
            .rposition(|bytes| bytes == b"pl011@90")
            .unwrap();
        let begin = name - 4;
        let end = begin
            + tree[begin..]
                .chunks(4)
                .position(|word| word == [0, 0, 0, 2])
                .unwrap()
                * 4
            + 4;
        for word in tree[begin..end].chunks_mut(4) {
            word.copy_from_slice(&4u32.to_be_bytes());
        }
        let platform = Platform::read(&tree).unwrap();
        assert_eq!(platform.console, None);
        assert_eq!(platform.psci, Some(Conduit::Smc));
    }

    #[test]
    fn what_is_no_tree_is_none() {
        assert_eq!(Platform::read(b""), None);
        assert_eq!(Platform::read(&VIRT[..40]), None);
        assert_eq!(Platform::read(&[0; 64]), None);
    }
}
