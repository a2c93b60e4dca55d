// SPDX-License-Identifier: MIT OR Apache-2.0
//! `mercury-rig run`, behind `make run`: boot one guest, run the demonstration
//! or the user's script in it, end as it ended.
//!
//! Each run has a folder of its own under target/run, so that two at once do
//! not meet; `status` and `console.log` beside them are the latest run's.

use crate::arguments::{Demo, Run};
use crate::boot::{self, Board, Deadlines, Outcome, Player, Verdict, Wishes};
use crate::card;
use crate::command::stdout_of;
use crate::guest::{Need, Screen, Task, Userland};
use crate::kernel;
use crate::launch::Launch;
use crate::paths::Paths;
use crate::product::{self, Products};
use crate::terminal::{complain, judged, remark};
use anyhow::{Context, Result, bail};
use std::fs;
use std::io::{IsTerminal, stdin, stdout};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::time::Duration;

/// Lines of the kernel's log that are shown when a guest died.
const LAST_LINES: usize = 30;
/// Folders of earlier runs that are kept.
const KEPT: usize = 5;

/// Boots, and gives the exit code.
pub(crate) fn run(paths: &Paths, arguments: &Run) -> Result<u8> {
    let folder = new_folder(paths)?;
    let board = boot::asked(paths, arguments.board.as_deref(), arguments.shape.arch)?;
    let arch = board.arch;
    let accel = boot::choose(arguments.shape.accel, &board.backend)?;
    let board = board.played_by(accel);
    let machine = Player::new(
        paths,
        &board,
        accel,
        Wishes {
            smp: arguments.shape.smp,
            memory: arguments.shape.memory.clone(),
            cpu: arguments.shape.cpu.clone(),
            machine: arguments.machine.clone(),
            gic: arguments.gic,
            no_vhe_fix: arguments.no_vhe_fix,
            icount: arguments.shape.icount,
            append: append(arguments, &board),
            arguments: arguments.qemu.clone(),
            interactive: arguments.interactive,
        },
    )?;
    check_files(arguments)?;
    let package = arguments.shape.kernel.as_deref().unwrap_or(arch.kernel());
    let kernel = kernel::fetch(paths, arch, package, false)?;
    let userland = Userland::of(paths, arch)?;
    let card = match arguments.card {
        true => Some(card::read(&card::path(paths, &board.name), board.layout)?),
        false => None,
    };
    // On a card is what was put there when it was made.
    let products = if arguments.bare || card.is_some() {
        Products::default()
    } else {
        product::build(paths, &kernel, arguments.shape.flavour)?
    };
    let mut needs = arguments.need.clone();
    if userland.kexec().is_some() {
        needs.push(Need::Kexec);
    }
    let launch = Launch {
        machine: &machine,
        kernel: &kernel,
        card,
        products: &products,
        userland: &userland,
        task: task(paths, arguments),
        screen: screen(),
        with: arguments.with.clone(),
        needs: &needs,
        modules: &arguments.module,
    };
    if arguments.interactive {
        remark("a shell in the guest; 'exit' or Ctrl-A X ends it");
        launch.hand_over(paths, &folder)?;
        return Ok(0);
    }
    let limits = Deadlines {
        quiet: Duration::from_secs(arguments.quiet_seconds),
        budget: Duration::from_secs(arguments.limit_seconds),
    };
    let outcome = launch.watch(paths, &folder, limits, &mut stdout().lock())?;
    conclude(paths, arguments, &folder, &outcome)
}

/// The user's kernel parameters; for what is on a card also those that tell it
/// about the rig, which it was not made for.
fn append(arguments: &Run, board: &Board) -> String {
    let mut append = arguments.append.clone().unwrap_or_default();
    if arguments.card {
        let suite = (!arguments.interactive).then_some("card");
        append.push(' ');
        append.push_str(&card::parameters(board, suite, &arguments.arguments));
    }
    append.trim().to_owned()
}

fn check_files(arguments: &Run) -> Result<()> {
    if let Some(script) = &arguments.script
        && !script.is_file()
    {
        bail!("SCRIPT={}: there is no such file", script.display());
    }
    if let Some(with) = &arguments.with
        && !with.is_dir()
    {
        bail!("WITH={}: there is no such folder", with.display());
    }
    if arguments.interactive && !stdin().is_terminal() {
        bail!("INTERACTIVE=1 needs a terminal on standard input; SCRIPT=file runs without one");
    }
    Ok(())
}

fn task(paths: &Paths, arguments: &Run) -> Task {
    if arguments.interactive {
        return Task::Interactive;
    }
    match &arguments.script {
        Some(script) => Task::Script(script.clone(), arguments.arguments.clone()),
        None if arguments.demo == Some(Demo::Survive) => {
            let script = "tests/guest/scripts/demo-survive.sh";
            Task::Script(paths.repository.join(script), Vec::new())
        }
        None => Task::Line("exec mercury-judge demonstrate".into()),
    }
}

/// Our terminal, if standard output is one.
fn screen() -> Screen {
    if !stdout().is_terminal() {
        return Screen::default();
    }
    let said = stdout_of(Command::new("stty").args(["-F", "/dev/tty", "size"])).unwrap_or_default();
    let size = said
        .trim()
        .split_once(' ')
        .and_then(|(rows, columns)| Some((rows.parse().ok()?, columns.parse().ok()?)));
    Screen {
        colour: std::env::var_os("NO_COLOR").is_none(),
        size,
    }
}

/// The folder of this run; the status of the last one goes first, so that a
/// run that fails before its guest boots leaves none.
fn new_folder(paths: &Paths) -> Result<PathBuf> {
    let runs = paths.target("run");
    fs::create_dir_all(&runs).with_context(|| format!("making {}", runs.display()))?;
    let _ = fs::remove_file(runs.join("status"));
    let mut earlier: Vec<_> = fs::read_dir(&runs)?
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    earlier.sort();
    for (_, old) in earlier.iter().rev().skip(KEPT) {
        let _ = fs::remove_dir_all(old);
    }
    Ok(runs.join(process::id().to_string()))
}

fn conclude(paths: &Paths, arguments: &Run, folder: &Path, outcome: &Outcome) -> Result<u8> {
    let runs = paths.target("run");
    let verdict = &outcome.verdict;
    fs::write(runs.join("status"), format!("{}\n", verdict.word()))?;
    let link = runs.join("console.log");
    let _ = fs::remove_file(&link);
    symlink(folder.join("console.log"), &link)
        .with_context(|| format!("linking {}", link.display()))?;
    let log = boot::read_log(folder);
    if !matches!(verdict, Verdict::Status(_)) {
        complain(&format!(
            "{verdict}; the last lines of its kernel's log ({}):",
            link.display()
        ));
        for line in boot::tail(&log, LAST_LINES) {
            eprintln!("    {line}");
        }
    } else if arguments.demo.is_none()
        && let Some(line) = boot::trouble(&log).first()
    {
        complain(&format!(
            "the guest's kernel complained: {line} ({})",
            link.display()
        ));
    }
    let good = *verdict == Verdict::Status(0);
    println!(
        "{} after {:.1} s",
        judged(&verdict.to_string(), good),
        outcome.wall.as_secs_f64()
    );
    Ok(verdict.exit_code())
}
