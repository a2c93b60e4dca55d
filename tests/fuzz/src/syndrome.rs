// SPDX-License-Identifier: MIT OR Apache-2.0
//! ESR_EL2 and what goes with it, and the exception that the guest gets instead.
//! Fields are read a second time, by the names that tock-registers has for them.

use aarch64_cpu::registers::ESR_EL2;
use arbitrary::Unstructured;
use mercury_aarch64::inject::{Before, external_abort};
use mercury_aarch64::syndrome::{Cause, Fault, decode, fault_address, translated};
use mercury_hal::exit::Touch;
use tock_registers::LocalRegisterCopy;

const HVC64: u64 = 0x16;
const INSTRUCTION: u64 = 0x20;
const DATA: u64 = 0x24;

fn bit(value: u64, number: u32) -> bool {
    value >> number & 1 != 0
}

fn fault(fault: Fault, esr: u64, class: u64) {
    let (isv, maintenance) = (bit(esr, 24), bit(esr, 8) && class == DATA);
    let touch = match (bit(esr, 7), class, bit(esr, 6) && !bit(esr, 8)) {
        (true, ..) => Touch::Walk,
        (_, INSTRUCTION, _) => Touch::Fetch,
        (.., true) => Touch::Write,
        _ => Touch::Read,
    };
    assert_eq!(
        (fault.touch, fault.maintenance),
        (touch, maintenance),
        "{esr:#x}"
    );
    assert_eq!(
        fault.plain,
        class == DATA && !bit(esr, 7) && isv,
        "{esr:#x}"
    );
    assert_eq!(u64::from(fault.status), esr & 0x3f);
    // What is dropped by going on behind it moves one register, out.
    if fault.is_plain_store() {
        assert!(
            isv && bit(esr, 6) && !bit(esr, 7) && !bit(esr, 8) && class == DATA,
            "{esr:#x}"
        );
    }
    let kinds = [
        fault.is_translation(),
        fault.is_permission(),
        fault.is_address_size(),
        fault.is_conflict(),
    ];
    assert!(kinds.iter().filter(|kind| **kind).count() <= 1, "{esr:#x}");
}

fn exception(input: &mut Unstructured<'_>, esr: u64) {
    let before = Before {
        state: input.arbitrary().unwrap_or_default(),
        sctlr: input.arbitrary().unwrap_or_default(),
        vectors: input.arbitrary::<u64>().unwrap_or_default() & !0x7ff,
        tagging: input.arbitrary().unwrap_or_default(),
    };
    let after = before.take();
    assert_eq!(
        after.state & 0x3df,
        0x3c5,
        "EL1 with its own stack, all masked"
    );
    let offset = after.address.wrapping_sub(before.vectors);
    assert!(
        matches!(offset, 0 | 0x200 | 0x400 | 0x600),
        "a synchronous vector"
    );
    assert_eq!(before.is_user(), offset >= 0x400);
    let aborted = external_abort(esr, before.is_user());
    let class = aborted >> 26;
    assert!(matches!(class, 0x20 | 0x21 | 0x24 | 0x25) && aborted & 0x3f == 0x10);
    assert_eq!(class & 1 == 0, before.is_user());
}

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Unstructured::new(bytes);
    let esr = input.arbitrary::<u64>().unwrap_or_default();
    let class = LocalRegisterCopy::<u64, ESR_EL2::Register>::new(esr).read(ESR_EL2::EC);
    match decode(esr) {
        Cause::Hypercall => assert_eq!(class, HVC64),
        Cause::Fault(found) => {
            assert!(matches!(class, INSTRUCTION | DATA));
            fault(found, esr, class);
        }
        Cause::Other(other) => {
            assert_eq!(u64::from(other), class);
            assert!(!matches!(class, HVC64 | INSTRUCTION | DATA));
        }
    }
    exception(&mut input, esr);
    let far = input.arbitrary::<u64>().unwrap_or_default();
    let other = input.arbitrary::<u64>().unwrap_or_default();
    assert_eq!(fault_address(other, far) & 0xfff, far & 0xfff);
    assert!(fault_address(other, far) < 1 << 52);
    assert_eq!(translated(other, far).is_none(), bit(other, 0));
    assert!(translated(other, far).is_none_or(|found| found < 1 << 52));
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    [
        0x93c0_8007u64,
        0x5a00_0000,
        0x9300_004f,
        0x8200_0006,
        0x9200_0030,
    ]
    .map(|esr| {
        let mut seed = esr.to_le_bytes().to_vec();
        seed.extend(0x3c5u64.to_le_bytes());
        seed.extend([0x5a; 40]);
        seed
    })
    .to_vec()
}
