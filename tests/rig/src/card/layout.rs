// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a board's loader reads from the medium: how the kernel, the device tree
//! and the initramfs are named to it, and with which parameters Linux starts.
//!
//! It is written and read here. Reading is what the loader does, so that QEMU,
//! which has no loader for these boards, can boot from the very image.

use super::medium::File;
use crate::boot::Layout;
use anyhow::{Context, Result, bail};
use std::collections::HashMap;

const KERNEL: &str = "vmlinuz";
const INITRAMFS: &str = "initramfs.img";
const CONFIG: &str = "config.txt";
const PARAMETERS: &str = "cmdline.txt";
const EXTLINUX: &str = "extlinux/extlinux.conf";

/// What is booted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Boot {
    /// The kernel's `Image`.
    pub(crate) kernel: Vec<u8>,
    /// The initramfs.
    pub(crate) initramfs: Vec<u8>,
    /// The device tree: its file's name and what is in it.
    pub(crate) device_tree: (String, Vec<u8>),
    /// Linux's parameters.
    pub(crate) parameters: String,
}

impl Boot {
    /// The files that make the board boot this.
    pub(crate) fn files(self, board: &str, layout: Layout) -> Result<Vec<File>> {
        let (tree, tree_contents) = self.device_tree;
        let mut files = vec![
            File::new(KERNEL, self.kernel),
            File::new(INITRAMFS, self.initramfs),
            File::new(&tree, tree_contents),
        ];
        let parameters = self.parameters;
        match layout {
            Layout::RaspberryPi => {
                files.push(File::new(
                    CONFIG,
                    format!(
                        "# Read by the Raspberry Pi's firmware. Made by 'make image BOARD={board}'.\n\
                         arm_64bit=1\n\
                         # The serial port on pins 8 and 10 of the header.\n\
                         enable_uart=1\n\
                         kernel={KERNEL}\n\
                         device_tree={tree}\n\
                         initramfs {INITRAMFS} followkernel\n\
                         cmdline={PARAMETERS}\n"
                    ),
                ));
                files.push(File::new(PARAMETERS, format!("{parameters}\n")));
            }
            Layout::Extlinux => files.push(File::new(
                EXTLINUX,
                format!(
                    "# Read by U-Boot. Made by 'make image BOARD={board}'.\n\
                     default mercury\n\
                     timeout 30\n\
                     label mercury\n\
                     \tmenu label Debian's kernel with Mercury\n\
                     \tlinux /{KERNEL}\n\
                     \tinitrd /{INITRAMFS}\n\
                     \tfdt /{tree}\n\
                     \tappend {parameters}\n"
                ),
            )),
            Layout::LateLaunch => bail!(
                "no medium is made for {board}: Mercury goes into a Linux that is installed there"
            ),
        }
        Ok(files)
    }

    /// What the board boots from these files.
    pub(crate) fn from_files(files: Vec<File>, layout: Layout) -> Result<Self> {
        let mut files: HashMap<String, Vec<u8>> = files
            .into_iter()
            .map(|file| (file.path, file.contents))
            .collect();
        let mut take = |name: &str| {
            files
                .remove(name.trim_start_matches('/'))
                .with_context(|| format!("there is no file {name} on it"))
        };
        let (config, separator) = match layout {
            Layout::RaspberryPi => (CONFIG, '='),
            Layout::Extlinux => (EXTLINUX, ' '),
            Layout::LateLaunch => bail!("this board boots from no medium"),
        };
        let text = String::from_utf8(take(config)?).with_context(|| format!("reading {config}"))?;
        let value = |key: &str| {
            values(&text, separator, key)
                .or_else(|| values(&text, ' ', key))
                .with_context(|| format!("{config} names no '{key}'"))
        };
        let named = |key: &str| {
            value(key).map(|text| text.split(' ').next().unwrap_or_default().to_owned())
        };
        let (kernel, initramfs, tree) = match layout {
            Layout::RaspberryPi => (named("kernel")?, named("initramfs")?, named("device_tree")?),
            _ => (named("linux")?, named("initrd")?, named("fdt")?),
        };
        let parameters = match layout {
            Layout::RaspberryPi => {
                String::from_utf8(take(&named("cmdline")?)?).context("reading the parameters")?
            }
            _ => value("append")?,
        };
        Ok(Self {
            kernel: take(&kernel)?,
            initramfs: take(&initramfs)?,
            device_tree: (tree.trim_start_matches('/').to_owned(), take(&tree)?),
            parameters: parameters.trim().to_owned(),
        })
    }
}

/// The rest of the line that begins with this key.
fn values(text: &str, separator: char, key: &str) -> Option<String> {
    text.lines()
        .filter_map(|line| line.trim().split_once(separator))
        .find(|(name, _)| *name == key)
        .map(|(_, value)| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot() -> Boot {
        Boot {
            kernel: b"kernel".to_vec(),
            initramfs: b"initramfs".to_vec(),
            device_tree: ("a.dtb".into(), b"tree".to_vec()),
            parameters: "console=ttyS1,115200 panic=10".into(),
        }
    }

    #[test]
    fn a_board_boots_what_was_laid_out_for_it() {
        for layout in [Layout::RaspberryPi, Layout::Extlinux] {
            let files = boot().files("x", layout).unwrap();
            assert_eq!(Boot::from_files(files, layout).unwrap(), boot());
        }
        assert!(boot().files("x", Layout::LateLaunch).is_err());
    }

    #[test]
    fn a_file_that_is_named_and_missing_is_said() {
        let mut files = boot().files("x", Layout::RaspberryPi).unwrap();
        files.retain(|file| file.path != INITRAMFS);
        let refused = Boot::from_files(files, Layout::RaspberryPi).unwrap_err();
        assert!(refused.to_string().contains(INITRAMFS));
        let files = boot().files("x", Layout::Extlinux).unwrap();
        assert!(Boot::from_files(files, Layout::RaspberryPi).is_err());
    }
}
