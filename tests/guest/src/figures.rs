// SPDX-License-Identifier: MIT OR Apache-2.0
//! What switches cost, from the module's samples: median and maximum.
//!
//! The unit is a tick of the time-stamp counter. In an emulator that counts
//! instructions (`-icount`) a tick stands for a number of instructions and the
//! figures are the same in every run; otherwise they include the host's noise.

use anyhow::Result;
use mercury_device::{Device, Sample, SampleKind};

/// Samples from a moment on.
#[derive(Debug)]
pub(crate) struct Figures {
    next: u64,
}

/// Of one kind of step.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spread {
    pub(crate) median: u64,
    pub(crate) maximum: u64,
}

impl Figures {
    /// From now on.
    pub(crate) fn from_here(device: &Device) -> Result<Self> {
        Ok(Self {
            next: device.samples(0)?.next,
        })
    }

    /// The samples since the last reading.
    pub(crate) fn read(&mut self, device: &Device) -> Result<Vec<Sample>> {
        let batch = device.samples(self.next)?;
        self.next = batch.next;
        Ok(batch.items)
    }
}

/// Median and maximum of one kind, of one CPU if given; `None` without samples.
pub(crate) fn spread(samples: &[Sample], kind: SampleKind, cpu: Option<u32>) -> Option<Spread> {
    let mut ticks: Vec<u64> = samples
        .iter()
        .filter(|sample| sample.kind == kind && (cpu.is_none() || sample.cpu == cpu))
        .map(Sample::ticks)
        .collect();
    ticks.sort_unstable();
    Some(Spread {
        median: *ticks.get(ticks.len() / 2)?,
        maximum: *ticks.last()?,
    })
}

/// A figure for `make record`, and its limit if it has one.
pub(crate) fn tell(
    device: &Device,
    name: &str,
    unit: &str,
    value: u64,
    limit: Option<u64>,
) -> Result<()> {
    let figure = serde_json::json!({
        "backend": device.info()?.backend,
        "name": name,
        "unit": unit,
        "value": value,
        "limit": limit,
    });
    println!("figure: {figure}");
    Ok(())
}

/// In words.
pub(crate) fn shown(spread: Option<Spread>) -> String {
    spread.map_or_else(
        || "not measured".to_owned(),
        |spread| format!("{} median, {} maximum", spread.median, spread.maximum),
    )
}
