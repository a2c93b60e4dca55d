// SPDX-License-Identifier: MIT OR Apache-2.0
//! `mercury`: puts Mercury beneath the running Linux and takes it away again.
//!
//! A thin tool: it asks `/dev/mercury`, shows the answer, and says what to do
//! when the answer is no. It decides nothing itself, remembers nothing, and
//! reads only `/proc` and `/sys` beside the device, so it runs from any
//! initramfs. Each command is a file in `command/`; what the refusals mean
//! stands in `advice.rs`, the exit codes in `exit.rs`, and what `--json`
//! prints in `docs/json.md`.

mod advice;
mod arguments;
mod command;
mod devices;
mod disks;
mod duration;
mod errno;
mod exit;
mod firmware;
mod image_error;
mod output;
mod platform;
mod refusal;
mod signals;
mod statistics;
mod surroundings;
mod table;

use clap::Parser;
use output::Output;

fn main() -> std::process::ExitCode {
    signals::die_of_a_closed_pipe();
    let arguments = arguments::Arguments::parse();
    let output = Output {
        json: arguments.json,
    };
    let exit = command::run(&arguments.command, output)
        .unwrap_or_else(|error| refusal::report(&error, output));
    exit.code().into()
}
