// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which metrics there are, what they are called, and what they say.
//!
//! Names follow Prometheus' rules: base units (seconds, bytes), `_total` for what
//! only grows, states as one series for each value of which exactly one is 1. What
//! was not asked, because a switch is under way, is absent and not zero. Exits are
//! counted since the CPU's last entry, so they fall to zero at a detach, as counters
//! do when a program starts anew.

use anyhow::Result;
use mercury_device::{CpuState, CpuStatus, Info, Sample, SampleKind, State, Status};
use prometheus::core::Collector;
use prometheus::{Encoder, TextEncoder};
use prometheus::{GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use std::collections::BTreeMap;

/// What the module said.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) info: Info,
    pub(super) status: Status,
    /// What the last switches cost.
    pub(super) samples: Vec<Sample>,
}

/// The text of all metrics.
pub(super) fn text(reading: Option<&Reading>) -> Result<String> {
    let all = Families(Registry::new());
    let loaded = all.add(IntGauge::new(
        "mercury_module_loaded",
        "Whether mercury.ko is loaded.",
    )?)?;
    loaded.set(reading.is_some().into());
    if let Some(reading) = reading {
        all.machine(&reading.info, &reading.status)?;
        all.switches(&reading.samples, reading.info.tsc_khz)?;
        if reading.status.state != State::Switching {
            all.cpus(&reading.status.cpus)?;
            all.holdings(&reading.status)?;
        }
    }
    let mut text = Vec::new();
    TextEncoder::new().encode(&all.0.gather(), &mut text)?;
    Ok(String::from_utf8(text)?)
}

struct Families(Registry);

