// SPDX-License-Identifier: MIT OR Apache-2.0
//! What comes through the door: the operation's number, the list of lent blocks,
//! a range to map, the bits of an address. An independent reading in wider
//! numbers says what each must come to.
#![expect(
    unsafe_code,
    reason = "gives back a list that the core believes to stay for ever"
)]

use arbitrary::Unstructured;
use mercury_aarch64::shape;
use mercury_core::lent::Lent;
use mercury_hal::addr::{GuestRange, HostPhysical, PAGE_SIZE};
use mercury_hal::door::{Block, MAX_BLOCKS, Operation};

fn bounds(block: &Block) -> (u128, u128) {
    let start = u128::from(block.start);
    (
        start,
        start + u128::from(block.pages) * u128::from(PAGE_SIZE),
    )
}

/// Whether the list is one that a kernel can mean.
fn sound(blocks: &[Block]) -> bool {
    blocks.iter().enumerate().all(|(index, block)| {
        let (start, end) = bounds(block);
        let apart = blocks[..index].iter().all(|other| {
            let (from, to) = bounds(other);
            end <= from || to <= start
        });
        block.pages > 0 && block.start % PAGE_SIZE == 0 && end <= u128::from(u64::MAX) && apart
    })
}

fn numbers_and_addresses_agree(lent: &Lent, blocks: &[Block]) {
    let mut number = 0;
    for block in blocks {
        for page in [0, block.pages / 2, block.pages - 1] {
            let address = HostPhysical(block.start + page * PAGE_SIZE);
            assert_eq!(lent.address(number + page), Some(address));
            assert_eq!(lent.number(address), Some(number + page));
        }
        number += block.pages;
    }
    assert_eq!((lent.frames(), lent.address(number)), (number, None));
}

fn lend(input: &mut Unstructured<'_>) {
    let count = input.int_in_range(0..=8).unwrap_or_default();
    let mut blocks = Vec::new();
    for _ in 0..count.min(MAX_BLOCKS) {
        // Mostly near each other, so that they meet; sometimes anywhere.
        let near = input.ratio(3, 4).unwrap_or_default();
        let small = u64::from(input.arbitrary::<u8>().unwrap_or_default());
        let start = input.arbitrary::<u64>().unwrap_or_default();
        let pages = input.arbitrary::<u64>().unwrap_or_default();
        blocks.push(if near {
            Block {
                start: (start & 63) * PAGE_SIZE,
                pages: small & 15,
            }
        } else {
            Block { start, pages }
        });
    }
    let leaked: &'static mut [Block] = Vec::leak(blocks.clone());
    let raw: *mut [Block] = leaked;
    // SAFETY: leaked a moment ago, and read only until it is taken back below.
    let lent = Lent::new(unsafe { &*raw });
    assert_eq!(lent.is_ok(), sound(&blocks), "{blocks:x?}");
    if let Ok(lent) = lent {
        numbers_and_addresses_agree(&lent, &blocks);
    }
    // SAFETY: it came from a Vec of exactly this length, and `lent` is not used
    // any more.
    drop(unsafe { Box::from_raw(raw) });
}

fn range(input: &mut Unstructured<'_>) {
    let start = input.arbitrary::<u64>().unwrap_or_default();
    let end = input.arbitrary::<u64>().unwrap_or_default();
    let found = GuestRange::new(start, end);
    assert_eq!(found.is_some(), start < end);
    let Some(found) = found else { return };
    for size in [1u64 << 12, 1 << 21, 1 << 30] {
        let grown = found.grown_to(size);
        assert!(grown.start() <= start && start - grown.start() < size);
        assert!(grown.start() % size == 0 && grown.end() % size == 0);
        assert!(
            grown.end() >= end || grown.end() == !(size - 1),
            "{grown:x?}"
        );
    }
}

fn bits(input: &mut Unstructured<'_>) {
    let bits = input.arbitrary::<u32>().unwrap_or_default();
    if let Some(range) = shape::physical_range(bits) {
        let start = shape::start_of_walk(range).expect("a range that was given has a start");
        assert!(start.address_bits <= bits && start.address_bits >= bits.min(48));
        let reach = 12 + 9 * start.levels + start.root_tables.ilog2();
        assert!(reach >= start.address_bits);
        // T0SZ and PS say the same number of bits.
        assert_eq!(
            64 - (start.vtcr(range) & 0x3f),
            u64::from(start.address_bits)
        );
    }
    let range = input.arbitrary::<u64>().unwrap_or_default();
    if let Some(start) = shape::start_of_walk(range) {
        assert!(range & 0xf <= 6 && start.root_tables.is_power_of_two());
    }
}

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Unstructured::new(bytes);
    let number = input.arbitrary::<u64>().unwrap_or_default();
    let operation = Operation::decode(number);
    assert_eq!(
        operation.map(|found| found as u64),
        Some(number).filter(|found| *found < 5)
    );
    bits(&mut input);
    range(&mut input);
    lend(&mut input);
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    (0..6u8)
        .map(|operation| {
            let mut seed = vec![operation, 0, 0, 0, 0, 0, 0, 0, 40 + operation, 0, 0, 0];
            seed.extend((0..200).map(|at| at ^ operation));
            seed
        })
        .collect()
}
