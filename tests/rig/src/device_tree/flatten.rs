// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing a flattened device tree, version 17 (devicetree specification, 5).
//!
//! Not by the crate vm-fdt: it refuses property names of more than 31 characters,
//! as the specification does, and real trees have them
//! (`snps,quirk-frame-length-adjustment`).

use super::Node;
use anyhow::{Context, Result};
use std::collections::HashMap;

const MAGIC: u32 = 0xd00d_feed;
const VERSION: u32 = 17;
const COMPATIBLE_WITH: u32 = 16;
const HEADER_SIZE: usize = 40;
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const END: u32 = 9;

/// The two blocks that grow while the tree is walked.
#[derive(Default)]
struct Blocks {
    structure: Vec<u8>,
    strings: Vec<u8>,
    known: HashMap<String, u32>,
}

/// The whole file.
pub(super) fn flatten(root: &Node, reserved: &[(u64, u64)]) -> Result<Vec<u8>> {
    let mut blocks = Blocks::default();
    blocks.node(root)?;
    blocks.cell(END);
    let mut reservations = Vec::new();
    for (address, size) in reserved.iter().chain(&[(0, 0)]) {
        reservations.extend(address.to_be_bytes());
        reservations.extend(size.to_be_bytes());
    }
    let structure_at = HEADER_SIZE + reservations.len();
    let strings_at = structure_at + blocks.structure.len();
    let total = strings_at + blocks.strings.len();
    let mut file = Vec::with_capacity(total);
    for field in [
        MAGIC,
        number(total)?,
        number(structure_at)?,
        number(strings_at)?,
        number(HEADER_SIZE)?,
        VERSION,
        COMPATIBLE_WITH,
        0, // the CPU that boots
        number(blocks.strings.len())?,
        number(blocks.structure.len())?,
    ] {
        file.extend(field.to_be_bytes());
    }
    file.extend(reservations);
    file.extend(blocks.structure);
    file.extend(blocks.strings);
    Ok(file)
}

impl Blocks {
    fn node(&mut self, node: &Node) -> Result<()> {
        self.cell(BEGIN_NODE);
        self.padded(node.name.bytes().chain([0]));
        for (name, value) in &node.properties {
            self.cell(PROPERTY);
            self.cell(number(value.len())?);
            let name = self.name(name)?;
            self.cell(name);
            self.padded(value.iter().copied());
        }
        for child in &node.children {
            self.node(child)?;
        }
        self.cell(END_NODE);
        Ok(())
    }

    fn cell(&mut self, value: u32) {
        self.structure.extend(value.to_be_bytes());
    }

    fn padded(&mut self, bytes: impl Iterator<Item = u8>) {
        self.structure.extend(bytes);
        let size = self.structure.len().next_multiple_of(4);
        self.structure.resize(size, 0);
    }

    /// Where a property's name stands among the strings.
    fn name(&mut self, name: &str) -> Result<u32> {
        if let Some(&at) = self.known.get(name) {
            return Ok(at);
        }
        let at = number(self.strings.len())?;
        self.strings.extend(name.bytes().chain([0]));
        self.known.insert(name.to_owned(), at);
        Ok(at)
    }
}

fn number(size: usize) -> Result<u32> {
    u32::try_from(size).context("the device tree is too large for its format")
}
