// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rig's command line. People mostly reach it through `make`, whose
//! variables (SMP=, CPU=, ...) become these options.

use crate::arch::Arch;
use crate::boot::Accel;
use crate::guest::Need;
use crate::product::Flavour;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Builds Mercury, boots guests in QEMU, and judges what happened in them.
#[derive(Debug, Parser)]
#[command(name = "mercury-rig", version)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) task: Task,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Boot one guest and run the demonstration or a script in it.
    Run(Box<Run>),
    /// Run the tests: host half, then the rows of tests/matrix.toml.
    Test(Test),
    /// Run the suite `torture` in a guest shaped like its row in tests/matrix.toml.
    Torture(Torture),
    /// Feed each boundary's decoder whatever libFuzzer can think of.
    Fuzz(Fuzz),
    /// Plant each defect of tests/defects.toml, and say which tests notice it.
    TestTheTests(Defects),
    /// Print how much is unsafe, by crate, as docs/reliability.md shows it.
    Unsafety,
    /// Print the rows of tests/matrix.toml, and as JSON the jobs of a continuous
    /// integration as well.
    Matrix(Matrix),
    /// Measure what Mercury costs, in instructions and memory: target/bench/report.md.
    /// Ends with 1 if a goal is missed, or a figure is more than a twentieth worse
    /// than recorded.
    Bench(Bench),
    /// Run what is recorded in docs/results, and make the docs' tables from it.
    Record(Record),
    /// Build image, module and programs for one kernel, and boot nothing.
    Build(Build),
    /// Build image and mercury.ko for a kernel of your own.
    Module(Module),
    /// Make the file that is written to the SD card of a board.
    Image(Image),
    /// Run gdb on the image in a guest, stopped at the door.
    Debug(Debug),
    /// Install, use, upgrade and remove the packages in a Debian that boots from a disk.
    TestPackages,
    /// Make Debian packages of the tool, the image and the module's source.
    Deb(Deb),
    /// Write such a file to a disk. Ends with 0, with 3 if the disk or the image
    /// is refused, 4 if nobody said yes, 5 if writing failed, 6 if what was read
    /// back differs.
    Flash(Flash),
    /// Debian kernels in the cache.
    #[command(subcommand)]
    Kernel(Kernel),
}

/// What a guest's machine looks like. What is not said is as the board has it,
/// or the row of tests/matrix.toml.
#[derive(Debug, Args)]
pub(crate) struct Shape {
    /// Instruction set of the guest [default: the board's, else x86_64].
    #[arg(long)]
    pub(crate) arch: Option<Arch>,
    /// CPUs.
    #[arg(long)]
    pub(crate) smp: Option<u32>,
    /// Memory, as QEMU's -m takes it.
    #[arg(long)]
    pub(crate) memory: Option<String>,
    /// A whole QEMU -cpu string; svm and npt are added where not named.
    #[arg(long)]
    pub(crate) cpu: Option<String>,
    /// A Debian kernel package, or `backports` [default: Debian's usual one].
    #[arg(long)]
    pub(crate) kernel: Option<String>,
    /// Emulation, or the host's nested KVM [default: KVM if it can serve].
    #[arg(long, value_enum)]
    pub(crate) accel: Option<Accel>,
    /// Count instructions instead of time: two runs are alike.
    #[arg(long)]
    pub(crate) icount: bool,
    /// Which Mercury.
    #[arg(long, value_enum, default_value = "release")]
    pub(crate) flavour: Flavour,
}

/// A demonstration beyond the usual one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Demo {
    /// The kernel crashes on purpose, and the machine goes on.
    Survive,
}

