// SPDX-License-Identifier: MIT OR Apache-2.0
//! `mercury-rig test`, behind `make test`: the host half (format, lints, tests
//! without a guest), then the rows of tests/matrix.toml, each in a guest.

#[cfg(test)]
mod axes;
mod host;
mod image;
mod jobs;
mod matrix;
mod report;
mod skips;
mod system;
mod unsafety;

pub(crate) use matrix::{Row, Tier, load as rows};
pub(crate) use report::Fate;
pub(crate) use system::Ran;

use crate::arch::Arch;
use crate::arguments;
use crate::boot::{self, Accel};
use crate::paths::Paths;
use crate::record;
use crate::terminal::remark;
use anyhow::{Context, Result, bail};
use report::Report;
use serde_json::json;
use std::fs;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Runs what was asked for, and gives the exit code.
pub(crate) fn test(paths: &Paths, arguments: &arguments::Test) -> Result<u8> {
    let started = Instant::now();
    fs::create_dir_all(paths.target("test")).context("making target/test")?;
    let rows = if arguments.host || !arguments.part.is_empty() {
        Vec::new()
    } else {
        chosen(paths, arguments)?
    };
    let skips = skips::load(paths)?;
    let mut report = Report::default();
    report.spend(matrix::BUILD, since_make_began());
    if !arguments.part.is_empty() {
        host::parts(paths, &arguments.archs(), &arguments.part, &mut report);
    } else if !arguments.system && arguments.suite.is_empty() {
        host::run(paths, &arguments.archs(), &mut report)?;
        recordings(paths, &mut report);
    }
    let rows = without_kvm(paths, arguments, rows, &mut report)?;
    if !rows.is_empty() {
        system::run(paths, arguments, &rows, &skips, &mut report)?;
    }
    report.weigh(&matrix::budgets(paths)?);
    report.write(paths)?;
    remark(&format!(
        "all tests took {:.0} s",
        started.elapsed().as_secs_f64()
    ));
    Ok(report.close())
}

/// Whether the docs' tables are what was recorded; names stale recordings.
fn recordings(paths: &Paths, report: &mut Report) {
    let started = Instant::now();
    let fate = match record::check(paths) {
        Ok(()) => Fate::Passed,
        Err(error) => Fate::Failed(format!("{error:#}")),
    };
    report.add("recordings", 1, fate, started.elapsed(), None);
}

/// Runs one row, with more arguments for its suite.
pub(crate) fn one_row(paths: &Paths, name: &str, more: &[String]) -> Result<Ran> {
    let mut row = matrix::load(paths)?
        .into_iter()
        .find(|row| row.name == name)
        .with_context(|| format!("tests/matrix.toml has no row '{name}'"))?;
    row.arguments.extend_from_slice(more);
    system::run_one(paths, &row)
}

/// Whether the matrix has a row of this name.
#[cfg(test)]
pub(crate) fn row_exists(paths: &Paths, name: &str) -> Result<bool> {
    Ok(matrix::load(paths)?.iter().any(|row| row.name == name))
}

/// Set-up and the rig's own build come before the rig: make says when it began.
fn since_make_began() -> Duration {
    let began = std::env::var("MERCURY_BEGAN")
        .ok()
        .and_then(|seconds| seconds.parse().ok());
    began
        .and_then(|seconds| {
            SystemTime::now()
                .duration_since(UNIX_EPOCH + Duration::from_secs(seconds))
                .ok()
        })
        .unwrap_or_default()
}

/// Where KVM was asked for and cannot serve, the rows of that instruction set are
/// skipped, with the reason; the others.
fn without_kvm(
    paths: &Paths,
    arguments: &arguments::Test,
    mut rows: Vec<Row>,
    report: &mut Report,
) -> Result<Vec<Row>> {
    if arguments.accel != Some(Accel::Kvm) {
        return Ok(rows);
    }
    for arch in arguments.archs() {
        let board = boot::asked(paths, None, Some(arch))?;
        let Err(reason) = boot::choose(arguments.accel, &board.backend) else {
            continue;
        };
        let count = rows.iter().filter(|row| row.arch == arch).count() as u64;
        rows.retain(|row| row.arch != arch);
        if count > 0 {
            let fate = Fate::Skipped(format!("{reason:#}"));
            let name = format!("{count} rows for {arch}");
            report.add(&name, count, fate, Duration::ZERO, None);
        }
    }
    Ok(rows)
}

/// The rows of the tier and instruction set, or those of one name or suite
/// whatever their tier.
fn chosen(paths: &Paths, arguments: &arguments::Test) -> Result<Vec<Row>> {
    let archs = arguments.archs();
    let rows: Vec<Row> = matrix::load(paths)?
        .into_iter()
        .filter(|row| archs.contains(&row.arch))
        .filter(|row| arguments.accel != Some(Accel::Bochs) || row.accel == arguments.accel)
        .filter(|row| match &*arguments.suite {
            [] => row.tier <= arguments.matrix,
            wanted => wanted.iter().any(|name| row.is_called(name)),
        })
        .collect();
    // A name that fits nothing is a slip, however many others fit.
    let unknown = arguments
        .suite
        .iter()
        .find(|name| !rows.iter().any(|row| row.is_called(name)));
    if let Some(name) = unknown {
        bail!(
            "no row of tests/matrix.toml for {} has the name or suite '{name}'",
            named(&archs)
        );
    }
    if rows.is_empty() {
        bail!("tests/matrix.toml has no row for {}", named(&archs));
    }
    Ok(rows)
}

fn named(archs: &[Arch]) -> String {
    let names: Vec<&str> = archs.iter().map(|arch| arch.name()).collect();
    names.join(" and ")
}

impl arguments::Test {
    /// The instruction sets that are to be tested.
    fn archs(&self) -> Vec<Arch> {
        if self.arch.is_empty() {
            Arch::ALL.to_vec()
        } else {
            self.arch.clone()
        }
    }
}

/// Prints how much is unsafe, by crate.
pub(crate) fn print_unsafety(paths: &Paths) -> Result<()> {
    print!("{}", unsafety::table(paths)?);
    Ok(())
}

/// Prints the rows, or as JSON also the jobs that they are dealt out to.
pub(crate) fn print(paths: &Paths, arguments: &arguments::Matrix) -> Result<()> {
    let rows: Vec<Row> = matrix::load(paths)?
        .into_iter()
        .filter(|row| row.tier <= arguments.matrix)
        .collect();
    if arguments.json {
        // The form that a workflow on GitHub takes its jobs in.
        let plan = json!({ "jobs": { "include": jobs::deal(&rows) }, "rows": rows });
        println!("{}", serde_json::to_string_pretty(&plan)?);
        return Ok(());
    }
    for row in rows {
        println!(
            "{:<32} {:<16} {:<10} {:<28} {:>5} s",
            row.name, row.suite, row.board, row.kernel, row.budget_seconds
        );
    }
    Ok(())
}
