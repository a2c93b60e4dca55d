// SPDX-License-Identifier: MIT OR Apache-2.0
//! The x86 decoder of stores to the hole against an independent one: what ours
//! takes for a store must be just that, of just that length.

use iced_x86::{Decoder, DecoderOptions, InstructionInfoFactory, OpAccess};
use mercury_x86::store::{LONGEST, decode, length_with_prefixes};

/// Those whose length is asked for where the CPU does not tell.
const KNOWN: [&[u8]; 3] = [&[0x0f, 0x30], &[0x0f, 0x32], &[0x0f, 0x01, 0xd9]];

pub(crate) fn run(bytes: &[u8]) {
    for opcode in KNOWN {
        if let Some(length) = length_with_prefixes(bytes, opcode) {
            let length = usize::from(length);
            assert!(length <= LONGEST && bytes[..length].ends_with(opcode));
        }
    }
    let Some(found) = decode(bytes) else { return };
    let mut decoder = Decoder::new(64, bytes, DecoderOptions::AMD);
    let instruction = decoder.decode();
    assert!(!instruction.is_invalid(), "{bytes:x?}");
    assert_eq!(instruction.len(), usize::from(found.length), "{bytes:x?}");
    let mut factory = InstructionInfoFactory::new();
    let info = factory.info(&instruction);
    let written = |access| matches!(access, OpAccess::Write | OpAccess::CondWrite);
    let writes = info
        .used_memory()
        .iter()
        .filter(|used| written(used.access()));
    assert_eq!(writes.count(), 1, "{bytes:x?}");
    let size = instruction.memory_size().size();
    assert_eq!(size, usize::from(found.size), "{bytes:x?}");
    assert_eq!(instruction.rflags_modified(), 0, "{bytes:x?}");
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let table: [&[u8]; 6] = [
        &[0x66, 0x89, 0x47, 0x10],
        &[0x48, 0xc7, 0x07, 1, 2, 3, 4],
        &[0xf3, 0x48, 0xab],
        &[0x48, 0x0f, 0xc3, 0x07],
        &[0x66, 0x0f, 0x7f, 0x07],
        &[0x66, 0x48, 0x0f, 0x30],
    ];
    table.map(<[u8]>::to_vec).to_vec()
}
