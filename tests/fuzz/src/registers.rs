// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a guest writes to model-specific registers: which writes exit, and what
//! becomes of those that do. The table in `svm/permission.rs` is read a second
//! time here.

use arbitrary::Unstructured;
use mercury_x86::svm::permission::{self, Written};
use mercury_x86::vmx;

const EFER: u32 = 0xc000_0080;
const VM_CR: u32 = 0xc001_0114;
const VM_HSAVE_PA: u32 = 0xc001_0117;
const PATCH_LOADER: u32 = 0xc001_0020;

const LME: u64 = 1 << 8;
const LMA: u64 = 1 << 10;
const SVME: u64 = 1 << 12;
const PAGING: u64 = 1 << 31;

/// Where SVM's map has a register's two bits (APM 15.11).
fn exits_under_svm(register: u32) -> Option<(bool, bool)> {
    let base = match register >> 13 {
        0 => 0,
        0x6_0000 => 0x800,
        0x6_0008 => 0x1000,
        _ => return None,
    };
    let bit = base * 8 + (register & 0x1fff) as usize * 2;
    let word = permission::word(bit / 64);
    Some((word >> (bit % 64) & 1 != 0, word >> (bit % 64 + 1) & 1 != 0))
}

fn efer(input: &mut Unstructured<'_>) {
    let value = input.arbitrary::<u64>().unwrap_or_default();
    let old = input.arbitrary::<u64>().unwrap_or_default() | SVME;
    let cr0 = input.arbitrary::<u64>().unwrap_or_default();
    match permission::efer(value, old, cr0) {
        Some(new) => {
            assert_eq!(new & SVME, SVME, "SVME is never lost");
            assert_eq!(new & LMA, old & LMA, "LMA is the CPU's");
            let others = !(SVME | LMA);
            assert_eq!(new & others, value & others);
            assert!(cr0 & PAGING == 0 || (value ^ old) & LME == 0);
        }
        None => assert!(cr0 & PAGING != 0 && (value ^ old) & LME != 0),
    }
}

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Unstructured::new(bytes);
    let register = input.arbitrary::<u32>().unwrap_or_default();
    let written = permission::written(register);
    let expected = match register {
        EFER => Written::Efer,
        VM_CR | VM_HSAVE_PA => Written::Kept,
        PATCH_LOADER => Written::Microcode,
        _ => Written::Passed,
    };
    assert_eq!(written, expected, "{register:#x}");
    if let Some((reads, writes)) = exits_under_svm(register) {
        assert_eq!(writes, written != Written::Passed, "{register:#x}");
        assert_eq!(reads, register == VM_HSAVE_PA, "{register:#x}");
    }
    let memory_type = matches!(register, 0x200..=0x213 | 0x250..=0x259 | 0x268..=0x26f | 0x2ff);
    assert_eq!(vmx::permission::is_memory_type(register), memory_type);
    if register < 0x2000 {
        let word = vmx::permission::word(256 + register as usize / 64);
        assert_eq!(
            word >> (register % 64) & 1 != 0,
            memory_type || register == 0x79
        );
    }
    efer(&mut input);
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    [
        EFER,
        VM_CR,
        VM_HSAVE_PA,
        PATCH_LOADER,
        0x79,
        0x200,
        0x2ff,
        0x277,
    ]
    .map(|register| {
        let mut seed = register.to_le_bytes().to_vec();
        for word in [0xd01 | SVME, 0xd01, 0x8005_0033] {
            seed.extend(word.to_le_bytes());
        }
        seed
    })
    .to_vec()
}
