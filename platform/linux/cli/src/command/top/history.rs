// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two answers of the module and how they differ; the last blackouts.
//!
//! Exit counters begin anew whenever a CPU goes in, so a difference is a rate only if
//! the CPU has stayed in between; how often it went in tells.

use mercury_device::{
    CpuState, CpuStatus, Device, Error, ExitReason, Info, Sample, SampleKind, Status,
};
use std::collections::VecDeque;
use std::time::Instant;

/// As many samples as the module keeps, so that a long watch does not grow.
const KEPT: usize = 8192;

/// What was answered last, and before that.
#[derive(Debug)]
pub(super) struct History {
    pub(super) info: Info,
    now: Option<(Instant, Status)>,
    before: Option<(Instant, Status)>,
    samples: VecDeque<Sample>,
    next_sample: u64,
}

impl History {
    pub(super) fn new(info: Info) -> Self {
        Self {
            info,
            now: None,
            before: None,
            samples: VecDeque::new(),
            next_sample: 1,
        }
    }

    /// Asks the module.
    pub(super) fn take(&mut self, device: &Device, at: Instant) -> Result<(), Error> {
        let status = device.status()?;
        let batch = device.samples(self.next_sample)?;
        self.add(at, status, batch.items, batch.next);
        Ok(())
    }

    /// Takes an answer in.
    pub(super) fn add(&mut self, at: Instant, status: Status, samples: Vec<Sample>, next: u64) {
        self.before = self.now.replace((at, status));
        self.samples.extend(samples);
        let surplus = self.samples.len().saturating_sub(KEPT);
        self.samples.drain(..surplus);
        self.next_sample = next;
    }

    pub(super) fn status(&self) -> Option<&Status> {
        self.now.as_ref().map(|(_, status)| status)
    }

    /// Exits of this CPU and reason a second, if it was a guest all the time.
    pub(super) fn rate(&self, cpu: &CpuStatus, reason: ExitReason) -> Option<f64> {
        let ((then, before), (now, _)) = (self.before.as_ref()?, self.now.as_ref()?);
        let before = before.cpus.iter().find(|one| one.cpu == cpu.cpu)?;
        let stayed = before.state == CpuState::Attached
            && cpu.state == CpuState::Attached
            && before.entries == cpu.entries;
        let seconds = now.saturating_duration_since(*then).as_secs_f64();
        let more = cpu.exits.of(reason).checked_sub(before.exits.of(reason))?;
        (stayed && seconds > 0.0).then(|| more as f64 / seconds)
    }

    /// Exits of all reasons a second.
    pub(super) fn whole_rate(&self, cpu: &CpuStatus) -> Option<f64> {
        ExitReason::ALL
            .iter()
            .map(|reason| self.rate(cpu, *reason))
            .sum()
    }

    /// What the last steps of one kind took, in ticks.
    pub(super) fn ticks(&self, kind: SampleKind) -> Vec<u64> {
        let these = self.samples.iter().filter(|sample| sample.kind == kind);
        these.map(Sample::ticks).collect()
    }
}
