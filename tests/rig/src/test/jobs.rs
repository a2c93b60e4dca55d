// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rows of the matrix dealt out to jobs, for a continuous integration that
//! runs several at once. Each job sets up a machine anew, so a job for each row
//! would mostly install; a job takes rows until their budgets are full. Rows of
//! one instruction set, board and kernel stay together, which spares downloads.

use super::matrix::Row;
use crate::arch::Arch;
use serde::Serialize;

/// The longest that the rows of a job may take together, by their budgets.
const BUDGET_SECONDS: u64 = 3600;
/// For set-up and builds.
const SETUP_MINUTES: u64 = 30;

/// One job, with the names that a workflow uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Job {
    /// Its name.
    name: String,
    /// `ARCH=`
    arch: Arch,
    /// `SUITE=`
    rows: String,
    /// When it is given up.
    minutes: u64,
}

/// Deals the rows out.
pub(super) fn deal(rows: &[Row]) -> Vec<Job> {
    let mut sorted: Vec<&Row> = rows.iter().collect();
    sorted.sort_by_key(|row| (row.arch.name(), &row.board, &row.kernel));
    let mut hands: Vec<(Arch, Vec<&Row>, u64)> = Vec::new();
    for row in sorted {
        match hands.last_mut() {
            Some((arch, hand, budget))
                if *arch == row.arch && *budget + row.budget_seconds <= BUDGET_SECONDS =>
            {
                hand.push(row);
                *budget += row.budget_seconds;
            }
            _ => hands.push((row.arch, vec![row], row.budget_seconds)),
        }
    }
    hands
        .iter()
        .enumerate()
        .map(|(at, (arch, hand, budget))| Job {
            name: format!("guests-{}-{arch}", at + 1),
            arch: *arch,
            rows: hand
                .iter()
                .map(|row| row.name.as_str())
                .collect::<Vec<_>>()
                .join(","),
            minutes: SETUP_MINUTES + budget.div_ceil(60),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::Paths;
    use crate::test::matrix;
    use std::collections::HashMap;

    #[test]
    fn every_row_is_in_one_job_of_its_instruction_set() {
        let rows = matrix::load(&Paths::find().unwrap()).unwrap();
        let jobs = deal(&rows);
        let archs: HashMap<&str, Arch> = rows
            .iter()
            .map(|row| (row.name.as_str(), row.arch))
            .collect();
        let dealt: Vec<(&str, Arch)> = jobs
            .iter()
            .flat_map(|job| job.rows.split(',').map(|name| (name, job.arch)))
            .collect();
        assert_eq!(dealt.len(), rows.len());
        for (name, arch) in dealt {
            assert_eq!(archs[name], arch, "{name}");
        }
        for job in &jobs {
            let one = !job.rows.contains(',');
            assert!(one || job.minutes <= SETUP_MINUTES + BUDGET_SECONDS / 60);
        }
        assert!(jobs.len() < 256, "GitHub takes no more jobs than that");
    }

    /// The workflow names what this file and the Makefile have.
    #[test]
    fn the_workflow_takes_its_jobs_from_here() {
        let paths = Paths::find().unwrap();
        let text = std::fs::read_to_string(paths.source(".github/workflows/ci.yml")).unwrap();
        assert!(text.contains("mercury-rig matrix --json"));
        assert!(text.contains("fromJSON(needs.plan.outputs.matrix).jobs"));
        let rows = matrix::load(&paths).unwrap();
        let job = serde_json::to_value(&deal(&rows)[0]).unwrap();
        for word in text.split("${{ matrix.").skip(1) {
            let key = word.split([' ', '}']).next().unwrap();
            assert!(job.get(key).is_some(), "jobs have no '{key}'");
        }
        for row in &rows {
            assert!(
                !text.contains(&row.name) || row.name.len() < 8,
                "ci.yml names the row {}, which tests/matrix.toml alone should",
                row.name
            );
        }
        let makefile = std::fs::read_to_string(paths.source("Makefile")).unwrap();
        for line in text.lines() {
            let Some((_, target)) = line.split_once("run: make ") else {
                continue;
            };
            let target = target.split(' ').next().unwrap();
            assert!(makefile.contains(&format!("\n{target}:")), "{target}");
        }
    }
}
