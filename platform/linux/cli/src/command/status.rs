// SPDX-License-Identifier: MIT OR Apache-2.0
//! `mercury status`: every CPU's own answer, not a memory of it.

use crate::devices::{self, Devices};
use crate::duration;
use crate::exit::Exit;
use crate::output::{BAD, DOUBTFUL, GOOD, Output, STRONG, paint};
use crate::table::{Table, bytes};
use mercury_device::{CpuState, CpuStatus, Device, Event, Record, State, Status, sentence};
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Debug, Serialize)]
struct Answer {
    state: String,
    cpus: Vec<Cpu>,
    cpus_possible: u32,
    cpus_online: u32,
    rope_seconds_left: Option<u32>,
    devices: Devices,
    memory: Memory,
    stage2: Stage2,
    ledger: Ledger,
    totals: Totals,
    kept_image: u64,
}

#[derive(Debug, Serialize)]
struct Cpu {
    cpu: u32,
    state: String,
    exits: BTreeMap<String, u64>,
    entries: u64,
    why: Option<Why>,
}

#[derive(Debug, Serialize)]
struct Why {
    event: u32,
    message: String,
}

#[derive(Debug, Serialize)]
struct Memory {
    image: u64,
    per_cpu: u64,
    host_tables: u64,
    stage2: u64,
    shared: u64,
    spare: u64,
    lent: u64,
}

#[derive(Debug, Serialize)]
struct Stage2 {
    levels: u32,
    leaves_1g: u64,
    leaves_2m: u64,
    leaves_4k: u64,
    mapped_on_demand: u64,
}

#[derive(Debug, Serialize)]
struct Ledger {
    pages: u32,
    maps: u32,
    notifiers: u32,
    hotplug_states: u32,
}

#[derive(Debug, Serialize)]
struct Totals {
    attaches: u64,
    detaches: u64,
    attaches_refused: u64,
}

/// Asks and shows.
pub(crate) fn run(output: Output) -> anyhow::Result<Exit> {
    let device = Device::open()?;
    let status = device.status()?;
    // The reason of a CPU that is native is an event's code; the log knows
    // the numbers that belong to it.
    let explained = status.cpus.iter().any(|cpu| cpu.why != 0);
    let records = if explained {
        device.log(1)?.items
    } else {
        Vec::new()
    };
    let answer = answer(&status, &records, devices::look());
    output.answer(&answer, || text(&status, &answer))?;
    Ok(Exit::of_state(status.state))
}

/// Why a CPU is native while others are guests.
fn why(cpu: &CpuStatus, records: &[Record]) -> Option<Why> {
    if cpu.why == 0 {
        return None;
    }
    let last = records
        .iter()
        .rev()
        .find(|record| record.cpu == Some(cpu.cpu) && u32::from(record.code) == cpu.why);
    let message = last.map_or_else(
        || {
            let event = u16::try_from(cpu.why).ok().and_then(Event::from_code);
            event.map_or_else(
                || format!("event {}", cpu.why),
                |event| sentence(event.text(), None),
            )
        },
        Record::sentence,
    );
    Some(Why {
        event: cpu.why,
        message,
    })
}

fn answer(status: &Status, records: &[Record], devices: Devices) -> Answer {
    let (memory, stage2, ledger, totals) =
        (status.memory, status.stage2, status.ledger, status.totals);
    Answer {
        state: status.state.to_string(),
        cpus: status
            .cpus
            .iter()
            .map(|cpu| Cpu {
                cpu: cpu.cpu,
                state: cpu.state.to_string(),
                exits: cpu
                    .exits
                    .iter()
                    .map(|(reason, count)| (reason.to_string(), count))
                    .collect(),
                entries: cpu.entries,
                why: why(cpu, records),
            })
            .collect(),
        cpus_possible: status.cpus_possible,
        cpus_online: status.cpus_online,
        rope_seconds_left: status.rope_seconds_left,
        devices,
        memory: Memory {
            image: memory.image,
            per_cpu: memory.per_cpu,
            host_tables: memory.host_tables,
            stage2: memory.stage2,
            shared: memory.shared,
            spare: memory.spare,
            lent: memory.lent,
        },
        stage2: Stage2 {
            levels: stage2.levels,
            leaves_1g: stage2.leaves_1g,
            leaves_2m: stage2.leaves_2m,
            leaves_4k: stage2.leaves_4k,
            mapped_on_demand: stage2.mapped_on_demand,
        },
        ledger: Ledger {
            pages: ledger.pages,
            maps: ledger.maps,
            notifiers: ledger.notifiers,
            hotplug_states: ledger.hotplug_states,
        },
        totals: Totals {
            attaches: totals.attaches,
            detaches: totals.detaches,
            attaches_refused: totals.attaches_refused,
        },
        kept_image: status.kept_image,
    }
}

