// SPDX-License-Identifier: MIT OR Apache-2.0
//! The demonstration, on one screen: a native Linux at work, Mercury put
//! beneath it, proof that every CPU is a guest, Mercury taken away, proof that
//! every CPU is native, the work found right, and what it cost.

use crate::arch;
use crate::expect;
use crate::figures::{Figures, spread};
use crate::kernel_log::KernelLog;
use crate::machine;
use crate::probe::Probe;
use crate::workload::Workload;
use anyhow::{Context, Result, ensure};
use mercury_device::{Device, ProofVerdict, Sample, SampleKind, Status};
use std::fmt::Display;
use std::thread::sleep;
use std::time::Duration;

/// How long the workload runs in each of the three parts.
const WHILE: Duration = Duration::from_millis(1500);

/// Output for people: colours only if whoever reads it has them. The console is
/// a serial line, so it cannot be asked; the rig knows, and says it in the
/// environment (`CLICOLOR_FORCE`, `NO_COLOR`, or our own `MERCURY_COLOUR`).
#[derive(Debug)]
struct Screen {
    colour: bool,
}

impl Screen {
    fn new() -> Self {
        Self {
            colour: (is_one("MERCURY_COLOUR") || is_one("CLICOLOR_FORCE")) && !is_one("NO_COLOR"),
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn part(&self, title: &str) {
        println!("{}", self.paint("1", title));
    }

    fn fact(&self, name: &str, value: impl Display) {
        println!("  {name:<11} {value}");
    }

    fn right(&self, name: &str, value: impl Display) {
        println!("  {name:<11} {} {value}", self.paint("32", "ok"));
    }
}

fn is_one(variable: &str) -> bool {
    std::env::var(variable).is_ok_and(|value| value == "1")
}

/// What each CPU shows of itself, if anything here can read it.
fn view(attached: bool) -> Result<String> {
    let probe = Probe::load().ok();
    let mut words = Vec::new();
    for cpu in machine::online()? {
        let value = arch::view(probe.as_ref(), cpu, attached)?;
        words.push(value.unwrap_or_else(|| "not read".to_owned()));
    }
    Ok(words.join(", "))
}

fn proof(device: &Device, screen: &Screen, expected: ProofVerdict) -> Result<()> {
    for cpu in machine::online()? {
        let proof = device.prove(cpu)?;
        ensure!(
            proof.verdict() == expected,
            "the proof on CPU {cpu} failed: {proof:x?}"
        );
        let words = match expected {
            ProofVerdict::Guest => "guest: flipped page reads the other's contents",
            _ => "native: the same steps show nothing",
        };
        screen.right(
            &format!("proof cpu{cpu}"),
            format!(
                "{words} ({:#x}, {} nested faults)",
                proof.read_flipped, proof.faults_raised
            ),
        );
    }
    Ok(())
}

fn work(screen: &Screen, workload: &mut Workload) -> Result<()> {
    sleep(WHILE);
    workload.still_right()?;
    screen.right(
        "workload",
        format!("right after {:.1} s", workload.age().as_secs_f64()),
    );
    Ok(())
}

fn table(screen: &Screen, attached: &Status, samples: &[Sample], kilohertz: u64) {
    screen.part(&format!(
        "Cost (ticks of {:.1} ns; with -icount a nanosecond is an instruction)",
        1_000_000.0 / kilohertz.max(1) as f64
    ));
    let ticks = |kind, cpu| {
        spread(samples, kind, cpu)
            .map_or_else(|| "-".to_owned(), |spread| spread.maximum.to_string())
    };
    println!(
        "  {:<11} {:>14} {:>14}   exits while attached",
        "", "attach", "detach"
    );
    for cpu in attached.online() {
        let exits: Vec<String> = cpu
            .exits
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(reason, count)| format!("{reason} {count}"))
            .collect();
        println!(
            "  {:<11} {:>14} {:>14}   {}",
            format!("blackout {}", cpu.cpu),
            ticks(SampleKind::AttachBlackout, Some(cpu.cpu)),
            ticks(SampleKind::DetachBlackout, Some(cpu.cpu)),
            if exits.is_empty() {
                "none".to_owned()
            } else {
                exits.join(", ")
            }
        );
    }
    for (name, attach, detach) in [
        ("switch", SampleKind::AttachSwitch, SampleKind::DetachSwitch),
        ("whole call", SampleKind::AttachCall, SampleKind::DetachCall),
    ] {
        println!(
            "  {name:<11} {:>14} {:>14}",
            ticks(attach, None),
            ticks(detach, None)
        );
    }
    for (name, kind) in [
        ("prepare", SampleKind::PrepareBlackout),
        ("undo", SampleKind::UndoBlackout),
    ] {
        let steps: Vec<u64> = samples
            .iter()
            .filter(|sample| sample.kind == kind)
            .map(|sample| sample.end.saturating_sub(sample.begin))
            .collect();
        match steps.iter().max() {
            None => println!("  {name:<11} {:>14}", "none"),
            Some(longest) => println!(
                "  {name:<11} {longest:>14} {:>14}   the longest of {} steps with IRQs off",
                "",
                steps.len()
            ),
        }
    }
    let memory = &attached.memory;
    screen.fact(
        "memory",
        format!(
            "{} KiB lent: image {}, per CPU {}, own tables {}, nested tables {}, shared {}, spare {}",
            memory.lent >> 10,
            memory.image >> 10,
            memory.per_cpu >> 10,
            memory.host_tables >> 10,
            memory.stage2 >> 10,
            memory.shared >> 10,
            memory.spare >> 10
        ),
    );
    let map = &attached.stage2;
    screen.fact(
        "nested map",
        format!(
            "{} levels; {} leaves of 1 GiB, {} of 2 MiB, {} of 4 KiB",
            map.levels, map.leaves_1g, map.leaves_2m, map.leaves_4k
        ),
    );
}

pub(crate) fn run() -> Result<()> {
    let screen = Screen::new();
    let device = Device::open()?;
    let mut log = KernelLog::from_here()?;
    let mut figures = Figures::from_here(&device)?;
    let information = device.info()?;

    screen.part("Native");
    screen.fact("kernel", machine::read("/proc/sys/kernel/osrelease")?);
    screen.fact("booted with", machine::read("/proc/cmdline")?);
    screen.fact("processor", arch::processor()?);
    screen.fact(arch::VIEW, view(false)?);
    screen.fact(
        "mercury",
        format!(
            "{} ({} {}), image {}",
            information.version,
            information.architecture,
            information.backend,
            information.image_name
        ),
    );
    expect::native(&device)?;
    let mut workload = Workload::start(&[])?;
    proof(&device, &screen, ProofVerdict::Native)?;
    work(&screen, &mut workload)?;

    device
        .attach(&mercury_device::AttachOptions::default())
        .context("attach")?;
    screen.part("Attached");
    let samples_in = figures.read(&device)?;
    proof(&device, &screen, ProofVerdict::Guest)?;
    screen.fact(
        arch::VIEW,
        format!(
            "{}{}",
            view(true)?,
            if device.info()?.backend == "vmx" {
                ""
            } else {
                arch::VIEW_ATTACHED
            }
        ),
    );
    work(&screen, &mut workload)?;
    let attached = expect::attached(&device)?;

    device.detach().context("detach")?;
    screen.part("Native again");
    expect::native(&device)?;
    proof(&device, &screen, ProofVerdict::Native)?;
    work(&screen, &mut workload)?;
    let workers = workload.finish()?.len();
    log.quiet()?;
    screen.right(
        "verified",
        format!("{workers} workers, every report right; nothing in the kernel's log; nothing held"),
    );

    let mut samples = samples_in;
    samples.extend(figures.read(&device)?);
    table(&screen, &attached, &samples, information.tsc_khz);
    Ok(())
}
