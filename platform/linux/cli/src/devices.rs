// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether devices can reach Mercury's memory.
//!
//! The nested map binds CPUs. A bus master goes past it, and only an IOMMU keeps
//! it away: one that Linux runs in translated mode gives a device no more than
//! the pages that its driver mapped for it, and Mercury's frames are never among
//! those. In passthrough mode (`iommu=pt`) or without an IOMMU a device reaches
//! all of memory, as it does natively. Linux shows the mode of each group of
//! devices in sysfs (Documentation/ABI/testing/sysfs-kernel-iommu_groups). What is
//! said is said of PCI devices: others are few, and not listed in one place.

use serde::Serialize;
use std::fs;
use std::path::Path;

const PCI: &str = "/sys/bus/pci/devices";
/// Classes that begin no transfers of a driver's choosing: bridges forward them
/// (06), and an IOMMU walks tables that Linux made (08 06).
const NO_MASTERS: [&str; 2] = ["0x06", "0x0806"];

/// Of all PCI devices.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Devices {
    /// None of them can reach Mercury's memory.
    pub(crate) held_off: bool,
    /// Why, or which one can.
    pub(crate) reason: String,
}

/// One device, as sysfs shows it.
#[derive(Debug)]
struct Device {
    name: String,
    class: String,
    /// The mode of its group; `None` if it has no group.
    mode: Option<String>,
}

/// Looks.
pub(crate) fn look() -> Devices {
    let Ok(entries) = fs::read_dir(PCI) else {
        return judge(&[]);
    };
    let text = |path: &Path| {
        fs::read_to_string(path)
            .map(|text| text.trim().to_owned())
            .ok()
    };
    let mut found: Vec<Device> = entries
        .flatten()
        .map(|entry| Device {
            name: entry.file_name().to_string_lossy().into_owned(),
            class: text(&entry.path().join("class")).unwrap_or_default(),
            mode: text(&entry.path().join("iommu_group/type")),
        })
        .collect();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    judge(&found)
}

fn judge(devices: &[Device]) -> Devices {
    let masters = || {
        let bound = |device: &&Device| {
            !NO_MASTERS
                .iter()
                .any(|class| device.class.starts_with(class))
        };
        devices.iter().filter(bound)
    };
    let reaching = |reason: String| Devices {
        held_off: false,
        reason,
    };
    if masters().next().is_none() {
        return reaching("there is no PCI device, and of others nothing is known".to_owned());
    }
    for device in masters() {
        match device.mode.as_deref() {
            None => {
                return reaching(format!(
                    "PCI device {} can reach all memory: no IOMMU stands before it",
                    device.name
                ));
            }
            // Translated, translated and flushed lazily, or nothing at all.
            Some("DMA" | "DMA-FQ" | "blocked") => {}
            Some(mode) => {
                return reaching(format!(
                    "PCI device {} can reach memory that Linux did not give it: its IOMMU group \
                     is in mode '{mode}' (is the kernel booted with iommu=pt?)",
                    device.name
                ));
            }
        }
    }
    Devices {
        held_off: true,
        reason: "the IOMMU translates for every PCI device".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str, class: &str, mode: Option<&str>) -> Device {
        Device {
            name: name.to_owned(),
            class: class.to_owned(),
            mode: mode.map(str::to_owned),
        }
    }

    #[test]
    fn every_master_must_be_translated() {
        let disk = device("0000:00:01.0", "0x010000", Some("DMA-FQ"));
        let net = |mode| device("0000:00:02.0", "0x020000", mode);
        assert!(judge(&[disk, net(Some("DMA"))]).held_off);
        for (mode, why) in [(None, "no IOMMU"), (Some("identity"), "iommu=pt")] {
            let said = judge(&[net(mode)]);
            assert!(!said.held_off && said.reason.contains(why), "{said:?}");
            assert!(said.reason.contains("0000:00:02.0"));
        }
    }

    #[test]
    fn bridges_and_iommus_begin_nothing() {
        let bridge = || device("0000:00:00.0", "0x060000", None);
        let iommu = device("0000:00:02.0", "0x080600", None);
        let disk = device("0000:00:01.0", "0x010000", Some("DMA"));
        assert!(judge(&[bridge(), iommu, disk]).held_off);
        assert!(!judge(&[bridge()]).held_off);
    }
}
