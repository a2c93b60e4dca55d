// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tool `mercury` as its users run it: the dry run, the rope, its JSON
//! (docs/json.md), its exit codes, and what it leaves behind when somebody
//! presses Ctrl-C or kills it in the middle of an attach.

mod watching;

use crate::expect::{self, Counts};
use crate::kernel_log::KernelLog;
use crate::{machine, tool};
use anyhow::{Context, Result, bail, ensure};
use mercury_device::{Device, Event, Requirement, State};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const NOT_LOADED: i32 = 3;
const WRONG_LINE: i32 = 2;
/// Beyond its seconds, for a machine that has little time.
const SLACK: Duration = Duration::from_secs(20);
/// Attaches that each kind of signal meets, more if none of them was undone.
const MOMENTS: u32 = 12;
/// Once, or again and again until the tool has ended.
const WAYS: [(Signal, bool); 4] = [
    (Signal::SIGINT, false),
    (Signal::SIGINT, true),
    (Signal::SIGTERM, false),
    (Signal::SIGKILL, false),
];

/// What became of an attach that a signal met.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Outcome {
    Attached,
    /// The tool was killed, and nothing had happened or all of it was undone.
    Native,
    /// The tool said that it was undone.
    Undone,
}

/// Runs the tool and demands an exit code; what it printed.
pub(super) fn ends(arguments: &[&str], code: i32) -> Result<String> {
    let output = tool::run(&mut tool::mercury(arguments))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.code() == Some(code),
        "mercury {} ended with {} where {code} was expected; it said: {said}{}",
        arguments.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(said)
}

fn json(arguments: &[&str], code: i32) -> Result<Value> {
    let said = ends(arguments, code)?;
    serde_json::from_str(&said)
        .with_context(|| format!("mercury {} said: {said}", arguments.join(" ")))
}

/// An object with these keys, whatever else it has.
fn has(value: &Value, keys: &[&str]) -> Result<()> {
    for key in keys {
        ensure!(value.get(key).is_some(), "there is no '{key}' in {value}");
    }
    Ok(())
}

/// `status --json` agrees with what the module says, and has what is documented.
fn status(device: &Device, state: &str) -> Result<Value> {
    let status = json(&["status", "--json"], 0)?;
    has(
        &status,
        &[
            "cpus_possible",
            "cpus_online",
            "rope_seconds_left",
            "memory",
            "stage2",
            "ledger",
            "totals",
        ],
    )?;
    has(
        &status["memory"],
        &[
            "image",
            "per_cpu",
            "host_tables",
            "stage2",
            "shared",
            "spare",
            "lent",
        ],
    )?;
    has(
        &status["stage2"],
        &[
            "levels",
            "leaves_1g",
            "leaves_2m",
            "leaves_4k",
            "mapped_on_demand",
        ],
    )?;
    has(
        &status["ledger"],
        &["pages", "maps", "notifiers", "hotplug_states"],
    )?;
    has(
        &status["totals"],
        &["attaches", "detaches", "attaches_refused"],
    )?;
    ensure!(
        status["state"] == state,
        "status says {} where {state} was expected",
        status["state"]
    );
    let online = machine::online()?;
    let cpus = status["cpus"].as_array().context("'cpus' is no array")?;
    for cpu in cpus {
        has(cpu, &["cpu", "exits", "entries", "why"])?;
        let number = cpu["cpu"].as_u64().context("'cpu' is no number")?;
        let expected = if online.contains(&(number as u32)) {
            state
        } else {
            "offline"
        };
        ensure!(
            cpu["state"] == expected,
            "CPU {number} is {} where {expected} was expected",
            cpu["state"]
        );
        has(
            &cpu["exits"],
            &[
                "hypercall",
                "hypercall-refused",
                "register-read",
                "register-write",
                "stage2-mapped",
                "hole-store",
                "hole-refused",
                "virtualization",
                "identification",
                "reset",
                "interrupt",
                "other",
            ],
        )?;
    }
    ensure!(
        cpus.len() as u64 == status["cpus_possible"].as_u64().unwrap_or(0),
        "{} CPUs are listed of {}",
        cpus.len(),
        status["cpus_possible"]
    );
    let lent = status["memory"]["lent"]
        .as_u64()
        .context("'lent' is no number")?;
    ensure!(
        lent == device.status()?.memory.lent && (lent > 0) == (state == "attached"),
        "{state}, and {lent} bytes are lent"
    );
    Ok(status)
}

fn dry_run(device: &Device) -> Result<()> {
    let before = expect::native(device)?.totals;
    let log = device.log(0)?.next;
    let answer = json(&["attach", "--dry-run", "--json"], 0)?;
    ensure!(
        answer["result"] == "dry-run" && answer["rope_seconds"].is_null(),
        "a dry run says {answer}"
    );
    let after = expect::native(device).context("after a dry run")?.totals;
    ensure!(before == after, "a dry run counts: {before:?}, {after:?}");
    let records = device.log(log)?.items;
    ensure!(
        records
            .iter()
            .any(|record| record.event() == Some(Event::DryRun)),
        "a dry run is not in the log"
    );
    ensure!(
        !records
            .iter()
            .any(|record| record.event() == Some(Event::Entered)),
        "a CPU went in during a dry run"
    );
    println!("tool: dry run: nothing changed");
    Ok(())
}

