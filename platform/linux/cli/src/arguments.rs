// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line.

use crate::{duration, exit};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Puts the Mercury hypervisor beneath the running Linux, and takes it away again.
///
/// Needs the kernel module mercury.ko and, for everything but `check` before
/// the module is loaded, the capabilities CAP_SYS_ADMIN and CAP_SYS_RAWIO.
#[derive(Debug, Parser)]
#[command(name = "mercury", version, after_help = exit::help(), max_term_width = 96)]
pub(crate) struct Arguments {
    /// Print JSON instead of text (docs/json.md describes it).
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Look at every requirement and change nothing; useful before the module is loaded, too.
    Check,
    /// Put Mercury beneath this kernel; Ctrl-C before the commit undoes everything.
    Attach(Attach),
    /// Cut the rope of `attach --for`: stay attached until `detach`.
    Keep,
    /// Take Mercury away; every CPU is native again.
    Detach,
    /// Ask every CPU what it is, and show exits and memory.
    Status,
    /// Show what the hypervisor and the module recorded.
    Log(Log),
    /// Show by experiment, on each CPU, whether it is under a second stage of translation.
    Prove(Prove),
    /// Watch it live: mode, exits and their rates, blackouts, the hole, memory.
    Top(Top),
    /// Record when what happened, CPU by CPU, and export it for Perfetto.
    #[command(subcommand)]
    Trace(Trace),
    /// Write manual pages and completions into a folder.
    #[cfg(feature = "packaging")]
    #[command(hide = true)]
    PackageFiles {
        /// The folder.
        folder: PathBuf,
    },
    /// Say what `status` says in Prometheus' text format.
    Metrics(Metrics),
    /// Have a store in which a checkpoint of the running Linux can be kept.
    #[command(subcommand)]
    Guard(Guard),
    /// Take a checkpoint of the running Linux; says so once more after each roll-back to it.
    Checkpoint(Checkpoint),
    /// Go back to the checkpoint: everything since is lost.
    Rollback(Rollback),
    /// Tell of the last roll-back: why, every CPU's registers, the kernel's log of its end.
    Postmortem(Postmortem),
    /// Show what the switches cost, in ticks of the time-stamp counter.
    Samples(Samples),
}

/// `attach`
#[derive(Args, Debug)]
pub(crate) struct Attach {
    /// Build everything up to the first CPU's entry, then take it down again.
    #[arg(long, conflicts_with = "rope")]
    pub(crate) dry_run: bool,
    /// Detach by itself after this time (30s, 5m, 1h, 1h30m) unless `mercury keep` comes before.
    #[arg(long = "for", value_name = "TIME", value_parser = duration::parse)]
    pub(crate) rope: Option<Duration>,
}

/// `log`
#[derive(Args, Debug)]
pub(crate) struct Log {
    /// Wait for more, until Ctrl-C.
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Show records that matter at least this much.
    #[arg(long, value_name = "LEVEL", default_value = "information")]
    pub(crate) level: LogLevel,
    /// Begin at this sequence number.
    #[arg(long, value_name = "SEQUENCE", default_value_t = 1)]
    pub(crate) from: u64,
}

/// How much a record matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum LogLevel {
    /// Something that should not happen did.
    Error = 1,
    /// The guest was refused something, or answered otherwise than natively.
    Warning = 2,
    /// The steps of a switch.
    Information = 3,
    /// Finer steps.
    Detail = 4,
}

/// `prove`
#[derive(Args, Debug)]
pub(crate) struct Prove {
    /// Only this CPU (may be given several times); otherwise all that are online.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) cpu: Vec<u32>,
    /// Fail unless every CPU turns out to be this.
    #[arg(long, value_name = "WHAT")]
    pub(crate) expect: Option<Expectation>,
}

/// What a proof is expected to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Expectation {
    /// The CPU is under a second stage.
    Guest,
    /// It is not.
    Native,
}

/// `guard`
#[derive(Debug, Subcommand)]
pub(crate) enum Guard {
    /// Make a store; Mercury is taken away for a moment and put back with it.
    On(GuardOn),
    /// Give the store and the checkpoint in it back; Mercury stays attached.
    Off,
    /// Show the store, the checkpoint in it, and which disks would not be rolled back.
    Status,
    /// Give the checkpoint up and keep the store.
    GiveUp,
}

/// `guard on`
#[derive(Args, Debug)]
pub(crate) struct GuardOn {
    /// How large (64M, 2G); otherwise what a checkpoint needs now, and an eighth more.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) store: Option<u64>,
    /// Stay, and take a checkpoint this often (60s, 5m), until Ctrl-C.
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub(crate) every: Option<Duration>,
    /// Five roll-backs within this time are a loop, and the next panic takes its normal course.
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "60s")]
    pub(crate) crash_loop: Duration,
    /// What is to be a panic, and so a roll-back; `guard off` puts the kernel's switches back.
    #[arg(
        long,
        value_name = "WHAT",
        value_delimiter = ',',
        default_value = "panic"
    )]
    pub(crate) on: Vec<Cause>,
    /// With --every: although disks that are open for writing are not rolled back.
    #[arg(long, requires = "every")]
    pub(crate) i_accept_disk_mismatch: bool,
}

