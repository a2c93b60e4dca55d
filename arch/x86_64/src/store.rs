// SPDX-License-Identifier: MIT OR Apache-2.0
//! Decoding a store, so that it can be dropped.
//!
//! A store to the hole takes no effect and the next instruction runs. For that
//! the length of the instruction must be known, and that it is nothing but a
//! store: an instruction that also loads, computes flags or is locked would go
//! on with a wrong result, so it is not decoded and gets a protection fault
//! instead. What a kernel's memory functions consist of is here: MOV, MOVNTI,
//! STOS and MOVS with and without REP, and the SSE moves to memory (APM
//! volume 3, appendix A; volume 4). 64-bit mode only.

/// What kind of store it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing changes but the instruction pointer.
    Plain,
    /// STOS or MOVS: RDI moves on; with `moves` RSI too; with `repeats` RCX
    /// counts down.
    String {
        /// Has a REP prefix.
        repeats: bool,
        /// MOVS rather than STOS.
        moves: bool,
    },
}

/// A store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Store {
    /// Bytes of the instruction.
    pub length: u8,
    /// Bytes that one store writes.
    pub size: u8,
    /// What else it does.
    pub kind: Kind,
}

/// Longest instruction that the architecture allows.
pub const LONGEST: usize = 15;

struct Bytes<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bytes<'_> {
    fn next(&mut self) -> Option<u8> {
        let byte = self.bytes.get(self.at).copied()?;
        self.at += 1;
        Some(byte)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.at += count;
        (self.at <= self.bytes.len()).then_some(())
    }

    /// ModRM with SIB and displacement; only if it names memory. Returns the
    /// `reg` field, three bits.
    fn memory_operand(&mut self) -> Option<u8> {
        let modrm = self.next()?;
        let (mode, base) = (modrm >> 6, modrm & 7);
        if mode == 3 {
            return None;
        }
        let mut displacement = match mode {
            1 => 1,
            2 => 4,
            _ => 0,
        };
        if base == 4 {
            let sib = self.next()?;
            if mode == 0 && sib & 7 == 5 {
                displacement = 4;
            }
        } else if mode == 0 && base == 5 {
            displacement = if cfg!(feature = "planted-store-displacement") {
                1
            } else {
                4
            };
        }
        self.skip(displacement)?;
        Some(modrm >> 3 & 7)
    }
}

#[derive(Default)]
struct Prefixes {
    operand: bool,
    repeat: bool,
    repeat_not: bool,
    wide: bool,
}

impl Prefixes {
    fn operand_size(&self) -> u8 {
        if self.wide {
            8
        } else if self.operand {
            2
        } else {
            4
        }
    }
}

/// Decodes the instruction at the start of `bytes`, if it is a plain store.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Store> {
    let mut bytes = Bytes {
        bytes: bytes.get(..LONGEST.min(bytes.len()))?,
        at: 0,
    };
    let mut prefixes = Prefixes::default();
    let opcode = loop {
        match bytes.next()? {
            0x66 => prefixes.operand = true,
            0xf3 => (prefixes.repeat, prefixes.repeat_not) = (true, false),
            0xf2 => (prefixes.repeat, prefixes.repeat_not) = (false, true),
            // Segment overrides change the address, and that has been used.
            0x26 | 0x2e | 0x36 | 0x3e | 0x64 | 0x65 => {}
            // LOCK is never a plain store; a 32-bit address would wrap
            // RDI and RCX otherwise than below.
            0xf0 | 0x67 => return None,
            rex @ 0x40..=0x4f => {
                prefixes.wide = rex & 8 != 0;
                // REX counts only directly before the opcode.
                break bytes.next()?;
            }
            opcode => break opcode,
        }
    };
    let (size, kind) = match opcode {
        0x88 => {
            bytes.memory_operand()?;
            (1, Kind::Plain)
        }
        0x89 => {
            bytes.memory_operand()?;
            (prefixes.operand_size(), Kind::Plain)
        }
        0xc6 => {
            (bytes.memory_operand()? == 0).then_some(())?;
            bytes.skip(1)?;
            (1, Kind::Plain)
        }
        0xc7 => {
            (bytes.memory_operand()? == 0).then_some(())?;
            let size = prefixes.operand_size();
            bytes.skip(usize::from(size.min(4)))?;
            (size, Kind::Plain)
        }
        0xa4 | 0xa5 | 0xaa | 0xab => {
            let size = if opcode & 1 == 0 {
                1
            } else {
                prefixes.operand_size()
            };
            let kind = Kind::String {
                // On strings that do not compare, both prefixes repeat.
                repeats: prefixes.repeat || prefixes.repeat_not,
                moves: opcode < 0xa8,
            };
            (size, kind)
        }
        0x0f => (two_byte(&mut bytes, &prefixes)?, Kind::Plain),
        _ => return None,
    };
    Some(Store {
        length: u8::try_from(bytes.at).ok()?,
        size,
        kind,
    })
}

