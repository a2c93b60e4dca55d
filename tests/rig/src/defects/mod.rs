// SPDX-License-Identifier: MIT OR Apache-2.0
//! `mercury-rig test-the-tests`, behind `make test-the-tests`: every planted
//! defect of tests/defects.toml, and which tests notice it.
//!
//! A test that has never failed says nothing. Each defect is built alone, and
//! somebody must complain; who does is printed, and nobody is an open defect.

mod hunt;

use crate::arguments;
use crate::paths::Paths;
use crate::terminal::{judged, remark};
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use std::fs;
use std::time::{Duration, Instant, SystemTime};

pub(crate) use hunt::Caught;

/// A planted defect.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Defect {
    /// Unique.
    pub(crate) name: String,
    /// In words.
    pub(crate) what: String,
    /// Features that plant it.
    #[serde(default)]
    pub(crate) features: Vec<String>,
    /// Packages whose tests must notice.
    #[serde(default)]
    pub(crate) packages: Vec<String>,
    /// The fuzz target that must.
    pub(crate) target: Option<String>,
    /// The row that plants many, one after the other.
    pub(crate) row: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    defect: Vec<Defect>,
}

/// All of them.
pub(crate) fn load(paths: &Paths) -> Result<Vec<Defect>> {
    let path = paths.source("tests/defects.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let file: File = toml::from_str(&text).with_context(|| format!("in {}", path.display()))?;
    for defect in &file.defect {
        let ways = [
            !defect.features.is_empty() && !defect.packages.is_empty(),
            defect.target.is_some(),
            defect.row.is_some(),
        ];
        ensure!(
            ways.iter().filter(|way| **way).count() == 1,
            "the defect '{}' must have features and packages, or a target, or a row",
            defect.name
        );
    }
    Ok(file.defect)
}

/// The one of today, of those that need no guest and no fuzzer.
pub(crate) fn of_today(defects: &[Defect]) -> Option<&Defect> {
    let day = SystemTime::UNIX_EPOCH
        .elapsed()
        .map_or(0, |since| since.as_secs() / 86_400) as usize;
    let quick: Vec<&Defect> = defects
        .iter()
        .filter(|defect| !defect.features.is_empty())
        .collect();
    quick.get(day % quick.len().max(1)).copied()
}

/// Plants the one of today.
pub(crate) fn sample(paths: &Paths) -> Result<Caught> {
    let all = load(paths)?;
    let defect = of_today(&all).context("no defect needs neither guest nor fuzzer")?;
    remark(&format!("defect {}: {}", defect.name, defect.what));
    let mut caught = hunt::hunt(paths, defect)?;
    caught.pop().context("nothing was planted")
}

/// Plants those that were asked for, and gives the exit code.
pub(crate) fn test_the_tests(paths: &Paths, arguments: &arguments::Defects) -> Result<u8> {
    let all = load(paths)?;
    let mut chosen: Vec<&Defect> = all.iter().collect();
    if arguments.sample {
        chosen = of_today(&all).into_iter().collect();
    }
    if !arguments.only.is_empty() {
        chosen.retain(|defect| arguments.only.contains(&defect.name));
        ensure!(!chosen.is_empty(), "no defect is called so");
    }
    if arguments.host {
        chosen.retain(|defect| defect.row.is_none());
    }
    let mut results = Vec::new();
    for defect in chosen {
        remark(&format!("defect {}: {}", defect.name, defect.what));
        let started = Instant::now();
        for caught in hunt::hunt(paths, defect)? {
            print(&caught, started.elapsed());
            results.push(caught);
        }
    }
    let missed = results.iter().filter(|caught| caught.by.is_empty()).count();
    println!(
        "test-the-tests: {} defects, {} noticed, {missed} not noticed by any test",
        results.len(),
        results.len() - missed
    );
    if results.is_empty() {
        bail!("no defect was planted");
    }
    Ok(u8::from(missed > 0))
}

fn print(caught: &Caught, wall: Duration) {
    let word = if caught.by.is_empty() {
        judged("NOT NOTICED", false)
    } else {
        judged("noticed    ", true)
    };
    println!("{word} {:<28} {:>6.1} s", caught.name, wall.as_secs_f64());
    for test in caught.by.iter().take(6) {
        println!("              {test}");
    }
    if let Some(more) = caught.by.len().checked_sub(6).filter(|more| *more > 0) {
        println!("              and {more} more");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_that_plants_a_defect_is_in_the_list_and_exists() {
        let paths = Paths::find().unwrap();
        let defects = load(&paths).unwrap();
        let mut listed: Vec<String> = defects
            .iter()
            .flat_map(|defect| &defect.features)
            .map(|feature| feature.split('/').nth(1).unwrap().to_owned())
            .collect();
        // Those of the fuzzer's own crate are told by its target.
        listed.extend(
            defects
                .iter()
                .filter_map(|defect| Some(defect.name.strip_prefix("fuzz-")?.to_owned()))
                .map(|name| format!("planted-{name}")),
        );
        listed.sort();
        let mut there = Vec::new();
        for manifest in [
            "hal",
            "core",
            "arch/x86_64",
            "arch/aarch64",
            "tests/host",
            "tests/fuzz",
        ] {
            let text = fs::read_to_string(paths.source(manifest).join("Cargo.toml")).unwrap();
            there.extend(text.lines().filter_map(|line| {
                let (name, _) = line.split_once(" = [")?;
                name.starts_with("planted-").then(|| name.to_owned())
            }));
        }
        there.sort();
        there.dedup();
        assert_eq!(listed, there);
    }

    #[test]
    fn there_are_enough_and_each_has_one_name() {
        let defects = load(&Paths::find().unwrap()).unwrap();
        let mut names: Vec<&str> = defects.iter().map(|defect| &*defect.name).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert!(names.len() == all && all >= 20, "{all}");
        assert!(of_today(&defects).is_some());
    }
}
