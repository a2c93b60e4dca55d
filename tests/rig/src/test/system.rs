// SPDX-License-Identifier: MIT OR Apache-2.0
//! The system half: each row of the matrix boots a guest.

use super::matrix::{self, Row};
use super::report::{Fate, Report};
use super::skips::{Skip, permitted};
use crate::arch::Arch;
use crate::arguments::Test;
use crate::boot::{self, Deadlines, Outcome, Player, Wishes};
use crate::card;
use crate::guest::{Need, Screen, Task, Userland};
use crate::kernel::{self, Kernel};
use crate::launch::Launch;
use crate::paths::Paths;
use crate::product::{self, Flavour, Products};
use crate::terminal::Work;
use anyhow::{Context, Result};
use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The status by which a suite says that it cannot run here.
const SKIPPED: u8 = 77;
/// Lines of a failed suite's output, and of its kernel's log, that are shown.
const SHOWN_LINES: usize = 40;

/// Kernels and products, each made once however many rows use them.
#[derive(Debug, Default)]
struct Stock {
    kernels: HashMap<(Arch, String), Kernel>,
    products: HashMap<(String, &'static str), Rc<Products>>,
}

impl Stock {
    fn kernel(&mut self, paths: &Paths, arch: Arch, package: &str) -> Result<Kernel> {
        let key = (arch, package.to_owned());
        if let Some(kernel) = self.kernels.get(&key) {
            return Ok(kernel.clone());
        }
        let kernel = kernel::fetch(paths, arch, package, false)?;
        self.kernels.insert(key, kernel.clone());
        Ok(kernel)
    }

