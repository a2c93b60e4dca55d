// SPDX-License-Identifier: MIT OR Apache-2.0
//! `mercury-rig bench`, behind `make bench`: what Mercury costs, in one report.
//!
//! A measurement is a row of tests/matrix.toml, as everywhere: its suite prints a line
//! `figure: {...}` for each figure, with the goal where there is one. Here they are put
//! together (`target/bench/report.md`, `report.json`, charts as SVG), set beside those
//! of a relative ([`relative`]), and judged ([`judge`]): a goal that is missed fails,
//! and so does a figure that is more than a twentieth worse than the recorded one
//! (`make record WHAT=bench`, docs/results/bench.json).
//!
//! Every figure is a count, of instructions, events or memory, never a time.
//! `--quick` runs the rows that are deterministic and short; what is left out, or
//! cannot be had on this machine, the report names with the reason.

mod chart;
mod judge;
mod relative;
mod report;

use crate::arguments;
use crate::paths::Paths;
use crate::record::{Figure, Trial, recorded};
use crate::terminal::{complain, remark};
use crate::test::{self, Fate};
use anyhow::{Context, Result};
use std::fs;

/// What is recorded under this name.
pub(crate) const WHAT: &str = "bench";
/// In words.
pub(crate) const ABOUT: &str =
    "what switches, calls and memory cost, beside a relative on the same virtual machine";

/// The rows of `--quick`: some ten seconds each.
const QUICK: &[&str] = &[
    "limits",
    "aarch64-limits-1cpu",
    "aarch64-limits-2cpu",
    "aarch64-bench-2cpu",
];

/// All rows.
pub(crate) const ROWS: &[&str] = &[
    "limits",
    "bochs-limits",
    "aarch64-limits-1cpu",
    "aarch64-limits-2cpu",
    "aarch64-bench-1cpu",
    "aarch64-bench-2cpu",
    "aarch64-bench-4cpu",
    "aarch64-bench-16cpu",
];

/// What no row measures, and why.
const NOT_MEASURED: &[(&str, &str)] = &[
    (
        "SVM with more CPUs than one",
        "QEMU 7.2 hangs while the second CPU starts when it counts instructions",
    ),
    (
        "blackouts of more CPUs than one",
        "the clock of -icount sums the instructions of all of them",
    ),
    (
        "workloads, cyclictest, CPUID exit, stage-2 fault, KVM's own exit",
        "no suite measures them yet",
    ),
    (
        "switches by memory size, blackouts by phase",
        "no suite measures them yet",
    ),
];

/// Runs the rows, reports, and gives the exit code.
pub(crate) fn bench(paths: &Paths, arguments: &arguments::Bench) -> Result<u8> {
    let folder = paths.target("bench");
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let rows = if arguments.quick { QUICK } else { ROWS };
    let mut trials = Vec::new();
    for row in rows {
        remark(row);
        trials.push(measure(paths, row));
    }
    let recorded = recorded(paths, WHAT)?;
    let findings = judge::judge(&trials, recorded.as_ref());
    let report = report::Report {
        trials: &trials,
        recorded: recorded.as_ref(),
        findings: &findings,
        not_run: ROWS
            .iter()
            .copied()
            .filter(|row| !rows.contains(row))
            .collect(),
        not_measured: NOT_MEASURED,
    };
    report.write(&folder)?;
    print!("{}", report.markdown());
    for finding in &findings {
        complain(finding);
    }
    remark(&format!(
        "the report is {}",
        folder.join("report.md").display()
    ));
    Ok(u8::from(!findings.is_empty()))
}

/// One row; whatever goes wrong with it is a failed trial.
fn measure(paths: &Paths, row: &str) -> Trial {
    let run = || -> Result<(Option<String>, Vec<Figure>)> {
        let ran = test::one_row(paths, row, &[])?;
        let failure = match ran.fate {
            Fate::Passed => None,
            Fate::Failed(reason) => Some(reason),
            Fate::Skipped(reason) => Some(format!("skipped: {reason}")),
        };
        Ok((failure, Figure::all_in(&ran.said)?))
    };
    let (failure, figures) = run().unwrap_or_else(|error| (Some(format!("{error:#}")), Vec::new()));
    Trial {
        row: row.to_owned(),
        seed: None,
        failure,
        figures,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quick_rows_are_among_all() {
        let paths = Paths::find().unwrap();
        for row in QUICK {
            assert!(ROWS.contains(row), "{row}");
        }
        for row in ROWS {
            assert!(test::row_exists(&paths, row).unwrap(), "{row}");
        }
    }
}
