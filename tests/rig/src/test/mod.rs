// SPDX-License-Identifier: MIT OR Apache-2.0
//! `mercury-rig test`, behind `make test`: the host half (format, lints, tests
//! without a guest), then the rows of tests/matrix.toml, each in a guest.

mod host;
mod matrix;
mod report;
mod skips;
mod system;

pub(crate) use matrix::Tier;

use crate::arguments;
use crate::paths::Paths;
use crate::terminal::remark;
use anyhow::{Context, Result, bail};
use matrix::Row;
use report::Report;
use std::fs;
use std::time::Instant;

/// Runs what was asked for, and gives the exit code.
pub(crate) fn test(paths: &Paths, arguments: &arguments::Test) -> Result<u8> {
    let started = Instant::now();
    fs::create_dir_all(paths.target("test")).context("making target/test")?;
    let rows = if arguments.host {
        Vec::new()
    } else {
        chosen(paths, arguments)?
    };
    let skips = skips::load(paths)?;
    let mut report = Report::default();
    if !arguments.system && arguments.suite.is_none() {
        host::run(paths, arguments.arch, &mut report)?;
    }
    if !rows.is_empty() {
        system::run(paths, arguments, &rows, &skips, &mut report)?;
    }
    report.write(paths)?;
    remark(&format!(
        "all tests took {:.0} s",
        started.elapsed().as_secs_f64()
    ));
    Ok(report.close())
}

/// The rows of the tier and instruction set, or those of one name or suite
/// whatever their tier.
fn chosen(paths: &Paths, arguments: &arguments::Test) -> Result<Vec<Row>> {
    let rows: Vec<Row> = matrix::load(paths)?
        .into_iter()
        .filter(|row| row.arch == arguments.arch)
        .filter(|row| match &arguments.suite {
            Some(wanted) => row.suite == *wanted || row.name == *wanted,
            None => row.tier <= arguments.matrix,
        })
        .collect();
    if rows.is_empty() {
        bail!(
            "no row of tests/matrix.toml has arch {}{}",
            arguments.arch,
            arguments
                .suite
                .as_ref()
                .map_or(String::new(), |suite| format!(
                    " and the name or suite '{suite}'"
                ))
        );
    }
    Ok(rows)
}

/// Prints the rows.
pub(crate) fn print(paths: &Paths, arguments: &arguments::Matrix) -> Result<()> {
    let rows: Vec<Row> = matrix::load(paths)?
        .into_iter()
        .filter(|row| row.tier <= arguments.matrix)
        .collect();
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&rows)?);
        return Ok(());
    }
    for row in rows {
        println!(
            "{:<32} {:<16} {:<28} {:>5} s",
            row.name, row.suite, row.kernel, row.budget_seconds
        );
    }
    Ok(())
}
