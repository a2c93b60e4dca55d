// SPDX-License-Identifier: MIT OR Apache-2.0
//! `mercury trace`: a round trip recorded with every exit, and exported. Each CPU has a
//! lane with one blackout in and one out, both in the two phases that the image's own
//! clock divides them in; the exits are those that were made.

use super::tool::ends;
use crate::expect;
use crate::machine;
use anyhow::{Context, Result, ensure};
use mercury_device::Device;
use serde_json::Value;
use std::fs;

const RECORDING: &str = "/tmp/mercury.trace";
const TRIP: &str = "mercury attach && mercury status && mercury prove && mercury detach";

pub(crate) fn run() -> Result<()> {
    let device = Device::open()?;
    expect::native(&device)?;
    let said = ends(
        &[
            "trace", "record", "--exits", "-o", RECORDING, "--json", "--", "sh", "-c", TRIP,
        ],
        0,
    )?;
    // The command's own words come first.
    let answer = said
        .rsplit_once("\n{")
        .map_or(said.as_str(), |(_, rest)| rest);
    ensure!(
        answer.contains("\"lost\": 0") && answer.contains("\"command\": 0"),
        "trace record says: {said}"
    );
    let document: Value = serde_json::from_str(&ends(&["trace", "export", RECORDING], 0)?)
        .context("reading what trace export printed")?;
    let events = document["traceEvents"]
        .as_array()
        .context("no array 'traceEvents'")?;
    for cpu in machine::online()? {
        lane(events, cpu)?;
    }
    let picture = ends(&["trace", "export", "--format", "svg", RECORDING], 0)?;
    ensure!(
        picture.starts_with("<svg") && picture.contains(">CPU 0<"),
        "the picture is: {picture}"
    );
    // Nobody wants exits any more: the next round trip has none.
    ends(
        &["trace", "record", "-o", RECORDING, "--", "sh", "-c", TRIP],
        0,
    )?;
    let quiet = ends(&["trace", "export", RECORDING], 0)?;
    ensure!(
        !quiet.contains("\"exit: "),
        "exits are recorded that nobody asked for: {quiet}"
    );
    // A command that fails is told apart, and nothing is recorded where there is nothing.
    ends(&["trace", "record", "-o", RECORDING, "--", "false"], 1)?;
    ends(&["trace", "export", "--format", "svg", RECORDING], 1)?;
    fs::remove_file(RECORDING).context("removing the recording")?;
    expect::native(&device)?;
    println!("trace: {} events, a lane for each CPU", events.len());
    Ok(())
}

/// One CPU's lane.
fn lane(events: &[Value], cpu: u32) -> Result<()> {
    let name = format!("CPU {cpu}");
    let thread = events
        .iter()
        .find(|event| event["name"] == "thread_name" && event["args"]["name"] == *name)
        .with_context(|| format!("no lane '{name}'"))?["tid"]
        .clone();
    let count = |phase: &str, name: &str| {
        let these = events.iter().filter(|event| {
            event["tid"] == thread
                && event["ph"] == phase
                && event["name"]
                    .as_str()
                    .is_some_and(|found| found.starts_with(name))
        });
        these.count()
    };
    for (span, expected) in [
        ("blackout, going in", 1),
        ("door, checks", 1),
        ("guest state, entry", 1),
        ("blackout, going out", 1),
        ("asking", 1),
        ("way out", 1),
    ] {
        let found = count("X", span);
        ensure!(found == expected, "{name} has {found} spans '{span}'");
    }
    for mark in [
        "entered",
        "left",
        "exit: hypercall status",
        "exit: hypercall flip",
        "exit: hypercall detach",
    ] {
        ensure!(count("i", mark) > 0, "{name} has no '{mark}'");
    }
    ensure!(
        count("i", "exit: hypercall log") == 0,
        "reading the log is in the log"
    );
    Ok(())
}