/// Waits until the rope has been pulled; how long that took.
fn pulled(device: &Device, from: Instant) -> Result<Duration> {
    while device.status()?.state != State::Native {
        ensure!(
            from.elapsed() < SLACK,
            "the rope was not pulled in {SLACK:?}"
        );
        sleep(Duration::from_millis(50));
    }
    expect::native(device)?;
    Ok(from.elapsed())
}

fn rope(device: &Device) -> Result<()> {
    let answer = json(&["attach", "--for", "2s", "--json"], 0)?;
    let start = Instant::now();
    ensure!(
        answer["result"] == "attached" && answer["rope_seconds"] == 2,
        "attach --for 2s says {answer}"
    );
    let left = status(device, "attached")?["rope_seconds_left"].as_u64();
    ensure!(
        left.is_some_and(|left| left <= 2),
        "{left:?} seconds are left of 2"
    );
    let took = pulled(device, start)?;
    ensure!(
        took > Duration::from_secs(1),
        "a rope of 2 s was pulled after {took:?}"
    );
    // Kept: it stays. Detached by hand: the next attach is not its business.
    ends(&["attach", "--for", "3s"], 0)?;
    ends(&["keep"], 0)?;
    ensure!(
        status(device, "attached")?["rope_seconds_left"].is_null(),
        "kept, and seconds are left"
    );
    sleep(Duration::from_secs(4));
    expect::attached(device).context("after keep")?;
    ends(&["detach"], 0)?;
    ends(&["attach", "--for", "2s"], 0)?;
    ends(&["detach"], 0)?;
    ends(&["attach"], 0)?;
    sleep(Duration::from_secs(3));
    expect::attached(device).context("after the rope of an earlier attach")?;
    ends(&["detach"], 0)?;
    println!("tool: rope of 2 s pulled after {took:.1?}; kept and outlived ones were not");
    Ok(())
}

/// One object a line, numbered without gaps.
fn log() -> Result<()> {
    let said = ends(&["log", "--json", "--level", "detail"], 0)?;
    let (mut last, mut lines) = (None, 0);
    for line in said.lines() {
        let record: Value =
            serde_json::from_str(line).with_context(|| format!("log says: {line}"))?;
        if let Some(lost) = record.get("lost") {
            ensure!(lost.is_u64(), "lost: {line}");
            last = None;
            continue;
        }
        has(
            &record,
            &["ticks", "event", "code", "origin", "cpu", "message"],
        )?;
        let sequence = record["sequence"]
            .as_u64()
            .context("a record without 'sequence'")?;
        ensure!(
            last.is_none_or(|last| sequence == last + 1),
            "record {sequence} follows {last:?}"
        );
        ensure!(
            record["arguments"]
                .as_array()
                .is_some_and(|five| five.len() == 5)
                && ["error", "warning", "information", "detail"]
                    .iter()
                    .any(|level| record["level"] == *level),
            "the log says {line}"
        );
        last = Some(sequence);
        lines += 1;
    }
    ensure!(lines > 10, "the log has {lines} lines after all this");
    println!("tool: log: {lines} records, each an object, none missing");
    Ok(())
}

fn refusal(arguments: &[&str], requirement: Requirement) -> Result<()> {
    let code = tool::exit_code(requirement);
    let answer = json(arguments, code)?;
    ensure!(
        answer["exit"] == code
            && answer["error"]["requirement"] == requirement.name().unwrap_or(""),
        "mercury {} says {answer}",
        arguments.join(" ")
    );
    has(
        &answer["error"],
        &[
            "cpu", "read", "expected", "mask", "detail", "errno", "message", "advice",
        ],
    )
}

fn codes(device: &Device) -> Result<()> {
    refusal(&["detach", "--json"], Requirement::Attached)?;
    refusal(&["keep", "--json"], Requirement::Attached)?;
    let answer = json(&["check", "--json"], 0)?;
    ensure!(
        answer["failed"] == 0 && answer["device"] == "open",
        "check says {answer}"
    );
    ends(&["prove", "--expect", "native"], 0)?;
    ends(&["prove", "--expect", "guest"], 8)?;
    let answer = json(&["attach", "--json"], 0)?;
    ensure!(
        answer["result"] == "attached" && answer["rope_seconds"].is_null(),
        "attach says {answer}"
    );
    status(device, "attached")?;
    watching::metrics("attached")?;
    watching::top("attached")?;
    refusal(&["attach", "--json"], Requirement::Native)?;
    refusal(&["attach", "--dry-run", "--json"], Requirement::Native)?;
    expect::attached(device).context("after refusals")?;
    ends(&["prove", "--expect", "guest"], 0)?;
    let answer = json(&["detach", "--json"], 0)?;
    ensure!(answer["result"] == "detached", "detach says {answer}");
    status(device, "native")?;
    watching::metrics("native")?;
    watching::top("native")?;
    for wrong in [
        &["attach", "--for", "2"][..],
        &["attach", "--for", "2s", "--dry-run"],
        &["fly"],
        &[],
    ] {
        ends(wrong, WRONG_LINE)?;
    }
    expect::native(device)?;
    println!("tool: exit codes and JSON as documented");
    Ok(())
}

