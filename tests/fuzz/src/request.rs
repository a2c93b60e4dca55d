// SPDX-License-Identifier: MIT OR Apache-2.0
//! An ioctl: its number and what comes with it (`request.h`).
#![expect(unsafe_code, reason = "calls the module's C")]

use arbitrary::Unstructured;
use mercury_device::abi;

unsafe extern "C" {
    fn fuzz_request(command: u32, bytes: *const u8, size: u64) -> i32;
    fn fuzz_request_largest() -> u32;
}

const MOST_CALLS: u32 = 100_000;
const EINVAL: i32 = 22;
const EPROTO: i32 = 71;

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Unstructured::new(bytes);
    let command = input.arbitrary::<u32>().unwrap_or_default();
    let rest = input.take_rest();
    // SAFETY: the bytes are as many as it says.
    let found = unsafe { fuzz_request(command, rest.as_ptr(), rest.len() as u64) };
    // SAFETY: computes a constant.
    let largest = unsafe { fuzz_request_largest() };
    // Number, type, size, direction, from the lowest bit (ioctl(2)).
    let (kind, size) = (command >> 8 & 0xff, command >> 16 & 0x3fff);
    if found < 0 {
        assert!(kind != u32::from(b'm') || size < 4 || size > largest);
        return;
    }
    assert!(
        kind == u32::from(b'm') && (4..=largest).contains(&size),
        "{command:#x}"
    );
    let word = |index: usize| {
        let mut word = [0; 4];
        let brought = &rest[..rest.len().min(size as usize)];
        for (to, from) in word.iter_mut().zip(brought.iter().skip(index * 4)) {
            *to = *from;
        }
        u32::from_le_bytes(word)
    };
    let expected = match (command, word(0), word(2)) {
        _ if command == abi::INFO.value() => 0,
        (_, version, _) if version != abi::VERSION => EPROTO,
        (_, _, count) if command == abi::NULL_CALLS.value() => {
            if (1..=MOST_CALLS).contains(&count) {
                0
            } else {
                EINVAL
            }
        }
        _ => 0,
    };
    assert_eq!(found, expected, "{command:#x} with {rest:x?}");
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let with = |command: u32, words: [u32; 4]| {
        let mut seed = command.to_le_bytes().to_vec();
        seed.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        seed
    };
    vec![
        with(abi::INFO.value(), [0; 4]),
        with(abi::NULL_CALLS.value(), [abi::VERSION, 0, 5, 0]),
        with(abi::NULL_CALLS.value(), [abi::VERSION, 0, 0, 0]),
        with(abi::ATTACH.value(), [abi::VERSION, 0, 0, 0]),
        with(abi::ATTACH.value(), [9, 0, 0, 0]),
    ]
}
