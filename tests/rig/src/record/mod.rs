// SPDX-License-Identifier: MIT OR Apache-2.0
//! `mercury-rig record WHAT`, behind `make record WHAT=...`: figures and long runs
//! whose results are kept in the repository.
//!
//! A recording is a list of rows of tests/matrix.toml, each run once for every
//! seed. What a guest has to say for the record it prints as a line `figure: {...}`
//! (tests/guest/src/figures.rs). The result goes to docs/results/WHAT.json, with the
//! seed, the commit, the versions of what it ran on, and a fingerprint of the code
//! that was measured; the docs' tables are made from that file (`tables`). A run
//! that was broken off goes on where it was, as long as that code is the same
//! (`target/record`). A failure is kept like a result.
//!
//! Whoever changes the code that was measured is told by `make check` that the
//! recording is stale; that fails nothing, for a recording may take hours.

mod result;
mod tables;

#[cfg(test)]
pub(crate) use result::Measured;
pub(crate) use result::{Figure, Recorded, Trial};
pub(crate) use tables::grouped;

use crate::arguments;
use crate::bench;
use crate::command::{cargo, output, stdout_of};
use crate::fuzz;
use crate::paths::Paths;
use crate::terminal::remark;
use crate::test::{self, Fate};
use anyhow::{Context, Result, bail};
#[cfg(not(test))]
use result::Measured;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Something that can be recorded.
#[derive(Debug)]
struct Recording {
    what: &'static str,
    about: &'static str,
    /// Rows of tests/matrix.toml.
    rows: &'static [&'static str],
    /// Whether the rows' suites take `--seed`; how many seeds make it whole.
    seeds: Option<u64>,
    /// The code that it measures.
    measures: &'static [&'static str],
}

/// The product, as it runs in a guest.
const PRODUCT: &[&str] = &[
    "hal",
    "core",
    "arch/x86_64",
    "arch/aarch64",
    "image",
    "platform/linux/module",
];

const RECORDINGS: &[Recording] = &[
    Recording {
        what: "figures",
        about: "what switches, hypercalls and memory cost, in instructions and KiB",
        rows: &["limits", "aarch64-limits-1cpu", "aarch64-limits-2cpu"],
        seeds: None,
        measures: PRODUCT,
    },
    Recording {
        what: bench::WHAT,
        about: bench::ABOUT,
        rows: bench::ROWS,
        seeds: None,
        measures: PRODUCT,
    },
    Recording {
        what: "torture",
        about: "20,000 round trips on SVM and on EL2 while all that may happen happens; takes a day",
        rows: &["torture-2cpu", "aarch64-torture-2cpu"],
        // Of 300 round trips each, at least.
        seeds: Some(67),
        measures: PRODUCT,
    },
];

/// Records what was asked for; the exit code.
pub(crate) fn record(paths: &Paths, arguments: &arguments::Record) -> Result<u8> {
    let Some(what) = &arguments.what else {
        for recording in RECORDINGS {
            println!("{:<16} {}", recording.what, recording.about);
        }
        println!("{:<16} {}", fuzz::WHAT, fuzz::ABOUT);
        tables::write(paths)?;
        return Ok(0);
    };
    // No rows and no guest: it has a file of its own form.
    if what == fuzz::WHAT {
        return fuzz::record(paths, arguments.seed.unwrap_or(1));
    }
    let recording = RECORDINGS
        .iter()
        .find(|recording| recording.what == what)
        .with_context(|| {
            format!("nothing is recorded under the name '{what}'; 'make record' lists what is")
        })?;
    let seed = arguments.seed.unwrap_or(1);
    let mut recorded = begun(paths, recording, seed)?;
    let partial = partial(paths, recording);
    for (row, seed) in trials(recording, seed) {
        if recorded
            .trials
            .iter()
            .any(|trial| trial.row == row && trial.seed == seed)
        {
            remark(&format!("{row}{}: recorded already", of_seed(seed)));
            continue;
        }
        remark(&format!("{row}{}", of_seed(seed)));
        let more: Vec<String> = seed
            .map(|seed| vec!["--seed".to_owned(), seed.to_string()])
            .unwrap_or_default();
        let ran = test::one_row(paths, row, &more)?;
        let failure = match ran.fate {
            Fate::Passed => None,
            Fate::Failed(reason) | Fate::Skipped(reason) => Some(reason),
        };
        recorded.trials.push(Trial {
            row: row.to_owned(),
            seed,
            failure,
            figures: Figure::all_in(&ran.said)?,
        });
        recorded.save(&partial)?;
    }
    let file = file(paths, recording.what);
    recorded.save(&file)?;
    fs::remove_file(&partial).context("removing the partial recording")?;
    tables::write(paths)?;
    println!("recorded {}", file.display());
    let failed = recorded
        .trials
        .iter()
        .filter(|trial| trial.failure.is_some())
        .count();
    if failed > 0 {
        println!(
            "{failed} of {} runs failed; the file says which and why",
            recorded.trials.len()
        );
    }
    Ok(u8::from(failed > 0))
}