/// The second byte of a two-byte opcode and its operands; returns the size.
fn two_byte(bytes: &mut Bytes<'_>, prefixes: &Prefixes) -> Option<u8> {
    let opcode = bytes.next()?;
    bytes.memory_operand()?;
    let (operand, repeat, repeat_not) = (prefixes.operand, prefixes.repeat, prefixes.repeat_not);
    let none = !operand && !repeat && !repeat_not;
    let packed = !repeat && !repeat_not;
    match opcode {
        // MOVUPS/MOVUPD, MOVSS, MOVSD
        0x11 if packed => Some(16),
        0x11 if repeat => Some(4),
        0x11 => Some(8),
        // MOVLPS/MOVLPD, MOVHPS/MOVHPD
        0x13 | 0x17 if packed => Some(8),
        // MOVAPS/MOVAPD, MOVNTPS/MOVNTPD
        0x29 | 0x2b if packed => Some(16),
        // MOVNTI
        0xc3 if none => Some(if prefixes.wide { 8 } else { 4 }),
        // MOVD/MOVQ from MMX and XMM
        0x7e if packed => Some(if prefixes.wide { 8 } else { 4 }),
        // MOVQ from MMX, MOVDQA, MOVDQU
        0x7f if none => Some(8),
        0x7f if operand && packed => Some(16),
        0x7f if repeat && !operand => Some(16),
        // MOVQ from XMM; MOVNTQ, MOVNTDQ
        0xd6 if operand && packed => Some(8),
        0xe7 if none => Some(8),
        0xe7 if operand && packed => Some(16),
        _ => None,
    }
}

/// Length of an instruction of two opcode bytes that may carry prefixes
/// (RDMSR, WRMSR, VMMCALL): the fallback where the CPU does not say where the
/// next instruction is. `opcode` is what must stand there.
#[must_use]
pub fn length_with_prefixes(bytes: &[u8], opcode: &[u8]) -> Option<u8> {
    let prefixes = bytes
        .iter()
        .take_while(|byte| {
            matches!(
                **byte,
                0x26 | 0x2e | 0x36 | 0x3e | 0x40..=0x4f | 0x64..=0x67 | 0xf2 | 0xf3
            )
        })
        .count();
    let rest = bytes.get(prefixes..prefixes + opcode.len())?;
    let length = prefixes + opcode.len();
    (rest == opcode && length <= LONGEST).then_some(length as u8)
}

#[cfg(test)]
mod tests {
    use iced_x86::Decoder;
    use iced_x86::DecoderOptions;
    use iced_x86::InstructionInfoFactory;
    use iced_x86::OpAccess;
    use proptest::prelude::*;

    use super::*;

    fn store(length: u8, size: u8, kind: Kind) -> Option<Store> {
        Some(Store { length, size, kind })
    }

