// SPDX-License-Identifier: MIT OR Apache-2.0
//! The image's header, as the module looks at it (`image_header.h`): what passes
//! is read a second time here, in wider numbers.
#![expect(unsafe_code, reason = "calls the module's C")]

use mercury_hal::door::{DOOR_ABI, IMAGE_MAGIC};
use mercury_x86::window::IMAGE_BASE;

unsafe extern "C" {
    fn fuzz_image(bytes: *const u8, size: u64) -> i32;
}

const FITS: i32 = 0;
const HEADER: usize = 128;
const LARGEST: u64 = 1 << 20;

fn word(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

fn half(bytes: &[u8], at: usize) -> u64 {
    word(bytes, at & !7) >> (at % 8 * 8) & 0xffff_ffff
}

pub(crate) fn run(bytes: &[u8]) {
    // SAFETY: the bytes are as many as it says.
    let found = unsafe { fuzz_image(bytes.as_ptr(), bytes.len() as u64) };
    if found != FITS {
        return;
    }
    let size = bytes.len() as u64;
    assert!(bytes.len() >= HEADER && word(bytes, 0) == IMAGE_MAGIC);
    assert_eq!(half(bytes, 8), u64::from(DOOR_ABI));
    assert_eq!(&bytes[16..23], b"x86_64\0");
    let (memory, base, entry) = (word(bytes, 40), word(bytes, 48), word(bytes, 56));
    assert_eq!((word(bytes, 32), base), (size, IMAGE_BASE));
    assert!(memory >= size && memory <= LARGEST);
    assert!(
        (base..base + size).contains(&entry),
        "the entry is in the file"
    );
    let mut next = 0;
    for segment in 0..half(bytes, 12) as usize {
        let at = 64 + segment * 16;
        assert_eq!(half(bytes, at), next, "segment {segment} follows");
        next += half(bytes, at + 4);
    }
    assert_eq!(
        u128::from(next) * 4096,
        u128::from(memory),
        "the segments are all of it"
    );
}

/// A header that fits a file of its own length.
fn sound(pages: [u32; 3]) -> Vec<u8> {
    let total: u32 = pages.iter().sum();
    let mut header = Vec::new();
    header.extend(IMAGE_MAGIC.to_le_bytes());
    header.extend(DOOR_ABI.to_le_bytes());
    header.extend(3u32.to_le_bytes());
    header.extend(b"x86_64\0\0\0\0\0\0\0\0\0\0");
    for word in [
        HEADER as u64,
        u64::from(total) * 4096,
        IMAGE_BASE,
        IMAGE_BASE + 64,
    ] {
        header.extend(word.to_le_bytes());
    }
    let mut first = 0u32;
    for (pages, flags) in pages.into_iter().zip([2u32, 0, 1]) {
        for word in [first, pages, flags, 0] {
            header.extend(word.to_le_bytes());
        }
        first += pages;
    }
    header.resize(HEADER, 0);
    header
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    vec![sound([9, 2, 4]), sound([1, 0, 0]), sound([0x100, 0, 0])]
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_sound_header_fits() {
        let header = super::sound([9, 2, 4]);
        // SAFETY: the bytes are as many as it says.
        let refused = unsafe { super::fuzz_image(header.as_ptr(), header.len() as u64) };
        assert_eq!(refused, 0);
    }
}
