// SPDX-License-Identifier: MIT OR Apache-2.0
//! Documents name files and functions that exist: what stands in backticks and looks like
//! a path of this repository is one, a link leads somewhere, and a name of the guided
//! tour is found in the sources.

use std::fs;
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    mercury_host_tests::header::repository("")
}

/// The documents of the repository's root and of docs/.
fn documents() -> Vec<PathBuf> {
    let mut found = vec![];
    for folder in [repository(), repository().join("docs")] {
        let entries = fs::read_dir(&folder).unwrap().flatten();
        found.extend(
            entries
                .map(|entry| entry.path())
                .filter(|path| path.extension().is_some_and(|extension| extension == "md")),
        );
    }
    assert!(found.len() > 8, "{found:?}");
    found
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// What stands between backticks on one line.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// A path that begins with a folder of this repository, and has no place to be filled in.
/// Results are made by `make record`, which documents name before there are any.
fn is_path(word: &str) -> bool {
    const FOLDERS: [&str; 9] = [
        "arch/",
        "boards/",
        "core/",
        "docs/",
        "hal/",
        "image/",
        "platform/",
        "scripts/",
        "tests/",
    ];
    FOLDERS.iter().any(|folder| word.starts_with(folder))
        && !word.starts_with("docs/results/")
        && word
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "/._-".contains(character))
}

#[test]
fn files_that_are_named_exist() {
    let mut count = 0;
    for document in documents() {
        for word in quoted(&text(&document)).filter(|word| is_path(word)) {
            let exists = repository().join(word).exists();
            assert!(exists, "{} names {word}", document.display());
            count += 1;
        }
    }
    assert!(count > 80, "only {count} files are named");
}

#[test]
fn links_lead_somewhere() {
    for document in documents() {
        let text = text(&document);
        for link in text.split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.contains(' ') {
                continue;
            }
            let exists = document.parent().unwrap().join(target).exists();
            assert!(exists, "{} links to {target}", document.display());
        }
    }
}

/// All of the sources in one string.
fn sources(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() {
            sources(&path, into);
        } else if [".rs", ".c", ".h", ".S", ".toml", ".ld"]
            .iter()
            .any(|end| name.to_string_lossy().ends_with(end))
        {
            *into += &fs::read_to_string(&path).unwrap_or_default();
        }
    }
}

#[test]
fn names_of_the_tour_are_in_the_sources() {
    let mut all = String::new();
    for folder in ["arch", "core", "hal", "image", "platform"] {
        sources(&repository().join(folder), &mut all);
    }
    let document = text(&repository().join("docs/architecture.md"));
    let begin = document.find("## A tour").unwrap();
    let tour = &document[begin..document.find("## One door").unwrap()];
    let mut count = 0;
    for word in quoted(tour) {
        let name = word.rsplit("::").next().unwrap_or(word);
        let is_name = name
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || character == '_');
        if !is_name || name.is_empty() || repository().join(name).exists() {
            continue;
        }
        count += 1;
        // As a word of its own.
        let found = all.match_indices(name).any(|(at, _)| {
            let around = |index: Option<char>| {
                index.is_some_and(|character| character.is_ascii_alphanumeric() || character == '_')
            };
            !around(all[..at].chars().next_back()) && !around(all[at + name.len()..].chars().next())
        });
        assert!(found, "the tour names `{word}`, and no source does");
    }
    assert!(count > 40, "the tour has only {count} names");
}