/// Each row with each seed.
fn trials(recording: &Recording, first: u64) -> Vec<(&'static str, Option<u64>)> {
    let seeds: Vec<Option<u64>> = recording.seeds.map_or_else(
        || vec![None],
        |count| (first..first + count).map(Some).collect(),
    );
    seeds
        .iter()
        .flat_map(|seed| recording.rows.iter().map(|row| (*row, *seed)))
        .collect()
}

fn of_seed(seed: Option<u64>) -> String {
    seed.map_or(String::new(), |seed| format!(", seed {seed}"))
}

fn file(paths: &Paths, what: &str) -> PathBuf {
    paths.source("docs/results").join(format!("{what}.json"))
}

/// What was recorded under this name, if anything was.
pub(crate) fn recorded(paths: &Paths, what: &str) -> Result<Option<Recorded>> {
    let file = file(paths, what);
    file.is_file().then(|| Recorded::load(&file)).transpose()
}

fn partial(paths: &Paths, recording: &Recording) -> PathBuf {
    paths
        .target("record")
        .join(format!("{}.json", recording.what))
}

/// A new recording, or the one that was broken off, if it is of the same code.
fn begun(paths: &Paths, recording: &Recording, seed: u64) -> Result<Recorded> {
    let partial = partial(paths, recording);
    let measured = measured(paths, recording)?;
    if measured.changed {
        bail!(
            "{} differ from the last commit: commit first, so that the recording can say what it measured",
            recording.measures.join(", ")
        );
    }
    let new = Recorded {
        what: recording.what.to_owned(),
        about: recording.about.to_owned(),
        commit: stdout_of(git(paths).args(["rev-parse", "HEAD"]))?
            .trim()
            .to_owned(),
        measured,
        seed: recording.seeds.map(|_| seed),
        versions: versions(paths)?,
        trials: Vec::new(),
    };
    if partial.is_file() {
        let old = Recorded::load(&partial)?;
        if old.measured == new.measured && old.seed == new.seed {
            remark(&format!("going on with {}", partial.display()));
            return Ok(old);
        }
        remark(&format!(
            "{} is of other code: beginning anew",
            partial.display()
        ));
    }
    Ok(new)
}

fn git(paths: &Paths) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(&paths.repository);
    command
}

/// The fingerprint of the code that a recording measures.
fn measured(paths: &Paths, recording: &Recording) -> Result<Measured> {
    let mut tree = String::new();
    for path in recording.measures {
        let object = stdout_of(git(paths).args(["rev-parse", &format!("HEAD:{path}")]))?;
        tree.push_str(&format!("{path} {}\n", object.trim()));
    }
    let status = output(
        git(paths)
            .args(["status", "--porcelain", "--"])
            .args(recording.measures),
    )?;
    Ok(Measured {
        tree,
        changed: !status.stdout.is_empty(),
    })
}

fn versions(paths: &Paths) -> Result<BTreeMap<String, String>> {
    let mut versions = BTreeMap::new();
    let mut first_line = |name: &str, command: &mut Command| -> Result<()> {
        if let Ok(output) = output(command) {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let line = text
                .lines()
                .find(|line| !line.trim().is_empty())
                .unwrap_or("unknown");
            versions.insert(name.to_owned(), line.trim().to_owned());
        }
        Ok(())
    };
    first_line(
        "rustc",
        cargo(paths).args([
            "rustc",
            "--package",
            "mercury-hal",
            "--quiet",
            "--",
            "--version",
        ]),
    )?;
    for program in ["qemu-system-x86_64", "qemu-system-aarch64"] {
        first_line(program, Command::new(program).arg("--version"))?;
    }
    Ok(versions)
}

/// For `make check`: a line for each recording whose code has changed, and an error
/// if a table of the docs is not what its recording says.
pub(crate) fn check(paths: &Paths) -> Result<()> {
    for recording in RECORDINGS {
        let file = file(paths, recording.what);
        if !file.is_file() {
            continue;
        }
        let recorded = Recorded::load(&file)?;
        let now = measured(paths, recording)?;
        if now != recorded.measured {
            println!(
                "stale   docs/results/{}.json: {} changed since commit {:.12}; 'make record WHAT={}' measures anew",
                recording.what,
                now.differing(&recorded.measured).join(", "),
                recorded.commit,
                recording.what
            );
        }
    }
    tables::check(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recordings_name_rows_and_code_that_exist() {
        let paths = Paths::find().unwrap();
        for recording in RECORDINGS {
            for row in recording.rows {
                assert!(test::row_exists(&paths, row).unwrap(), "{row}");
            }
            for path in recording.measures {
                assert!(paths.source(path).exists(), "{path}");
            }
        }
    }

    #[test]
    fn every_row_runs_with_every_seed() {
        let recording = Recording {
            what: "x",
            about: "",
            rows: &["a", "b"],
            seeds: Some(2),
            measures: &[],
        };
        assert_eq!(
            trials(&recording, 7),
            [
                ("a", Some(7)),
                ("b", Some(7)),
                ("a", Some(8)),
                ("b", Some(8))
            ]
        );
    }
}
