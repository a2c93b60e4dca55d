// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine around the CPUs, as far as a roll-back has to know it.
//!
//! The module reads it in the device tree and notes it in the door of the CPU on which
//! the image is prepared (`struct mercury_noted` in `arm64/noted.h`). A machine of which
//! not all is known takes no checkpoints: it would not survive one.

/// Most interrupt translation services that are known by name.
pub const MOST_SERVICES: usize = 8;

/// Physical addresses of what is not a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Platform {
    /// Configuration space of the PCI bus 0 (PCI Express 7.2.2).
    pub configuration: u64,
    /// Bytes of it: 1 MiB for each bus.
    pub configuration_bytes: u64,
    /// The interrupt controller.
    pub controller: Controller,
}

/// The interrupt controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    /// GICv2 (Arm IHI 0048).
    V2 {
        /// GICD.
        distributor: u64,
        /// GICC.
        interface: u64,
    },
    /// GICv3 and v4 (Arm IHI 0069).
    V3 {
        /// GICD.
        distributor: u64,
        /// GICR of the first CPU; the others' follow.
        redistributors: u64,
        /// Bytes of all of them.
        redistributor_bytes: u64,
        /// GITS; 0 where there is none.
        services: [u64; MOST_SERVICES],
    },
}

impl Platform {
    /// Takes the words apart that the module noted: conduit of the firmware, bus, its
    /// bytes, version of the controller, GICD, GICC, GICR, its bytes, how many services,
    /// and each of them. Nothing if something is not known.
    #[must_use]
    pub fn from_noted(noted: &[u64]) -> Option<Self> {
        let [
            conduit,
            configuration,
            configuration_bytes,
            version,
            distributor,
            interface,
            redistributors,
            redistributor_bytes,
            count,
            rest @ ..,
        ] = noted
        else {
            return None;
        };
        let count = usize::try_from(*count).ok()?;
        if *conduit == 0 || *configuration_bytes == 0 || *distributor == 0 {
            return None;
        }
        let controller = match version {
            2 if *interface != 0 => Controller::V2 {
                distributor: *distributor,
                interface: *interface,
            },
            3 if *redistributor_bytes != 0 && count <= MOST_SERVICES => {
                let mut services = [0; MOST_SERVICES];
                for (place, service) in services.iter_mut().zip(rest.get(..count)?) {
                    *place = *service;
                }
                Controller::V3 {
                    distributor: *distributor,
                    redistributors: *redistributors,
                    redistributor_bytes: *redistributor_bytes,
                    services,
                }
            }
            _ => return None,
        };
        Some(Self {
            configuration: *configuration,
            configuration_bytes: *configuration_bytes,
            controller,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_whole_is_not_known() {
        let mut noted = [0; 19];
        assert_eq!(Platform::from_noted(&noted), None);
        noted[..11].copy_from_slice(&[1, 0x40, 0x1000, 3, 0x8, 0, 0x80, 0x40, 2, 0x100, 0x200]);
        let Some(Controller::V3 { services, .. }) =
            Platform::from_noted(&noted).map(|platform| platform.controller)
        else {
            panic!("not known");
        };
        assert_eq!(services, [0x100, 0x200, 0, 0, 0, 0, 0, 0]);
        for (word, value) in [(0, 0), (2, 0), (3, 1), (3, 2), (4, 0), (7, 0), (8, 9)] {
            let mut noted = noted;
            noted[word] = value;
            assert_eq!(Platform::from_noted(&noted), None, "{word}");
        }
        noted[3] = 2;
        noted[5] = 0x9;
        assert!(Platform::from_noted(&noted).is_some());
    }
}