/// What leads to a roll-back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Cause {
    /// A panic, always.
    Panic,
    /// An oops (kernel.panic_on_oops).
    Oops,
    /// A warning (kernel.panic_on_warn).
    Warn,
    /// A CPU that hangs, where Linux notices (kernel.softlockup_panic, hardlockup_panic).
    Hang,
}

/// `checkpoint`
#[derive(Args, Debug)]
pub(crate) struct Checkpoint {
    /// Although disks that are open for writing are not rolled back: data on them may be lost.
    #[arg(long)]
    pub(crate) i_accept_disk_mismatch: bool,
}

/// `rollback`
#[derive(Args, Debug)]
pub(crate) struct Rollback {
    /// Yes, everything since the checkpoint may be lost.
    #[arg(long)]
    pub(crate) yes: bool,
}

/// `postmortem`
#[derive(Args, Debug)]
pub(crate) struct Postmortem {}

/// A size in bytes: a number with K, M or G.
fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = match text.char_indices().last() {
        Some((at, 'K')) => (&text[..at], 1 << 10),
        Some((at, 'M')) => (&text[..at], 1 << 20),
        Some((at, 'G')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let bytes = number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit));
    bytes
        .filter(|bytes| (1 << 20..=64 << 30).contains(bytes))
        .ok_or_else(|| format!("{text} is not a size from 1M to 64G (like 256M)"))
}

/// `top`
#[derive(Args, Debug)]
pub(crate) struct Top {
    /// Look twice, an interval apart, print one picture as text, and end.
    #[arg(long)]
    pub(crate) once: bool,
    /// How long between two looks (1s, 1m).
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "1s")]
    pub(crate) interval: Duration,
}

/// `trace`
#[derive(Debug, Subcommand)]
pub(crate) enum Trace {
    /// Record switches, hot-plug, faults and, if asked for, each exit, until the command
    /// ends, the time is over, or Ctrl-C.
    Record(Record),
    /// Make of a recording what ui.perfetto.dev and chrome://tracing open, or a picture.
    Export(Export),
}

/// `trace record`
#[derive(Args, Debug)]
pub(crate) struct Record {
    /// The recording.
    #[arg(long, short, value_name = "FILE", default_value = "mercury.trace")]
    pub(crate) output: PathBuf,
    /// Record each exit, too: costs a guest some hundred instructions for each.
    #[arg(long)]
    pub(crate) exits: bool,
    /// Stop after this time (30s, 5m).
    #[arg(long = "for", value_name = "TIME", value_parser = duration::parse)]
    pub(crate) duration: Option<Duration>,
    /// Run this meanwhile, and stop when it ends.
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

/// `trace export`
#[derive(Args, Debug)]
pub(crate) struct Export {
    /// A file of `trace record`.
    #[arg(value_name = "RECORDING")]
    pub(crate) input: PathBuf,
    /// Where to put it; otherwise it is printed.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// What to make.
    #[arg(long, value_name = "FORM", default_value = "chrome")]
    pub(crate) format: Form,
}

/// What a recording can be made into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// JSON for Perfetto and chrome://tracing.
    Chrome,
    /// A picture of the last switch.
    Svg,
}

/// `metrics`
#[derive(Args, Debug)]
pub(crate) struct Metrics {
    /// Replace this file in one step instead of printing, for node_exporter's textfile
    /// collector.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// `samples`
#[derive(Args, Debug)]
pub(crate) struct Samples {
    /// List every sample, too.
    #[arg(long)]
    pub(crate) raw: bool,
    /// One line for each CPU, too.
    #[arg(long)]
    pub(crate) per_cpu: bool,
    /// Begin at this sequence number.
    #[arg(long, value_name = "SEQUENCE", default_value_t = 1)]
    pub(crate) from: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn sizes_have_units_and_limits() {
        assert_eq!(size("256M"), Ok(256 << 20));
        assert_eq!(size("2G"), Ok(2 << 30));
        for wrong in ["", "M", "0", "100", "65G", "1T", "-1M", "99999999999999G"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn json_may_stand_anywhere() {
        for line in [
            ["mercury", "--json", "status"],
            ["mercury", "status", "--json"],
        ] {
            assert!(Arguments::try_parse_from(line).unwrap().json);
        }
    }

    #[test]
    fn a_rope_on_a_dry_run_is_a_mistake() {
        let line = ["mercury", "attach", "--dry-run", "--for", "30s"];
        assert!(Arguments::try_parse_from(line).is_err());
        let line = ["mercury", "attach", "--for", "30"];
        assert!(Arguments::try_parse_from(line).is_err());
    }

    #[test]
    fn the_help_names_every_exit_code() {
        let help = Arguments::command().render_help().to_string();
        for exit in exit::Exit::all() {
            let line = format!("\n  {:>2}  ", exit.code());
            assert!(
                help.contains(&line),
                "exit code {} is not in --help",
                exit.code()
            );
        }
    }
}
