// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images that must not be loaded: missing, cut, for another machine, of
//! another version, or simply another one. The file is edited and put back.
//! The module keeps an image that it has accepted; here it has to forget it
//! before each look, and then not to need the file when it has one.

use crate::expect::{self, Refused};
use crate::parameters;
use crate::tool;
use anyhow::{Context, Result, ensure};
use mercury_device::{AttachOptions, Device, Requirement};
use std::fs;
use std::path::PathBuf;

/// Where the header has what (`mercury_door.h`, struct mercury_image_header).
const ABI: usize = 8;
const ARCHITECTURE: usize = 16;

/// The image file; put back as it was when dropped.
struct Original {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Original {
    fn read(device: &Device) -> Result<Self> {
        let path = PathBuf::from("/lib/firmware").join(device.info()?.image_name);
        let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        Ok(Self { path, bytes })
    }
}

impl Drop for Original {
    fn drop(&mut self) {
        if let Err(error) = fs::write(&self.path, &self.bytes) {
            eprintln!(
                "mercury-judge: putting {} back: {error}",
                self.path.display()
            );
        }
    }
}

type Edit = fn(&mut Vec<u8>);

const EDITS: [(&str, Requirement, Edit); 6] = [
    ("cut in half", Requirement::ImageWhole, |bytes| {
        bytes.truncate(bytes.len() / 2)
    }),
    ("cut to 10 bytes", Requirement::ImageWhole, |bytes| {
        bytes.truncate(10)
    }),
    (
        "without its magic number",
        Requirement::ImageWhole,
        |bytes| bytes[0] ^= 0xff,
    ),
    (
        "for another architecture",
        Requirement::ImageArchitecture,
        |bytes| {
            bytes[ARCHITECTURE..ARCHITECTURE + 8].copy_from_slice(crate::arch::OTHER_NAME);
        },
    ),
    ("of another version", Requirement::ImageAbi, |bytes| {
        bytes[ABI] ^= 0x40
    }),
    (
        "with its last byte changed",
        Requirement::ImageHash,
        |bytes| {
            if let Some(last) = bytes.last_mut() {
                *last ^= 1;
            }
        },
    ),
];

/// All of them; `judge` is asked what to do with each.
pub(crate) fn refusals(
    device: &Device,
    judge: impl Fn(&str, Requirement, Option<i32>, Refused) -> Result<()>,
) -> Result<usize> {
    let original = Original::read(device)?;
    let attach = || expect::refused(device.attach(&AttachOptions::default()));
    let without_copy = parameters::set("inject", "forget")?;
    fs::remove_file(&original.path)?;
    let said = attach().context("image missing")?;
    let words = tool::refuses(&mut tool::mercury(&["attach"]), Requirement::ImageFound)?;
    ensure!(
        words.contains("/lib/firmware"),
        "the tool does not say where it looked for the image: {words}"
    );
    judge(
        "image missing",
        Requirement::ImageFound,
        Some(libc::ENOENT),
        said,
    )?;
    for (name, requirement, edit) in EDITS {
        let mut bytes = original.bytes.clone();
        edit(&mut bytes);
        fs::write(&original.path, &bytes)?;
        let said = attach().with_context(|| format!("image {name}"))?;
        judge(&format!("image {name}"), requirement, None, said)?;
    }
    ensure!(device.status()?.kept_image == 0, "a refused image is kept");
    drop(original);
    expect::round_trip(device).context("with the image put back")?;
    drop(without_copy);
    let original = Original::read(device)?;
    fs::remove_file(&original.path)?;
    expect::round_trip(device).context("with the kept image, and no file")?;
    let kept = device.status()?.kept_image;
    ensure!(
        kept == original.bytes.len() as u64,
        "of an image of {} bytes {kept} are kept",
        original.bytes.len()
    );
    Ok(1 + EDITS.len())
}