    fn products(
        &mut self,
        paths: &Paths,
        kernel: &Kernel,
        flavour: Flavour,
    ) -> Result<Rc<Products>> {
        let key = (kernel.release.clone(), flavour.name());
        if let Some(products) = self.products.get(&key) {
            return Ok(products.clone());
        }
        let products = Rc::new(product::build(paths, kernel, flavour)?);
        self.products.insert(key, products.clone());
        Ok(products)
    }
}

/// Runs the rows, one after the other.
pub(super) fn run(
    paths: &Paths,
    arguments: &Test,
    rows: &[Row],
    skips: &[Skip],
    report: &mut Report,
) -> Result<()> {
    let mut machines = Vec::new();
    for row in rows {
        let machine = machine_of(paths, arguments, &row.board)?;
        if !machines.contains(&machine) {
            machines.push(machine);
        }
    }
    report.machine = machines.join(", ");
    let mut stock = Stock::default();
    for row in rows {
        let started = Instant::now();
        let mut machine = machine_of(paths, arguments, &row.board)?;
        let mut wall = Duration::ZERO;
        // What a guest says is shown as it comes, and would be in its way.
        let work = (!arguments.verbose).then(|| Work::begin(&format!("row {}", row.name)));
        let fate = match row_fate(paths, arguments, row, &mut stock, &mut wall, &mut machine) {
            Ok(fate) => judge_skip(fate, skips, &row.name, &machine),
            Err(error) => {
                wall = started.elapsed();
                Fate::Failed(format!("{error:#}"))
            }
        };
        drop(work);
        report.spend(row.part(), wall);
        report.spend(matrix::BUILD, started.elapsed().saturating_sub(wall));
        report.add(&row.name, 1, fate, wall, Some(row.budget_seconds));
    }
    Ok(())
}

/// One row that was run by itself.
#[derive(Debug)]
pub(crate) struct Ran {
    /// What came of it.
    pub(crate) fate: Fate,
    /// What its suite printed.
    pub(crate) said: String,
}

/// Runs one row.
pub(super) fn run_one(paths: &Paths, row: &Row) -> Result<Ran> {
    fs::create_dir_all(paths.target("test")).context("making target/test")?;
    let arguments = Test::default();
    let mut machine = machine_of(paths, &arguments, &row.board)?;
    let mut wall = Duration::ZERO;
    let fate = row_fate(
        paths,
        &arguments,
        row,
        &mut Stock::default(),
        &mut wall,
        &mut machine,
    )?;
    let output = paths.target("test").join(&row.name).join("output.txt");
    let said = fs::read(&output).with_context(|| format!("reading {}", output.display()))?;
    Ok(Ran {
        fate,
        said: String::from_utf8_lossy(&said).into_owned(),
    })
}

/// The machine as tests/skips.toml names it.
fn machine_of(paths: &Paths, arguments: &Test, board: &str) -> Result<String> {
    let board = boot::named(paths, board)?;
    let accel = boot::choose(arguments.accel, &board.backend)?;
    Ok(format!("{}/{}", board.name, accel.name()))
}

/// A skip that no line permits is a failure.
fn judge_skip(fate: Fate, skips: &[Skip], test: &str, machine: &str) -> Fate {
    let Fate::Skipped(said) = fate else {
        return fate;
    };
    match permitted(skips, test, machine) {
        Some(skip) => Fate::Skipped(skip.reason.clone()),
        None => Fate::Failed(format!(
            "skipped ({said}), which tests/skips.toml does not permit on {machine}"
        )),
    }
}

fn row_fate(
    paths: &Paths,
    arguments: &Test,
    row: &Row,
    stock: &mut Stock,
    wall: &mut Duration,
    name: &mut String,
) -> Result<Fate> {
    let board = boot::asked(paths, Some(&row.board), Some(row.arch))?;
    let userland = Userland::of(paths, row.arch)?;
    if row.needs.contains(&Need::Kexec) && userland.kexec().is_none() {
        return Ok(Fate::Skipped("kexec is not installed".into()));
    }
    let accel = match boot::choose(row.accel.or(arguments.accel), &board.backend)? {
        // Counting instructions needs emulation wherever it runs.
        boot::Accel::Kvm if row.icount => boot::Accel::Tcg,
        accel => accel,
    };
    let usual = board.backend.name.clone();
    let board = board.played_by(accel);
    let mut append = row.append.clone();
    if row.card {
        append.push(' ');
        append.push_str(&card::parameters(&board, Some(&row.suite), &row.arguments));
    }
    let wishes = Wishes {
        smp: row.smp,
        memory: row.memory.clone(),
        cpu: row.cpu.clone(),
        machine: row.machine.clone(),
        gic: row.gic,
        no_vhe_fix: row.no_vhe_fix,
        icount: row.icount,
        append,
        arguments: row.qemu.clone(),
        interactive: false,
    };
    let machine = Player::new(paths, &board, accel, wishes)?;
    let (backend, played) = machine.plays(&board, accel);
    *name = played;
    // What is for the board's usual backend is for whichever KVM hands down.
    let wanted = row.backend == backend || (accel == boot::Accel::Kvm && row.backend == usual);
    if !wanted {
        return Ok(Fate::Skipped(format!(
            "{name} has no backend '{}'",
            row.backend
        )));
    }
    let kernel = stock.kernel(paths, row.arch, &row.kernel)?;
    let products = if row.bare {
        Rc::default()
    } else {
        stock.products(paths, &kernel, row.flavour)?
    };
    let card = if row.card {
        let found = card::firmware(&board, None)?;
        let made = card::make(paths, &board, &kernel, &products, found)?;
        Some(card::read(&made.image, board.layout)?)
    } else {
        None
    };
    let launch = Launch {
        machine: &machine,
        kernel: &kernel,
        card,
        products: &products,
        userland: &userland,
        task: Task::Script(row.script(paths), row.arguments.clone()),
        screen: Screen::default(),
        with: row
            .with
            .as_ref()
            .map(|folder| paths.repository.join(folder)),
        needs: &row.needs,
        modules: &row.modules,
    };
    let limits = Deadlines {
        quiet: Duration::from_secs(row.quiet_seconds),
        budget: Duration::from_secs(row.budget_seconds),
    };
    let folder = paths.target("test").join(&row.name);
    let mut kept = Kept {
        text: Vec::new(),
        aloud: arguments.verbose,
    };
    let outcome = launch.watch(paths, &folder, limits, &mut kept)?;
    *wall = outcome.wall;
    fs::write(folder.join("output.txt"), &kept.text).context("keeping the suite's output")?;
    let fate = judge(row, &outcome, &boot::read_log(&folder));
    if matches!(fate, Fate::Failed(_)) {
        let said = String::from_utf8_lossy(&kept.text);
        show_failure(&folder, if kept.aloud { "" } else { &said });
    }
    Ok(fate)
}

/// The script's status, and what the kernel has to say about it.
fn judge(row: &Row, outcome: &Outcome, log: &str) -> Fate {
    let verdict = &outcome.verdict;
    if *verdict == boot::Verdict::Status(SKIPPED) {
        return Fate::Skipped("the suite says that it cannot run here".into());
    }
    if !row.expect.met(verdict) {
        return Fate::Failed(format!("{verdict}; expected {}", row.expect));
    }
    let unexpected = boot::trouble(log).into_iter().find(|line| {
        !row.complaints
            .iter()
            .any(|part| line.contains(part.as_str()))
    });
    match unexpected {
        Some(line) => Fate::Failed(format!("the guest's kernel complained: {line}")),
        None => Fate::Passed,
    }
}

fn show_failure(folder: &Path, said: &str) {
    for (what, text) in [
        ("output", said.to_owned()),
        ("kernel's log", boot::read_log(folder)),
    ] {
        println!("---- the end of the {what} ({})", folder.display());
        for line in boot::tail(&text, SHOWN_LINES) {
            println!("    {line}");
        }
    }
}

/// The suite's output, kept, and shown at once if that was asked for.
struct Kept {
    text: Vec<u8>,
    aloud: bool,
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.aloud {
            io::stdout().write_all(bytes)?;
        }
        self.text.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.aloud {
            io::stdout().flush()
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_passes_only_where_it_is_listed() {
        let listed = Skip {
            test: "a".into(),
            machine: "*".into(),
            reason: "cannot".into(),
        };
        let skipped = || Fate::Skipped("77".into());
        let skips = [listed];
        assert_eq!(
            judge_skip(skipped(), &skips, "a", "m"),
            Fate::Skipped("cannot".into())
        );
        assert!(matches!(
            judge_skip(skipped(), &skips, "b", "m"),
            Fate::Failed(_)
        ));
        assert_eq!(judge_skip(Fate::Passed, &skips, "b", "m"), Fate::Passed);
    }
}
