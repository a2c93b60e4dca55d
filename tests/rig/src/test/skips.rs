// SPDX-License-Identifier: MIT OR Apache-2.0
//! The skips that are permitted, tests/skips.toml. A test that skips itself
//! where no line permits it has failed: so no test falls silent unnoticed.

use crate::paths::Paths;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::fs;

/// One permitted skip.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Skip {
    /// The row's name.
    pub(crate) test: String,
    /// `board/accel`, or `*`.
    pub(crate) machine: String,
    /// Why it cannot run there.
    pub(crate) reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    skip: Vec<Skip>,
}

/// All permitted skips.
pub(crate) fn load(paths: &Paths) -> Result<Vec<Skip>> {
    let path = paths.source("tests/skips.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    parse(&text).with_context(|| format!("reading {}", path.display()))
}

fn parse(text: &str) -> Result<Vec<Skip>> {
    Ok(toml::from_str::<File>(text)?.skip)
}

/// The line that permits this test to skip on this machine.
pub(crate) fn permitted<'a>(skips: &'a [Skip], test: &str, machine: &str) -> Option<&'a Skip> {
    skips
        .iter()
        .find(|skip| skip.test == test && (skip.machine == "*" || skip.machine == machine))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::matrix;

    const FILE: &str = "[[skip]]\ntest = \"a\"\nmachine = \"qemu-q35/tcg\"\nreason = \"r\"\n\
                        [[skip]]\ntest = \"b\"\nmachine = \"*\"\nreason = \"r\"\n";

    #[test]
    fn a_skip_holds_for_its_test_and_machine_only() {
        let skips = parse(FILE).unwrap();
        assert!(permitted(&skips, "a", "qemu-q35/tcg").is_some());
        assert!(permitted(&skips, "a", "qemu-q35/kvm").is_none());
        assert!(permitted(&skips, "b", "qemu-q35/kvm").is_some());
        assert!(permitted(&skips, "c", "qemu-q35/tcg").is_none());
    }

    #[test]
    fn a_skip_without_a_reason_is_refused() {
        assert!(parse("[[skip]]\ntest = \"a\"\nmachine = \"*\"\n").is_err());
    }

    #[test]
    fn the_real_list_names_rows_that_exist() {
        let paths = Paths::find().unwrap();
        let rows = matrix::load(&paths).unwrap();
        for skip in load(&paths).unwrap() {
            assert!(
                rows.iter().any(|row| row.name == skip.test),
                "{}",
                skip.test
            );
            assert!(!skip.reason.is_empty());
        }
    }
}