fn text(status: &Status, answer: &Answer) -> String {
    let style = match status.state {
        State::Native => STRONG,
        State::Attached => GOOD,
        State::Mixed => BAD,
        State::Switching | State::Unknown(_) => DOUBTFUL,
    };
    if status.state == State::Switching {
        let state = paint(style, &answer.state);
        return format!("{state}: an attach or detach is under way; the CPUs were not asked\n");
    }
    let guests = status
        .cpus
        .iter()
        .filter(|cpu| cpu.state == CpuState::Attached)
        .count();
    let mut text = format!(
        "{}: {guests} of {} online CPUs are guests ({} possible)\n",
        paint(style, &answer.state),
        status.cpus_online,
        status.cpus_possible
    );
    if let Some(seconds) = status.rope_seconds_left {
        text += &format!(
            "rope: detaches by itself in {} unless `mercury keep` comes before\n",
            duration::render(seconds)
        );
    }
    for cpu in answer.cpus.iter().filter(|cpu| cpu.why.is_some()) {
        let message = cpu.why.as_ref().map_or("", |why| why.message.as_str());
        text += &format!("cpu {} is {}: {message}\n", cpu.cpu, cpu.state);
    }
    text.push('\n');
    text += &cpu_table(&status.cpus);
    text.push('\n');
    if status.state != State::Native {
        text += &devices_line(&answer.devices);
    }
    text + &holdings(status)
}

fn cpu_table(cpus: &[CpuStatus]) -> String {
    let mut table = Table::new(&["cpu", "state", "entries", "exits", "by reason"]);
    for cpu in cpus {
        let reasons: Vec<String> = cpu
            .exits
            .iter()
            .filter(|(_, count)| *count != 0)
            .map(|(reason, count)| format!("{reason} {count}"))
            .collect();
        table.row([
            cpu.cpu.to_string(),
            cpu.state.to_string(),
            cpu.entries.to_string(),
            cpu.exits.total().to_string(),
            reasons.join(", "),
        ]);
    }
    table.render()
}

/// Whether devices can reach Mercury's memory.
fn devices_line(devices: &Devices) -> String {
    let held = if devices.held_off {
        "held off Mercury's memory"
    } else {
        "not held off Mercury's memory"
    };
    format!("devices {held}: {}\n", devices.reason)
}

/// What is held of the kernel, and what the nested map is made of.
fn holdings(status: &Status) -> String {
    let (memory, stage2, ledger, totals) = (
        &status.memory,
        &status.stage2,
        &status.ledger,
        &status.totals,
    );
    let mut text = String::new();
    if memory.lent == 0 {
        text += "memory  none is lent\n";
    } else {
        text += &format!(
            "memory  {} lent: image {}, per-CPU {}, host tables {},\n        \
             nested tables {}, shared {}, spare {}\n",
            bytes(memory.lent),
            bytes(memory.image),
            bytes(memory.per_cpu),
            bytes(memory.host_tables),
            bytes(memory.stage2),
            bytes(memory.shared),
            bytes(memory.spare)
        );
        text += &format!(
            "map     {} levels; leaves: {} of 1 GiB, {} of 2 MiB, {} of 4 KiB; {} on demand\n",
            stage2.levels,
            stage2.leaves_1g,
            stage2.leaves_2m,
            stage2.leaves_4k,
            stage2.mapped_on_demand
        );
    }
    if ledger.is_empty() {
        text += &format!(
            "ledger  empty: the module holds nothing of the kernel but its copy of the image, {}\n",
            bytes(status.kept_image)
        );
    } else {
        text += &format!(
            "ledger  {} pages, {} maps, {} notifiers, {} hot-plug states\n",
            ledger.pages, ledger.maps, ledger.notifiers, ledger.hotplug_states
        );
    }
    text + &format!(
        "so far  {} attaches, {} detaches, {} refused\n",
        totals.attaches, totals.detaches, totals.attaches_refused
    )
}

#[cfg(test)]
mod tests;
