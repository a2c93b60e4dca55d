// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the kernel looks for the hypervisor image.
//!
//! `request_firmware` tries five places, the first given by a parameter of
//! its own. A refusal that says "not found" must name them, and the field for
//! it in the module's answer is too short, so they are put together here.

use std::fs;
use std::path::{Path, PathBuf};

/// The image's name and the machine's places for it.
#[derive(Clone, Debug)]
pub(crate) struct Firmware {
    /// As the module gives it to `request_firmware`.
    pub(crate) name: String,
    release: String,
    parameter: Option<String>,
}

/// A file that may be the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its length in bytes.
    pub(crate) length: u64,
}

impl Firmware {
    /// This machine's. `name` comes from the module; before it is loaded the
    /// name of this version's build is taken.
    pub(crate) fn of_this_machine(name: Option<&str>) -> Self {
        let read = |path: &str| {
            let text = fs::read_to_string(path).unwrap_or_default();
            Some(text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        Self {
            name: name.filter(|name| !name.is_empty()).map_or_else(
                || format!("mercury/mercury-{}.img", std::env::consts::ARCH),
                ToOwned::to_owned,
            ),
            release: read("/proc/sys/kernel/osrelease").unwrap_or_else(|| "<release>".to_owned()),
            parameter: read("/sys/module/firmware_class/parameters/path"),
        }
    }

    /// A machine for tests.
    #[cfg(test)]
    pub(crate) fn fixed() -> Self {
        Self {
            name: "mercury/mercury-x86_64.img".to_owned(),
            release: "6.1.0-18-amd64".to_owned(),
            parameter: None,
        }
    }

    /// The directories, in the kernel's order.
    fn directories(&self) -> Vec<PathBuf> {
        let base = Path::new("/lib/firmware");
        let parameter = self.parameter.iter().map(PathBuf::from);
        parameter
            .chain([
                base.join("updates").join(&self.release),
                base.join("updates"),
                base.join(&self.release),
                base.to_owned(),
            ])
            .collect()
    }

    /// All places in one sentence.
    pub(crate) fn places(&self) -> String {
        let list: Vec<String> = self
            .directories()
            .iter()
            .map(|directory| directory.join(&self.name).display().to_string())
            .collect();
        list.join(", ")
    }

    /// The file that the kernel would take, as far as this process's view of
    /// the file system is the kernel's.
    pub(crate) fn find(&self) -> Option<Found> {
        self.directories().into_iter().find_map(|directory| {
            let path = directory.join(&self.name);
            let length = fs::metadata(&path)
                .ok()
                .filter(fs::Metadata::is_file)?
                .len();
            Some(Found { path, length })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameter_comes_first() {
        let mut firmware = Firmware::fixed();
        assert_eq!(
            firmware.places(),
            "/lib/firmware/updates/6.1.0-18-amd64/mercury/mercury-x86_64.img, \
             /lib/firmware/updates/mercury/mercury-x86_64.img, \
             /lib/firmware/6.1.0-18-amd64/mercury/mercury-x86_64.img, \
             /lib/firmware/mercury/mercury-x86_64.img"
        );
        firmware.parameter = Some("/run/images".to_owned());
        assert!(
            firmware
                .places()
                .starts_with("/run/images/mercury/mercury-x86_64.img, ")
        );
    }

    #[test]
    fn a_file_is_found_and_a_directory_is_not() {
        let directory =
            std::env::temp_dir().join(format!("mercury-firmware-{}", std::process::id()));
        fs::create_dir_all(directory.join("folder.bin")).unwrap();
        fs::write(directory.join("image.bin"), b"12345").unwrap();
        let mut firmware = Firmware::fixed();
        firmware.parameter = Some(directory.display().to_string());
        firmware.name = "image.bin".to_owned();
        assert_eq!(firmware.find().unwrap().length, 5);
        firmware.name = "folder.bin".to_owned();
        assert_eq!(firmware.find(), None);
        fs::remove_dir_all(directory).unwrap();
    }
}
