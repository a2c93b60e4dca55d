// SPDX-License-Identifier: MIT OR Apache-2.0
//! One defect planted, and who noticed it.

use super::Defect;
use crate::command::{cargo, output, shown};
use crate::fuzz;
use crate::paths::Paths;
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::process::Command;

/// A test that does not end has noticed, too; but it must not hold up the rest.
const LONGEST: &str = "900";
/// Seconds of a CPU for a fuzzer.
const FUZZ_SECONDS: u64 = 20;

/// A defect, and who noticed it.
#[derive(Debug)]
pub(crate) struct Caught {
    /// The defect.
    pub(crate) name: String,
    /// Who: nobody, if empty.
    pub(crate) by: Vec<String>,
}

/// Plants it.
pub(crate) fn hunt(paths: &Paths, defect: &Defect) -> Result<Vec<Caught>> {
    if let Some(target) = &defect.target {
        let trials = fuzz::run(paths, std::slice::from_ref(target), FUZZ_SECONDS, 1)?;
        let by = trials.iter().filter_map(|trial| {
            let found = trial.planted_found.as_ref()?;
            Some(format!("fuzz target {target}: {found}"))
        });
        return Ok(vec![Caught {
            name: defect.name.clone(),
            by: by.collect(),
        }]);
    }
    match &defect.row {
        Some(row) => in_a_guest(paths, row),
        None => on_the_host(paths, defect),
    }
}

/// Tests that failed, from cargo's lines.
fn failed(text: &str) -> Vec<String> {
    let mut names: Vec<String> = text
        .lines()
        .filter_map(|line| {
            let name = line.trim().strip_prefix("test ")?;
            let name = name.strip_suffix(" ... FAILED")?;
            Some(name.trim_end_matches(" - should panic").to_owned())
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

fn on_the_host(paths: &Paths, defect: &Defect) -> Result<Vec<Caught>> {
    let cargo = cargo(paths);
    // The same command under a limit: a loop that never ends is a way to notice.
    let mut command = Command::new("timeout");
    // What a planted defect makes proptest find is no regression to keep.
    command.env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1");
    command.args(["--kill-after=10", LONGEST]);
    command
        .arg(cargo.get_program())
        .args(["test", "--no-fail-fast"]);
    for (name, value) in cargo.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.current_dir(&paths.repository);
    for package in &defect.packages {
        command.args(["--package", package]);
    }
    command.args(["--features", &defect.features.join(",")]);
    command.arg("--target-dir").arg(paths.target("defects"));
    let ended = output(&mut command)?;
    let text = String::from_utf8_lossy(&ended.stdout) + String::from_utf8_lossy(&ended.stderr);
    let mut by = failed(&text);
    let timed_out = ended.status.code() == Some(124);
    if timed_out {
        by.push(format!("a test that did not end within {LONGEST} s"));
    }
    ensure!(
        ended.status.success() || !by.is_empty(),
        "'{}' failed, and no test did:\n{text}",
        shown(&command)
    );
    Ok(vec![Caught {
        name: defect.name.clone(),
        by,
    }])
}

/// What the suite `mutants` said of each.
fn said(text: &str) -> Vec<Caught> {
    text.lines()
        .filter_map(|line| line.strip_prefix("mutant ")?.strip_suffix(" ..."))
        .map(|name| {
            let before = format!("mutant {name}: caught by ");
            let by = text.lines().find_map(|line| line.strip_prefix(&*before));
            Caught {
                name: name.to_owned(),
                by: by.map(str::to_owned).into_iter().collect(),
            }
        })
        .collect()
}

fn in_a_guest(paths: &Paths, row: &str) -> Result<Vec<Caught>> {
    let own = std::env::current_exe().context("finding the rig itself")?;
    let ended = output(
        Command::new(own)
            .current_dir(&paths.repository)
            .args(["test", "--suite", row]),
    )?;
    let file = paths.target("test").join(row).join("output.txt");
    let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let mut found = said(&text);
    if found.is_empty() {
        bail!(
            "the row {row} planted nothing (it ended with {}):\n{}",
            ended.status,
            String::from_utf8_lossy(&ended.stdout)
        );
    }
    for caught in &mut found {
        caught.name = format!("{row}: {}", caught.name);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_tests_are_named() {
        let text = "test a::b ... ok\ntest c ... FAILED\ntest d - should panic ... FAILED\n";
        assert_eq!(failed(text), ["c", "d"]);
    }

    #[test]
    fn mutants_and_who_noticed_them() {
        let text = "mutant dr7 ...\nmutant dr7: caught by residue: x\nmutant new ...\n";
        let found = said(text);
        assert_eq!(found[0].by, ["residue: x"]);
        assert!(found[1].name == "new" && found[1].by.is_empty());
    }
}
