// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether an image may go to a disk. What would destroy something that is in use
//! or cannot work is refused for good; what is only unlikely to be meant, until
//! it is forced.

use super::device::Device;
use super::{Image, size};

/// Why this image must not go to this disk.
pub(super) fn refusal(image: &Image, device: &Device, force: bool) -> Option<String> {
    let name = device.path.display();
    if !device.uses.is_empty() {
        return Some(format!(
            "{name} is in use: {}; end that first (umount, swapoff, ...). FORCE=1 does not help",
            device.uses.join("; ")
        ));
    }
    if device.read_only {
        return Some(format!(
            "{name} cannot be written: is the card's lock switch on?"
        ));
    }
    if device.bytes == 0 {
        return Some(format!(
            "{name} has no size: is there a card in the reader?"
        ));
    }
    if device.bytes < image.bytes {
        return Some(format!(
            "{name} has {}, the image needs {}",
            size(device.bytes),
            size(image.bytes)
        ));
    }
    if image.bytes == 0 || !image.bytes.is_multiple_of(512) {
        return Some(format!(
            "{} is no disk image: its size is {} bytes, expected a multiple of 512",
            image.path.display(),
            image.bytes
        ));
    }
    if !device.removable && !force {
        return Some(format!(
            "{name} is no card or stick (not removable): if it is the right disk, say FORCE=1"
        ));
    }
    if !image.missing.is_empty() && !force {
        return Some(format!(
            "{} lacks {}, without which the board does not boot: make it again with FIRMWARE=folder, or say FORCE=1",
            image.path.display(),
            image.missing.join(", ")
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device() -> Device {
        Device {
            path: "/dev/sdb".into(),
            name: "sdb".into(),
            bytes: 64 << 20,
            model: "Card Reader".into(),
            removable: true,
            read_only: false,
            partitions: Vec::new(),
            uses: Vec::new(),
        }
    }

    fn image() -> Image {
        Image {
            path: "x.img".into(),
            bytes: 64 << 20,
            missing: Vec::new(),
        }
    }

    fn refused(change: fn(&mut Image, &mut Device), force: bool) -> bool {
        let (mut image, mut device) = (image(), device());
        change(&mut image, &mut device);
        refusal(&image, &device, force).is_some()
    }

    #[test]
    fn a_card_is_taken() {
        assert!(!refused(|_, _| {}, false));
    }

    #[test]
    fn force_helps_against_caution_only() {
        for change in [
            (|_, device| device.removable = false) as fn(&mut Image, &mut Device),
            |image, _| image.missing = vec!["start.elf".into()],
        ] {
            assert!(refused(change, false));
            assert!(!refused(change, true));
        }
    }

    #[test]
    fn nothing_helps_against_what_cannot_or_must_not_be() {
        for change in [
            (|_, device| device.uses = vec!["sdb1 is mounted at /".into()])
                as fn(&mut Image, &mut Device),
            |_, device| device.read_only = true,
            |_, device| device.bytes = 0,
            |_, device| device.bytes -= 512,
            |image, _| image.bytes = 0,
            |image, _| image.bytes -= 1,
        ] {
            assert!(refused(change, false) && refused(change, true));
        }
    }
}
