// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tables in the docs that are made from recordings.
//!
//! Between `<!-- recorded: WHAT -->` and `<!-- end of recording -->` a document
//! has the figures of docs/results/WHAT.json: a line for each figure, a column for
//! each backend. Nobody writes there by hand; `make check` compares.

use super::result::{Figure, Recorded};
use crate::paths::Paths;
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// At the start of a line: elsewhere it is spoken of.
const BEGIN: &str = "\n<!-- recorded: ";
const END: &str = "<!-- end of recording -->";

/// Writes every table anew.
pub(super) fn write(paths: &Paths) -> Result<()> {
    for (path, old, new) in documents(paths)? {
        if old != new {
            fs::write(&path, new).with_context(|| format!("writing {}", path.display()))?;
        }
    }
    Ok(())
}

/// Complains of a table that is not what its recording says.
pub(super) fn check(paths: &Paths) -> Result<()> {
    for (path, old, new) in documents(paths)? {
        if old != new {
            bail!(
                "{}: a table between '{}...-->' and '{END}' is not what docs/results says; \
                 'make record' writes them",
                path.display(),
                BEGIN.trim_start()
            );
        }
    }
    Ok(())
}

/// The documents with tables: path, text, and what the text should be.
fn documents(paths: &Paths) -> Result<Vec<(PathBuf, String, String)>> {
    let mut found = vec![paths.source("README.md")];
    for entry in fs::read_dir(paths.source("docs")).context("reading docs/")? {
        let path = entry.context("reading docs/")?.path();
        if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    found
        .into_iter()
        .map(|path| {
            let old =
                fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            let new = renewed(&old, |what| {
                let file = paths.source("docs/results").join(format!("{what}.json"));
                Ok(table(&Recorded::load(&file)?))
            })
            .with_context(|| format!("the tables of {}", path.display()))?;
            Ok((path, old, new))
        })
        .collect()
}

/// The text with each table made anew.
fn renewed(text: &str, table: impl Fn(&str) -> Result<String>) -> Result<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (what, after) = after
            .split_once(" -->")
            .context("a recording's name is not closed")?;
        let (_, after) = after
            .split_once(END)
            .with_context(|| format!("the table of '{what}' does not end with '{END}'"))?;
        out.push_str(&format!("{before}{BEGIN}{what} -->\n{}{END}", table(what)?));
        rest = after;
    }
    Ok(out + rest)
}

/// A line for each figure, a column for each backend.
fn table(recorded: &Recorded) -> String {
    let all: Vec<(&str, &Figure)> = recorded
        .trials
        .iter()
        .flat_map(|trial| {
            trial
                .figures
                .iter()
                .map(|figure| (trial.row.as_str(), figure))
        })
        .collect();
    let backends: BTreeSet<&str> = all
        .iter()
        .map(|(_, figure)| figure.backend.as_str())
        .collect();
    let mut names: Vec<(&str, &str)> = Vec::new();
    for (_, figure) in &all {
        let key = (figure.name.as_str(), figure.unit.as_str());
        if !names.contains(&key) {
            names.push(key);
        }
    }
    let mut lines = vec![
        format!(
            "| what | unit | {} | command |",
            backends.iter().copied().collect::<Vec<_>>().join(" | ")
        ),
        format!("| --- | --- |{} --- |", " --- |".repeat(backends.len())),
    ];
    for (name, unit) in names {
        let of = |backend: &str| {
            let values: BTreeSet<u64> = all
                .iter()
                .filter(|(_, figure)| {
                    (
                        figure.name.as_str(),
                        figure.unit.as_str(),
                        figure.backend.as_str(),
                    ) == (name, unit, backend)
                })
                .map(|(_, figure)| figure.value)
                .collect();
            match (values.first(), values.last()) {
                (Some(least), Some(most)) if least == most => grouped(*least),
                (Some(least), Some(most)) => format!("{} to {}", grouped(*least), grouped(*most)),
                _ => String::new(),
            }
        };
        let cells: Vec<String> = backends.iter().map(|backend| of(backend)).collect();
        let here = |figure: &Figure| figure.name == name && figure.unit == unit;
        let rows: BTreeSet<&str> = all
            .iter()
            .filter(|(_, figure)| here(figure))
            .map(|(row, _)| *row)
            .collect();
        // A limit of one backend alone is no limit of the line.
        let limits: BTreeSet<Option<u64>> = all
            .iter()
            .filter(|(_, figure)| here(figure))
            .map(|(_, figure)| figure.limit)
            .collect();
        let limit = match (limits.len(), limits.first()) {
            (1, Some(Some(limit))) => format!(" (at most {})", grouped(*limit)),
            _ => String::new(),
        };
        lines.push(format!(
            "| {name}{limit} | {unit} | {} | `make test SUITE={}` |",
            cells.join(" | "),
            rows.into_iter().collect::<Vec<_>>().join(",")
        ));
    }
    let made = format!(
        "\n`make record WHAT={}` made this table at commit {:.12}.\n",
        recorded.what, recorded.commit
    );
    format!("\n{}\n{made}", lines.join("\n"))
}

/// 12,345.
pub(crate) fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::result::{Measured, Trial};
    use super::*;

    fn recorded() -> Recorded {
        let figure = |backend: &str, value| Figure {
            backend: backend.into(),
            name: "blackout".into(),
            unit: "instructions".into(),
            value,
            limit: Some(3000),
        };
        let trial = |row: &str, figures| Trial {
            row: row.into(),
            seed: None,
            failure: None,
            figures,
        };
        Recorded {
            what: "figures".into(),
            about: String::new(),
            commit: "0123456789abcdef".into(),
            measured: Measured {
                tree: String::new(),
                changed: false,
            },
            seed: None,
            versions: Default::default(),
            trials: vec![
                trial("limits", vec![figure("svm", 1_815)]),
                trial("arm", vec![figure("el2", 320), figure("el2", 336)]),
            ],
        }
    }

    #[test]
    fn a_column_for_each_backend() {
        let text = table(&recorded());
        assert!(
            text.contains("| what | unit | el2 | svm | command |"),
            "{text}"
        );
        assert!(
            text.contains("| blackout (at most 3,000) | instructions | 320 to 336 | 1,815 | `make test SUITE=arm,limits` |"),
            "{text}"
        );
    }

    #[test]
    fn only_what_is_between_the_marks_is_written() {
        let text = "before\n<!-- recorded: figures -->\nold\n<!-- end of recording -->\nafter\n";
        let once = renewed(text, |what| Ok(format!("\nnew {what}\n"))).unwrap();
        assert_eq!(
            once,
            "before\n<!-- recorded: figures -->\n\nnew figures\n<!-- end of recording -->\nafter\n"
        );
        assert_eq!(
            renewed(&once, |what| Ok(format!("\nnew {what}\n"))).unwrap(),
            once
        );
        assert!(renewed("\n<!-- recorded: x -->", |_| Ok(String::new())).is_err());
        let spoken = "between `<!-- recorded: x -->` and its end\n";
        assert_eq!(renewed(spoken, |_| Ok(String::new())).unwrap(), spoken);
    }
}
