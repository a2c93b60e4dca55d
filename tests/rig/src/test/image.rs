// SPDX-License-Identifier: MIT OR Apache-2.0
//! The linked image, looked into: nothing in a release can panic, and it has none
//! of the planted defects. The build for tests has the defects, one of them a panic
//! (the suite `death` asks for it), and so is the control of both looks.
//!
//! What the compiler could not show to be impossible (an index, an overflow, an
//! unwrap) is a call of `core::panicking`. Whole-program optimization and the
//! linker's garbage collection leave a function in the image only if something
//! reaches it, so no such symbol means no such call, on the exit path or anywhere.

use crate::arch::Arch;
use crate::paths::Paths;
use crate::product::{self, Flavour};
use anyhow::{Context, Result, ensure};
use object::{Object, ObjectSymbol};
use std::fs;

/// Parts of the names of functions that a panic goes through.
const PANICS: [&str; 5] = [
    "core9panicking",
    "panic_fmt",
    "panic_bounds_check",
    "unwrap_failed",
    "expect_failed",
];

/// The function in which a build for tests carries its defects out; it is not
/// inlined there, and in a release it is empty and gone.
const DEFECTS: [&str; 2] = ["break_registers", "break_something"];

fn symbols(paths: &Paths, arch: Arch, flavour: Flavour) -> Result<Vec<String>> {
    let elf = product::image_elf(paths, arch, flavour);
    let bytes = fs::read(&elf).with_context(|| format!("reading {}", elf.display()))?;
    let file = object::File::parse(&*bytes)
        .with_context(|| format!("{} is no ELF file", elf.display()))?;
    Ok(file
        .symbols()
        .filter_map(|symbol| symbol.name().ok().map(str::to_owned))
        .filter(|name| !name.is_empty())
        .collect())
}

fn among(symbols: &[String], parts: &[&str]) -> Vec<String> {
    symbols
        .iter()
        .filter(|name| parts.iter().any(|part| name.contains(part)))
        .cloned()
        .collect()
}

/// Builds both flavours' image and looks into them. How many symbols it saw.
pub(super) fn inspect(paths: &Paths, arch: Arch) -> Result<u64> {
    let mut seen = 0;
    for flavour in [Flavour::Release, Flavour::Testing] {
        product::build_image(paths, arch, flavour)?;
        let symbols = symbols(paths, arch, flavour)?;
        ensure!(
            among(&symbols, &["mercury"]).len() > 3,
            "the image of {arch} ({}) has lost its symbols",
            flavour.name()
        );
        let panics = among(&symbols, &PANICS);
        ensure!(
            panics.is_empty() == (flavour == Flavour::Release),
            "the image of {arch} ({}) has these functions of a panic: {panics:?}",
            flavour.name()
        );
        let defects = among(&symbols, &DEFECTS);
        ensure!(
            defects.is_empty() == (flavour == Flavour::Release),
            "the image of {arch} ({}) has these functions for defects: {defects:?}",
            flavour.name()
        );
        seen += symbols.len() as u64;
    }
    Ok(seen)
}