/// Options of `run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) shape: Shape,
    /// A board of boards/, as QEMU models it [default: the instruction set's].
    #[arg(long)]
    pub(crate) board: Option<String>,
    /// A whole QEMU -machine string [default: the board's].
    #[arg(long)]
    pub(crate) machine: Option<String>,
    /// Version of ARM's interrupt controller [default: the board's].
    #[arg(long)]
    pub(crate) gic: Option<u32>,
    /// On a CPU with VHE, let Linux keep EL2 for itself.
    #[arg(long)]
    pub(crate) no_vhe_fix: bool,
    /// Boot what 'mercury-rig image' put into the image of this board.
    #[arg(long, requires = "board", conflicts_with_all = ["kernel", "with", "script", "bare", "module"])]
    pub(crate) card: bool,
    /// A folder to find at /with in the guest.
    #[arg(long)]
    pub(crate) with: Option<PathBuf>,
    /// A script to run instead of the demonstration.
    #[arg(long)]
    pub(crate) script: Option<PathBuf>,
    /// Another demonstration than the usual: survive, a crash on purpose and the way back.
    #[arg(long, value_enum, conflicts_with_all = ["script", "interactive", "card", "bare"])]
    pub(crate) demo: Option<Demo>,
    /// A shell on the terminal instead of a script.
    #[arg(long)]
    pub(crate) interactive: bool,
    /// More kernel parameters.
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) append: Option<String>,
    /// One more argument for QEMU; may be given several times.
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) qemu: Vec<String>,
    /// Build and take along nothing of Mercury: a plain Debian kernel.
    #[arg(long)]
    pub(crate) bare: bool,
    /// A module of the kernel that the guest shall have beyond the usual.
    #[arg(long)]
    pub(crate) module: Vec<String>,
    /// Something that the guest shall have beyond the usual.
    #[arg(long, value_enum)]
    pub(crate) need: Vec<Need>,
    /// A guest without a sign of life for this long hangs.
    #[arg(long, default_value_t = 180)]
    pub(crate) quiet_seconds: u64,
    /// A guest that takes longer than this is ended.
    #[arg(long, default_value_t = 3600)]
    pub(crate) limit_seconds: u64,
    /// Arguments for the script.
    #[arg(last = true)]
    pub(crate) arguments: Vec<String>,
}

/// Options of `torture`.
#[derive(Debug, Args)]
pub(crate) struct Torture {
    #[command(flatten)]
    pub(crate) shape: Shape,
    /// Decides what happens in which order [default: another one each time].
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Minutes of the guest's, at least.
    #[arg(long)]
    pub(crate) minutes: Option<u64>,
    /// Round trips, at least [default: the row's].
    #[arg(long)]
    pub(crate) trips: Option<u64>,
    /// Only these disturbances.
    #[arg(long)]
    pub(crate) only: Option<String>,
    /// All but these disturbances.
    #[arg(long)]
    pub(crate) without: Option<String>,
    /// The guest's report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `test`.
#[derive(Debug, Default, Args)]
pub(crate) struct Test {
    /// Only this instruction set; may be named several times [default: all].
    #[arg(long)]
    pub(crate) arch: Vec<Arch>,
    /// The host half only.
    #[arg(long)]
    pub(crate) host: bool,
    /// The system half only.
    #[arg(long, conflicts_with = "host")]
    pub(crate) system: bool,
    /// Only these parts of the host half, which need more than a toolchain.
    #[arg(long, value_enum, value_delimiter = ',', conflicts_with_all = ["system", "suite"])]
    pub(crate) part: Vec<HostPart>,
    /// `short`, or `long`, which has the short rows as well.
    #[arg(long, value_enum, default_value = "short")]
    pub(crate) matrix: crate::test::Tier,
    /// Only rows with these names or suites; leaves the host half out.
    #[arg(long, value_delimiter = ',')]
    pub(crate) suite: Vec<String>,
    /// Emulation, or the host's nested KVM [default: KVM if it can serve].
    #[arg(long, value_enum)]
    pub(crate) accel: Option<Accel>,
    /// Show what the guests print as they print it.
    #[arg(long, short)]
    pub(crate) verbose: bool,
}

/// A part of the host half that can be run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum HostPart {
    /// What `mercury metrics` prints, before Prometheus' own checker.
    Promtool,
    /// The Debian packages: built twice, before lintian, and their contents.
    Packages,
}

/// Options of `bench`.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Only the rows that are deterministic and short.
    #[arg(long)]
    pub(crate) quick: bool,
}

/// Options of `record`.
#[derive(Debug, Args)]
pub(crate) struct Record {
    /// What to record [default: list what can be, and make the docs' tables anew].
    pub(crate) what: Option<String>,
    /// The first seed, where there are seeds [default: 1].
    #[arg(long)]
    pub(crate) seed: Option<u64>,
}

/// Options of `fuzz`.
#[derive(Debug, Args)]
pub(crate) struct Fuzz {
    /// Only these targets (tests/fuzz/src/lib.rs lists them).
    #[arg(long, value_delimiter = ',')]
    pub(crate) target: Vec<String>,
    /// Seconds of a CPU for each.
    #[arg(long, default_value_t = 20)]
    pub(crate) seconds: u64,
    /// What libFuzzer's choices begin from.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u32,
}

