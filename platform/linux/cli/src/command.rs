// SPDX-License-Identifier: MIT OR Apache-2.0
//! The commands. Each asks the device, builds what JSON shows (structures in
//! the command's own file), and renders the same for people.

mod attach;
mod check;
#[cfg(feature = "packaging")]
mod files;
mod guard;
mod leave;
mod log;
mod metrics;
mod prove;
mod samples;
mod status;
mod top;
mod trace;

use crate::arguments::Command;
use crate::exit::Exit;
use crate::output::Output;

/// Runs a command.
pub(crate) fn run(command: &Command, output: Output) -> anyhow::Result<Exit> {
    match command {
        Command::Check => check::run(output),
        Command::Attach(options) => attach::run(options, output),
        Command::Keep => leave::keep(output),
        Command::Detach => leave::detach(output),
        Command::Status => status::run(output),
        Command::Log(options) => log::run(options, output),
        Command::Prove(options) => prove::run(options, output),
        Command::Top(options) => top::run(options, output),
        #[cfg(feature = "packaging")]
        Command::PackageFiles { folder } => files::run(folder),
        Command::Trace(trace) => trace::run(trace, output),
        Command::Metrics(options) => metrics::run(options, output),
        Command::Guard(options) => guard::guard(options, output),
        Command::Checkpoint(options) => guard::checkpoint(options, output),
        Command::Rollback(options) => guard::rollback(options, output),
        Command::Postmortem(options) => guard::postmortem(options, output),
        Command::Samples(options) => samples::run(options, output),
    }
}

/// Every key of a JSON value must stand in `docs/json.md`, in backticks: the
/// document is a promise, and a key that is not in it is not promised.
#[cfg(test)]
pub(crate) fn assert_documented(value: &serde_json::Value) {
    let document = include_str!("../../../../docs/json.md");
    match value {
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                let row = format!("`{key}`");
                assert!(
                    document.contains(&row),
                    "the key {row} is not in docs/json.md"
                );
                assert_documented(value);
            }
        }
        serde_json::Value::Array(list) => list.iter().for_each(assert_documented),
        _ => {}
    }
}