impl Families {
    fn add<C: Collector + Clone + 'static>(&self, family: C) -> Result<C> {
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }

    fn gauge(&self, name: &str, help: &str, value: u64) -> Result<()> {
        self.add(IntGauge::new(name, help)?)?
            .set(i64::try_from(value)?);
        Ok(())
    }

    fn counter(&self, name: &str, help: &str, value: u64) -> Result<()> {
        self.add(IntCounter::new(name, help)?)?.inc_by(value);
        Ok(())
    }

    fn gauges(&self, name: &str, help: &str, label: &str, values: &[(&str, u64)]) -> Result<()> {
        let family = self.add(IntGaugeVec::new(Opts::new(name, help), &[label])?)?;
        for (value, number) in values {
            family
                .with_label_values(&[*value])
                .set(i64::try_from(*number)?);
        }
        Ok(())
    }

    fn machine(&self, info: &Info, status: &Status) -> Result<()> {
        let labels = ["version", "architecture", "backend"];
        self.add(IntGaugeVec::new(
            Opts::new("mercury_info", "What is loaded; always 1."),
            &labels,
        )?)?
        .with_label_values(&[&info.version, &info.architecture, &info.backend])
        .set(1);
        let states: Vec<(&str, u64)> = State::ALL
            .iter()
            .filter_map(|state| Some((state.name()?, u64::from(*state == status.state))))
            .collect();
        self.gauges(
            "mercury_state",
            "The machine's state: 1 for the one it is in.",
            "state",
            &states,
        )?;
        self.gauges(
            "mercury_cpus",
            "How many CPUs there could be, and are.",
            "set",
            &[
                ("possible", status.cpus_possible.into()),
                ("online", status.cpus_online.into()),
            ],
        )
    }

    fn cpus(&self, cpus: &[CpuStatus]) -> Result<()> {
        let state = self.add(IntGaugeVec::new(
            Opts::new(
                "mercury_cpu_state",
                "The CPU's own answer: 1 for the state it is in.",
            ),
            &["cpu", "state"],
        )?)?;
        let exits = self.add(IntCounterVec::new(
            Opts::new(
                "mercury_exits_total",
                "Exits of a guest CPU by reason, since its last entry.",
            ),
            &["cpu", "reason"],
        )?)?;
        let entries = self.add(IntCounterVec::new(
            Opts::new(
                "mercury_entries_total",
                "How often the CPU went in since the attach.",
            ),
            &["cpu"],
        )?)?;
        for cpu in cpus {
            let number = cpu.cpu.to_string();
            for one in CpuState::ALL {
                let labels = [number.as_str(), one.name().unwrap_or_default()];
                state
                    .with_label_values(&labels)
                    .set((*one == cpu.state).into());
            }
            if cpu.state != CpuState::Attached {
                continue;
            }
            entries.with_label_values(&[&number]).inc_by(cpu.entries);
            for (reason, count) in cpu.exits.iter() {
                exits
                    .with_label_values(&[&number, &reason.to_string()])
                    .inc_by(count);
            }
        }
        Ok(())
    }

    fn holdings(&self, status: &Status) -> Result<()> {
        let (memory, stage2, ledger, totals) =
            (status.memory, status.stage2, status.ledger, status.totals);
        self.gauges(
            "mercury_memory_bytes",
            "Memory lent by the kernel, by use; 0 when native.",
            "use",
            &[
                ("image", memory.image),
                ("per_cpu", memory.per_cpu),
                ("host_tables", memory.host_tables),
                ("stage2", memory.stage2),
                ("shared", memory.shared),
                ("spare", memory.spare),
            ],
        )?;
        self.gauges(
            "mercury_stage2_leaves",
            "Leaves of the nested map, by the size of what they map in bytes.",
            "bytes",
            &[
                ("1073741824", stage2.leaves_1g),
                ("2097152", stage2.leaves_2m),
                ("4096", stage2.leaves_4k),
            ],
        )?;
        self.gauge(
            "mercury_stage2_mapped_on_demand",
            "Addresses outside iomem that were mapped when touched, since the attach.",
            stage2.mapped_on_demand,
        )?;
        self.gauges(
            "mercury_ledger",
            "What the module holds of the kernel; all 0 after a detach.",
            "what",
            &[
                ("pages", ledger.pages.into()),
                ("maps", ledger.maps.into()),
                ("notifiers", ledger.notifiers.into()),
                ("hotplug_states", ledger.hotplug_states.into()),
            ],
        )?;
        self.counter(
            "mercury_attaches_total",
            "Attaches since the module was loaded.",
            totals.attaches,
        )?;
        self.counter(
            "mercury_detaches_total",
            "Detaches since the module was loaded.",
            totals.detaches,
        )?;
        self.counter(
            "mercury_attaches_refused_total",
            "Attaches refused since the module was loaded.",
            totals.attaches_refused,
        )?;
        if let Some(seconds) = status.rope_seconds_left {
            self.gauge(
                "mercury_rope_seconds",
                "Until it detaches by itself; absent without a rope.",
                seconds.into(),
            )?;
        }
        Ok(())
    }

    /// The last blackout of each CPU each way, and the last whole switches.
    fn switches(&self, samples: &[Sample], khz: u64) -> Result<()> {
        let mut last: BTreeMap<(u32, Option<u32>), &Sample> = BTreeMap::new();
        for sample in samples {
            last.insert((sample.kind.code(), sample.cpu), sample);
        }
        let blackout = self.add(GaugeVec::new(
            Opts::new(
                "mercury_last_blackout_seconds",
                "IRQs off to IRQs on, the CPU's last time each way.",
            ),
            &["cpu", "direction"],
        )?)?;
        let switch = self.add(GaugeVec::new(
            Opts::new(
                "mercury_last_switch_seconds",
                "Start of the first blackout to end of the last, the last time each way.",
            ),
            &["direction"],
        )?)?;
        for (&(kind, cpu), sample) in &last {
            if khz == 0 {
                continue;
            }
            let seconds = sample.ticks() as f64 / (khz as f64 * 1000.0);
            match (SampleKind::from_code(kind), cpu) {
                (SampleKind::AttachBlackout, Some(cpu)) => {
                    blackout.with_label_values(&[&*cpu.to_string(), "attach"])
                }
                (SampleKind::DetachBlackout, Some(cpu)) => {
                    blackout.with_label_values(&[&*cpu.to_string(), "detach"])
                }
                (SampleKind::AttachSwitch, _) => switch.with_label_values(&["attach"]),
                (SampleKind::DetachSwitch, _) => switch.with_label_values(&["detach"]),
                _ => continue,
            }
            .set(seconds);
        }
        Ok(())
    }
}