/// Options of `test-the-tests`.
#[derive(Debug, Args)]
pub(crate) struct Defects {
    /// Only these.
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Only those that need no guest.
    #[arg(long)]
    pub(crate) host: bool,
    /// Only the one that it is the day for.
    #[arg(long, conflicts_with = "only")]
    pub(crate) sample: bool,
}

/// Options of `matrix`.
#[derive(Debug, Args)]
pub(crate) struct Matrix {
    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// `short`, or `long`, which has the short rows as well.
    #[arg(long, value_enum, default_value = "long")]
    pub(crate) matrix: crate::test::Tier,
}

/// Options of `build`.
#[derive(Debug, Args)]
pub(crate) struct Build {
    /// Instruction set.
    #[arg(long, default_value = "x86_64")]
    pub(crate) arch: Arch,
    /// A Debian kernel package, or `backports` [default: Debian's usual one].
    #[arg(long)]
    pub(crate) kernel: Option<String>,
    /// Which Mercury.
    #[arg(long, value_enum, default_value = "release")]
    pub(crate) flavour: Flavour,
    /// Only this.
    #[arg(long, value_enum)]
    pub(crate) only: Option<Part>,
}

/// Something that can be built alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// The hypervisor's image.
    Image,
    /// The static programs.
    Programs,
}

/// Options of `module`.
#[derive(Debug, Args)]
pub(crate) struct Module {
    /// Instruction set.
    #[arg(long, default_value = "x86_64")]
    pub(crate) arch: Arch,
    /// The kernel's build directory, usually /lib/modules/$(uname -r)/build.
    #[arg(long)]
    pub(crate) kdir: PathBuf,
    /// Which Mercury.
    #[arg(long, value_enum, default_value = "release")]
    pub(crate) flavour: Flavour,
}

/// Options of `debug`.
#[derive(Debug, Args)]
pub(crate) struct Debug {
    /// Instruction set of the guest.
    #[arg(long, default_value = "x86_64")]
    pub(crate) arch: Arch,
    /// CPUs.
    #[arg(long, default_value_t = 1)]
    pub(crate) smp: u32,
    /// A script to run in the guest instead of the demonstration.
    #[arg(long)]
    pub(crate) script: Option<PathBuf>,
    /// Which Mercury.
    #[arg(long, value_enum, default_value = "release")]
    pub(crate) flavour: Flavour,
    /// Show where the door is, and end.
    #[arg(long)]
    pub(crate) batch: bool,
}

/// Options of `deb`.
#[derive(Debug, Args)]
pub(crate) struct Deb {
    /// Only for this instruction set [default: all].
    #[arg(long)]
    pub(crate) arch: Option<Arch>,
}

/// Options of `image`.
#[derive(Debug, Args)]
pub(crate) struct Image {
    /// A board of boards/.
    #[arg(long)]
    pub(crate) board: String,
    /// A folder with the firmware that the board needs and Debian's main archive
    /// lacks.
    #[arg(long)]
    pub(crate) firmware: Option<PathBuf>,
    /// A Debian kernel package, or `backports` [default: Debian's usual one].
    #[arg(long)]
    pub(crate) kernel: Option<String>,
    /// Which Mercury.
    #[arg(long, value_enum, default_value = "release")]
    pub(crate) flavour: Flavour,
    /// Nothing of Mercury: a plain Debian kernel and a busybox.
    #[arg(long)]
    pub(crate) bare: bool,
    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `flash`.
#[derive(Debug, Args)]
pub(crate) struct Flash {
    /// The board whose image it is.
    #[arg(long)]
    pub(crate) board: String,
    /// The disk: all that is on it is lost.
    #[arg(long)]
    pub(crate) device: PathBuf,
    /// Another image than the one that 'mercury-rig image' made.
    #[arg(long)]
    pub(crate) image: Option<PathBuf>,
    /// Do not ask.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Even if the disk is not removable, or the image lacks firmware.
    #[arg(long)]
    pub(crate) force: bool,
    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to do with kernels.
#[derive(Debug, Subcommand)]
pub(crate) enum Kernel {
    /// Download a kernel and its headers into the cache.
    Fetch {
        /// A Debian kernel package, or `backports` [default: Debian's usual one].
        package: Option<String>,
        /// Instruction set.
        #[arg(long, default_value = "x86_64")]
        arch: Arch,
        /// Take what the mirror has today, even if the cache has one.
        #[arg(long)]
        refresh: bool,
    },
}
