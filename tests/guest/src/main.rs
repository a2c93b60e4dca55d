// SPDX-License-Identifier: MIT OR Apache-2.0
//! `mercury-judge`: runs inside the booted Linux and judges Mercury there.
//!
//! Each subcommand is one suite. It ends with 0 when everything was as it must
//! be, with 77 when this machine cannot show it, and otherwise with 1 and a
//! sentence on standard error that says what was expected and what was found.
//!
//! The judge believes nobody: not the module's `status` alone (every CPU is
//! asked, and proofs are made), not a quiet log (the kernel's own log is
//! searched), and not its own silence (`mutants` breaks Mercury on purpose and
//! demands that a check fails).

mod arch;
mod expect;
mod figures;
mod iomem;
mod kernel_log;
mod kvm;
mod machine;
mod memory;
mod parameters;
mod probe;
mod rig;
mod suite;
mod ticks;
mod tool;
mod torture;
#[cfg(target_arch = "aarch64")]
mod window;
mod workload;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Debug, Parser)]
#[command(name = "mercury-judge", about = "Judges Mercury from inside the guest")]
struct Arguments {
    #[command(subcommand)]
    suite: Suite,
}

#[derive(Debug, Subcommand)]
enum Suite {
    /// Several processes that notice when anything of theirs is disturbed
    Workload {
        /// How long
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// Until this file exists, instead of a time
        #[arg(long)]
        until_file: Option<PathBuf>,
        /// Only these workers
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
    },
    /// Attach and detach from every CPU in turn, the workload beside it
    Roundtrips {
        /// How many round trips
        #[arg(long, default_value_t = 100)]
        count: u64,
        /// Only these workers beside them
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
    },
    /// The demonstration: native, attached, native, and what it cost
    Demonstrate,
    /// What switches and hypercalls may cost, where instructions are counted
    Limits {
        /// A tick of the clock is an instruction (Bochs), not a nanosecond (-icount)
        #[arg(long)]
        ticks_are_instructions: bool,
    },
    /// What is compared with another hypervisor, where instructions are counted
    Bench,
    /// Registers before and after: CPU state and, at the door, task state
    Residue {
        /// How many round trips
        #[arg(long, default_value_t = 20)]
        count: u64,
    },
    /// Mercury's frames read, written and locked, on each CPU
    Hole,
    /// A device that writes to Mercury's memory
    Dma {
        /// The machine has an IOMMU that translates: the write must not arrive
        #[arg(long)]
        held_off: bool,
    },
    /// What a guest must not do: virtualization instructions, registers, calls
    Instructions,
    /// A kernel and programs that mean harm, made up from a seed
    Hostile {
        /// What is made up follows from it
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Rounds over all CPUs
        #[arg(long, default_value_t = 10)]
        count: u64,
    },
    /// KVM finds the extension taken while attached, and free afterwards
    KvmBusy,
    /// Every refusal, with its errno, requirement and exit code
    Refusals {
        /// Lock the kernel down and see that refused (cannot be undone)
        #[arg(long)]
        lockdown: bool,
    },
    /// Every failure point of an attach: everything is undone
    Inject,
    /// INIT and SIPI to a guest (VMX); may leave the machine fit for a reset only
    #[cfg(target_arch = "x86_64")]
    Init,
    /// The hypervisor dies on each CPU, and the machine lives
    Death {
        /// Only these ways (their numbers)
        #[arg(long, value_delimiter = ',')]
        only: Vec<u32>,
    },
    /// NMIs from outside during round trips: none lost, none twice
    Nmi {
        /// How many
        #[arg(long, default_value_t = 1000)]
        count: u64,
        /// Raised by the test module, not by the rig
        #[arg(long)]
        inside: bool,
        /// From one CPU to the other without a pause, so many times 20000
        #[arg(long)]
        storm: bool,
    },
    /// CPUs go offline and come back while attached
    Hotplug,
    /// Sleep, attach and detach, all at the same time
    SleepRace {
        /// How many sleeps
        #[arg(long, default_value_t = 5)]
        count: u64,
    },
    /// Checkpoints, crashes on purpose, and back
    Survive {
        /// How many checkpoints
        #[arg(long, default_value_t = 5)]
        fresh: u64,
        /// How many roll-backs to the first of them
        #[arg(long, default_value_t = 3)]
        same: u64,
        /// How the machine comes to its end, one after another and again
        #[arg(long, value_delimiter = ',')]
        ways: Vec<suite::survive::Way>,
    },
    /// Mercury broken on purpose: a check must fail for each mutant
    Mutants {
        /// Only these
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
        /// No search for a leak, fewer round trips
        #[arg(long)]
        brief: bool,
    },
    /// Many round trips: free memory shows no slope
    Leak {
        /// How many round trips
        #[arg(long, default_value_t = 1000)]
        count: u64,
    },
    /// Memory and PCI devices plugged in while attached
    HotAdd {
        /// How much memory
        #[arg(long, default_value_t = 512)]
        mib: u64,
        /// It is more than Mercury can map: the rest must be refused
        #[arg(long)]
        too_much: bool,
    },
    /// The tool mercury: dry run, rope, JSON, exit codes, signals
    Tool,
    /// A round trip recorded by mercury trace, and exported
    Trace,
    /// Addresses that iomem does not name, touched while attached
    OnDemand,
    /// Attach and detach while all that may happen happens, drawn from a seed
    #[command(args_override_self = true)]
    Torture(torture::Options),
    /// An attached, idle machine: no exits
    Idle {
        /// How long
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// A machine of KVM's executes a few instructions; nothing of Mercury is used
    KvmGuest,
    /// Attaches and detaches until its standard input ends
    #[command(hide = true)]
    Switcher,
    /// A process that disturbs
    #[command(hide = true, subcommand)]
    TortureChild(torture::child::Kind),
    /// One worker of the workload; ends when its standard input does
    #[command(hide = true)]
    Worker {
        /// Which
        name: String,
    },
    /// Attaches once without a capability that it gave up after opening the device
    #[command(hide = true)]
    WithoutCapability {
        /// Its number
        capability: u32,
    },
    /// Makes one hypercall from user mode
    #[command(hide = true)]
    UserHypercall {
        /// What stands in RAX
        number: u64,
        /// As this user
        #[arg(long)]
        user: Option<u32>,
    },
}

fn run(suite: Suite) -> Result<()> {
    match suite {
        Suite::Workload {
            seconds,
            until_file,
            only,
        } => workload::suite(Duration::from_secs(seconds), until_file.as_deref(), &only),
        Suite::Roundtrips { count, only } => suite::roundtrips::run(count, &only),
        Suite::Demonstrate => suite::demonstrate::run(),
        Suite::Limits {
            ticks_are_instructions,
        } => suite::limits::run(ticks_are_instructions),
        Suite::Bench => suite::bench::run(),
        Suite::Residue { count } => suite::residue::run(count),
        Suite::Hole => suite::hole::run(),
        Suite::Dma { held_off } => suite::dma::run(held_off),
        Suite::Instructions => suite::instructions::run(),
        Suite::Hostile { seed, count } => suite::hostile::run(seed, count),
        Suite::KvmBusy => suite::kvm_busy::run(),
        Suite::Refusals { lockdown: false } => suite::refusals::run(),
        Suite::Refusals { lockdown: true } => suite::refusals::lockdown(),
        Suite::Inject => suite::inject::run(),
        #[cfg(target_arch = "x86_64")]
        Suite::Init => suite::init::run(),
        Suite::Death { only } => suite::death::run(&only),
        Suite::Nmi {
            count, storm: true, ..
        } => suite::nmi::storm(count),
        Suite::Nmi { count, inside, .. } => suite::nmi::run(count, inside),
        Suite::Hotplug => suite::hotplug::run(),
        Suite::SleepRace { count } => suite::sleep_race::run(count),
        Suite::Survive { fresh, same, ways } => suite::survive::run(fresh, same, &ways),
        Suite::Mutants { only, brief } => suite::mutants::run(&only, brief),
        Suite::HotAdd { mib, too_much } => suite::hot_add::run(mib, too_much),
        Suite::Tool => suite::tool::run(),
        Suite::Trace => suite::trace::run(),
        Suite::OnDemand => suite::on_demand::run(),
        Suite::Leak { count } => suite::leak::run(count),
        Suite::Torture(options) => torture::run(&options),
        Suite::TortureChild(kind) => torture::child::run(&kind),
        Suite::Idle { seconds } => suite::idle::run(seconds),
        Suite::KvmGuest => suite::kvm_busy::guest(),
        Suite::Switcher => suite::sleep_race::switcher(),
        Suite::Worker { name } => workload::worker(&name),
        Suite::WithoutCapability { capability } => suite::privilege::attach_without(capability),
        Suite::UserHypercall { number, user } => suite::instructions::from_user_mode(number, user),
    }
}

fn main() -> ExitCode {
    match run(Arguments::parse().suite) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(skip) = error.downcast_ref::<expect::Skip>() {
                println!("skipped: {skip}");
                return ExitCode::from(77);
            }
            eprintln!("mercury-judge: {error:#}");
            ExitCode::FAILURE
        }
    }
}
