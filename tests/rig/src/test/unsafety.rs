// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much of Mercury the compiler does not check: `unsafe` by crate.
//!
//! The lints of Cargo.toml deny it everywhere; a module that needs it says so and
//! why (`#![expect(unsafe_code, reason = ..)]`), does one thing to a block, and
//! states above each what makes it sound. What is counted here is printed by
//! `make check`, and docs/reliability.md shows the same table.

use crate::paths::Paths;
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// What is counted in one crate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Count {
    /// `unsafe { .. }`
    blocks: usize,
    /// `unsafe fn`, `unsafe impl`, `unsafe extern`, `#[unsafe(..)]`
    others: usize,
    /// Modules that say that they need it.
    modules: usize,
}

/// What comes behind the word where it is no block.
const OTHERS: [&str; 4] = [" fn ", " impl", " extern", "("];

/// The lint, not written out, or this module would need it.
const LINT: &str = concat!("unsafe", "_code");

fn count_text(text: &str, count: &mut Count) {
    let code = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("//"));
    let mut expected = false;
    for line in code {
        for behind in line.split("unsafe").skip(1) {
            count.blocks += usize::from(behind.starts_with(" {"));
            count.others += usize::from(OTHERS.iter().any(|form| behind.starts_with(form)));
        }
        expected |= line.contains("expect(") && line.contains(LINT);
        expected |= line.trim_end_matches(',') == LINT;
    }
    count.modules += usize::from(expected);
}

fn count_folder(folder: &Path, count: &mut Count) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            count_folder(&path, count)?;
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            count_text(&fs::read_to_string(&path)?, count);
        }
    }
    Ok(())
}

/// The workspace's members, as Cargo.toml lists them.
fn members(paths: &Paths) -> Result<Vec<String>> {
    let manifest: toml::Table = fs::read_to_string(paths.source("Cargo.toml"))?.parse()?;
    let members = manifest
        .get("workspace")
        .and_then(|workspace| workspace.get("members"))
        .and_then(|members| members.as_array())
        .context("Cargo.toml lists no members")?;
    Ok(members
        .iter()
        .filter_map(|member| member.as_str().map(str::to_owned))
        .collect())
}

/// The table, as Markdown has it.
pub(super) fn table(paths: &Paths) -> Result<String> {
    let mut text = String::from(
        "| crate | `unsafe` blocks | functions, traits, attributes | modules that need it |\n\
         | --- | --- | --- | --- |\n",
    );
    let mut sum = Count::default();
    let mut line = |name: &str, count: Count| {
        text += &format!(
            "| {name} | {} | {} | {} |\n",
            count.blocks, count.others, count.modules
        );
    };
    for member in members(paths)? {
        let mut count = Count::default();
        for folder in ["src", "tests", "engine"] {
            let folder = paths.source(&member).join(folder);
            if folder.is_dir() {
                count_folder(&folder, &mut count)?;
            }
        }
        sum.blocks += count.blocks;
        sum.others += count.others;
        sum.modules += count.modules;
        line(&format!("`{member}`"), count);
    }
    line("all", sum);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unsafe_is_counted() {
        let mut count = Count::default();
        count_text(
            // Not written out, or it would be counted itself.
            &"// ? { in a comment }\n#![expect(?_code, reason = \"x\")]\n? fn a() {}\nlet b = ? { c() };\n"
                .replace('?', concat!("un", "safe")),
            &mut count,
        );
        let expected = Count {
            blocks: 1,
            others: 1,
            modules: 1,
        };
        assert_eq!(count, expected);
    }

    /// `target/debug/mercury-rig unsafety` prints what must stand there.
    #[test]
    fn the_document_shows_what_is_there() {
        let paths = Paths::find().unwrap();
        let document = fs::read_to_string(paths.source("docs/reliability.md")).unwrap();
        let shown = document
            .split_once("<!-- unsafe -->\n")
            .and_then(|(_, rest)| rest.split_once("<!-- end of unsafe -->"))
            .map(|(table, _)| table);
        assert_eq!(shown, Some(&*table(&paths).unwrap()));
    }
}