    #[test]
    fn what_kernels_use_is_decoded() {
        let string = |repeats, moves| Kind::String { repeats, moves };
        let table: &[(&[u8], Option<Store>)] = &[
            (&[0x88, 0x07], store(2, 1, Kind::Plain)),
            (&[0x66, 0x89, 0x47, 0x10], store(4, 2, Kind::Plain)),
            (&[0x89, 0x84, 0x24, 1, 2, 3, 4], store(7, 4, Kind::Plain)),
            (&[0x48, 0x89, 0x05, 1, 2, 3, 4], store(7, 8, Kind::Plain)),
            (&[0x48, 0xc7, 0x07, 1, 2, 3, 4], store(7, 8, Kind::Plain)),
            (&[0x66, 0xc7, 0x07, 1, 2], store(5, 2, Kind::Plain)),
            (&[0xc6, 0x04, 0x25, 0, 0, 0, 0, 9], store(8, 1, Kind::Plain)),
            (&[0x48, 0x0f, 0xc3, 0x07], store(4, 8, Kind::Plain)),
            (&[0x66, 0x0f, 0x7f, 0x07], store(4, 16, Kind::Plain)),
            (&[0xf3, 0xaa], store(2, 1, string(true, false))),
            (&[0xf3, 0x48, 0xab], store(3, 8, string(true, false))),
            (&[0xf3, 0x48, 0xa5], store(3, 8, string(true, true))),
            (&[0xa4], store(1, 1, string(false, true))),
            // lock inc, xchg, add to memory, mov from memory, mov to register
            (&[0xf0, 0x48, 0xff, 0x07], None),
            (&[0x48, 0x87, 0x07], None),
            (&[0x01, 0x07], None),
            (&[0x8b, 0x07], None),
            (&[0x89, 0xc0], None),
            (&[], None),
            (&[0x89], None),
            (&[0x48, 0xc7, 0x07, 1, 2, 3], None),
        ];
        for (bytes, expected) in table {
            assert_eq!(decode(bytes), *expected, "{bytes:x?}");
        }
    }

    #[test]
    fn prefixes_count_into_the_length() {
        assert_eq!(length_with_prefixes(&[0x0f, 0x32], &[0x0f, 0x32]), Some(2));
        assert_eq!(
            length_with_prefixes(&[0x66, 0x48, 0x0f, 0x30], &[0x0f, 0x30]),
            Some(4)
        );
        assert_eq!(length_with_prefixes(&[0x0f, 0x30], &[0x0f, 0x32]), None);
        assert_eq!(length_with_prefixes(&[0x66; 15], &[0x0f, 0x32]), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        /// Whatever we call a store, an independent decoder calls the same:
        /// same length, same size, memory written and not read (MOVS reads its
        /// source), no flags touched.
        #[test]
        fn agrees_with_an_independent_decoder(
            lead in prop::sample::select(std::vec![
                0x88u8, 0x89, 0xc6, 0xc7, 0xa4, 0xa5, 0xaa, 0xab, 0x0f, 0x48, 0x66, 0xf3, 0xf2, 0x4f, 0x65, 0x67,
            ]),
            rest in prop::array::uniform14(any::<u8>()),
        ) {
            let mut bytes = [0u8; 15];
            bytes[0] = lead;
            bytes[1..].copy_from_slice(&rest);
            if let Some(found) = decode(&bytes) {
                let mut decoder = Decoder::new(64, &bytes, DecoderOptions::AMD);
                let instruction = decoder.decode();
                prop_assert!(!instruction.is_invalid(), "{bytes:x?}");
                prop_assert_eq!(instruction.len(), usize::from(found.length), "{:x?}", bytes);
                let mut factory = InstructionInfoFactory::new();
                let info = factory.info(&instruction);
                let writes = info.used_memory().iter().filter(|used| {
                    matches!(used.access(), OpAccess::Write | OpAccess::CondWrite)
                }).count();
                prop_assert_eq!(writes, 1, "{:x?} {}", bytes, instruction);
                prop_assert_eq!(instruction.memory_size().size(), usize::from(found.size), "{:x?} {}", bytes, instruction);
                prop_assert_eq!(instruction.rflags_modified(), 0);
            }
        }
    }
}