/// The module comes and goes: only with no descriptor open, so last of all.
fn without_module() -> Result<()> {
    let release = machine::read("/proc/sys/kernel/osrelease")?;
    let module = format!("/lib/modules/{release}/extra/mercury.ko");
    let command = |program: &str, argument: &str| -> Result<()> {
        let status = std::process::Command::new(program).arg(argument).status()?;
        ensure!(status.success(), "{program} {argument} ended with {status}");
        Ok(())
    };
    command("rmmod", "mercury")?;
    for arguments in [
        &["check"][..],
        &["attach"],
        &["attach", "--dry-run"],
        &["detach"],
        &["keep"],
        &["status"],
        &["log"],
        &["prove"],
        &["samples"],
    ] {
        let answer = json(&[arguments, &["--json"]].concat(), NOT_LOADED)?;
        ensure!(
            answer["exit"] == NOT_LOADED,
            "mercury {arguments:?} says {answer}"
        );
    }
    ends(&["top", "--once"], NOT_LOADED)?;
    let said = ends(&["metrics"], 0)?;
    ensure!(
        said.trim_end().ends_with("mercury_module_loaded 0"),
        "without the module, metrics say: {said}"
    );
    command("insmod", &module)?;
    expect::round_trip(&Device::open()?).context("with the module loaded again")?;
    println!("tool: without the module every command ends with {NOT_LOADED}");
    Ok(())
}

/// One attach that a signal meets after `delay`; how it ended.
fn met(signal: Signal, delay: Duration, again: bool) -> Result<ExitStatus> {
    let mut child = tool::mercury(&["attach"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("starting the tool mercury")?;
    sleep(delay);
    let pid = Pid::from_raw(child.id() as i32);
    loop {
        // It is not waited for yet, so its number is nobody else's.
        kill(pid, signal)?;
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if !again {
            return Ok(child.wait()?);
        }
        sleep(Duration::from_millis(1));
    }
}

/// What a signal did to an attach. Whole in or whole out, and the tool says
/// which; afterwards the machine is native.
fn outcome(device: &Device, signal: Signal, delay: Duration, again: bool) -> Result<Outcome> {
    let status = met(signal, delay, again)?;
    let at = || format!("{signal} after {delay:?}: the tool ended with {status}");
    let found = device.status().with_context(at)?.state;
    let undone = tool::exit_code(Requirement::Uninterrupted);
    let outcome = match (status.code(), status.signal(), found) {
        (Some(0), _, State::Attached) => Outcome::Attached,
        (Some(code), _, State::Native) if code == undone => Outcome::Undone,
        // Killed before it could take note, in the midst, or when it was through.
        (None, Some(by), State::Attached) if by == signal as i32 => Outcome::Attached,
        (None, Some(by), State::Native) if by == signal as i32 => Outcome::Native,
        _ => bail!("{}, and the machine is {found}", at()),
    };
    if outcome == Outcome::Attached {
        expect::attached(device).with_context(at)?;
        expect::detach(device).with_context(at)?;
    } else {
        expect::native(device).with_context(at)?;
    }
    Ok(outcome)
}

/// Signals at moments of an attach. Where it can still be undone is a matter of
/// milliseconds, so each moment is chosen by what came of the one before: later
/// if nothing had begun, sooner if all was done.
fn interrupted(device: &Device) -> Result<()> {
    let start = Instant::now();
    ends(&["attach"], 0)?;
    let whole = start.elapsed();
    ends(&["detach"], 0)?;
    let mut counts = Counts::default();
    let mut moments = 0;
    for (signal, again) in WAYS {
        // Whom SIGKILL or the next signal ends, says nothing any more.
        let told = !again && signal != Signal::SIGKILL;
        let mut delay = whole / 2;
        let (mut here, mut undone) = (0, 0);
        while here < MOMENTS || (told && undone == 0) {
            ensure!(
                here < 10 * MOMENTS,
                "{signal} met no attach that it could undo: {counts}"
            );
            let step = whole / (8 + here % 16);
            match outcome(device, signal, delay, again)? {
                Outcome::Attached => {
                    counts.add("attached");
                    delay = delay.saturating_sub(step);
                }
                Outcome::Native => {
                    counts.add("native");
                    delay += step;
                }
                Outcome::Undone => {
                    counts.add("undone");
                    undone += 1;
                }
            }
            here += 1;
        }
        moments += here;
    }
    expect::round_trip(device)?;
    println!(
        "tool: signals at {moments} moments of an attach of {whole:.1?}: {counts}; in or out, never between"
    );
    Ok(())
}

pub(crate) fn run() -> Result<()> {
    let mut kernel = KernelLog::from_here()?;
    {
        let device = Device::open()?;
        expect::native(&device)?;
        dry_run(&device)?;
        codes(&device)?;
        rope(&device)?;
        interrupted(&device)?;
        log()?;
    }
    without_module()?;
    kernel.quiet()
}
