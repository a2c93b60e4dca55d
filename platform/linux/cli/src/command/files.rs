// SPDX-License-Identifier: MIT OR Apache-2.0
//! `mercury package-files`, in builds for packaging only: the manual pages and shell
//! completions, made from the command line's own definition (`arguments.rs`).

use crate::arguments::Arguments;
use crate::exit::Exit;
use anyhow::{Context, Result};
use clap::{Command, CommandFactory};
use clap_complete::{Shell, generate_to};
use clap_mangen::Man;
use std::fs::{self, File};
use std::path::Path;

/// Writes `man/*.8` and `completions/*` below a folder.
pub(crate) fn run(folder: &Path) -> Result<Exit> {
    let (man, completions) = (folder.join("man"), folder.join("completions"));
    for folder in [&man, &completions] {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    let mut command = Arguments::command().disable_help_subcommand(true);
    command.build();
    pages(&command, &man)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut command, "mercury", &completions)
            .with_context(|| format!("writing the completions of {shell}"))?;
    }
    // As Debian names it.
    fs::rename(
        completions.join("mercury.bash"),
        completions.join("mercury"),
    )?;
    Ok(Exit::Success)
}

/// A page for the command and for each below it.
fn pages(command: &Command, folder: &Path) -> Result<()> {
    // `build` has named them: mercury, mercury-attach, mercury-trace-record.
    let name = command
        .get_display_name()
        .unwrap_or_else(|| command.get_name());
    let path = folder.join(format!("{name}.8"));
    let mut file = File::create(&path).with_context(|| format!("writing {}", path.display()))?;
    Man::new(command.clone())
        .section("8")
        .manual("System Administration")
        .render(&mut file)?;
    for below in command
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
    {
        pages(below, folder)?;
    }
    Ok(())
}
