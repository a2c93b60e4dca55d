// SPDX-License-Identifier: MIT OR Apache-2.0
//! The instruction sets, as `ARCH=` names them, and what each is called by
//! cargo, by Debian, by the kernel's build.
//!
//! A guest of another instruction set than this machine's is emulated, and
//! what runs in it is cross-built: `cross` says with which tools.

use anyhow::{Error, bail};
use serde::{Deserialize, Serialize};
use std::env::consts;
use std::fmt;
use std::str::FromStr;

/// One instruction set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
pub(crate) enum Arch {
    /// 64-bit PCs.
    #[serde(rename = "x86_64")]
    X86_64,
    /// 64-bit ARM.
    #[serde(rename = "aarch64")]
    Aarch64,
}

impl Arch {
    /// All of them.
    pub(crate) const ALL: [Self; 2] = [Self::X86_64, Self::Aarch64];

    /// As `ARCH=`, Rust and the image's file name say it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// As Debian says it.
    pub(crate) fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }

    /// The kernel package that is taken where none is named.
    pub(crate) fn kernel(self) -> &'static str {
        match self {
            Self::X86_64 => "linux-image-amd64",
            Self::Aarch64 => "linux-image-arm64",
        }
    }

    /// As the kernel's own build says it (`ARCH=`).
    pub(crate) fn kbuild(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "arm64",
        }
    }

    /// The board that stands for it where none is named.
    pub(crate) fn board(self) -> &'static str {
        match self {
            Self::X86_64 => "qemu-q35",
            Self::Aarch64 => "qemu-virt",
        }
    }

    /// The virtualisation extension of a row that names none.
    pub(crate) fn backend(self) -> &'static str {
        match self {
            Self::X86_64 => "svm",
            Self::Aarch64 => "el2",
        }
    }

    /// Rust's target for the image. Without floating point on ARM64 too: the
    /// registers are the guest's.
    pub(crate) fn bare_metal(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-none",
            Self::Aarch64 => "aarch64-unknown-none-softfloat",
        }
    }

    /// Rust's target for programs.
    pub(crate) fn linux(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-gnu",
            Self::Aarch64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// The folder of the image's crate.
    pub(crate) fn image_crate(self) -> String {
        format!("image/{}", self.name())
    }

    /// The image's crate, and the ELF file that cargo makes of it.
    pub(crate) fn image_package(self) -> String {
        format!("mercury-image-{}", self.name())
    }

    /// The flat image's file name, here and in the guest.
    pub(crate) fn image_file(self) -> String {
        format!("mercury-{}.img", self.name())
    }

    /// Whether this machine has it itself.
    pub(crate) fn is_ours(self) -> bool {
        self.name() == consts::ARCH
    }

    /// The prefix of its GNU tools; none for this machine's own.
    pub(crate) fn cross(self) -> &'static str {
        match self {
            _ if self.is_ours() => "",
            Self::X86_64 => "x86_64-linux-gnu-",
            Self::Aarch64 => "aarch64-linux-gnu-",
        }
    }

    /// One of its GNU tools.
    pub(crate) fn tool(self, name: &str) -> String {
        format!("{}{name}", self.cross())
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.name())
    }
}

impl FromStr for Arch {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match Self::ALL.into_iter().find(|arch| arch.name() == text) {
            Some(arch) => Ok(arch),
            None => bail!(
                "ARCH={text} is not supported yet; supported: {}",
                Self::ALL.map(Self::name).join(", ")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for arch in Arch::ALL {
            assert_eq!(arch.to_string().parse::<Arch>().unwrap(), arch);
        }
        let refused = "sparc".parse::<Arch>().unwrap_err().to_string();
        assert!(refused.contains("ARCH=sparc") && refused.contains("aarch64"));
    }

    #[test]
    fn only_another_machines_tools_have_a_prefix() {
        for arch in Arch::ALL {
            assert_eq!(arch.tool("objcopy") == "objcopy", arch.is_ours());
        }
    }
}
