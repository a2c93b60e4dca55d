// SPDX-License-Identifier: MIT OR Apache-2.0
//! The file of a recording: JSON, so that it outlives the program that wrote it.
//!
//! Times are ticks, as they were read; what a tick is stands beside them. The keys are
//! those of `mercury log --json` and `mercury samples --json --raw` where they mean the
//! same (docs/json.md).

use anyhow::{Context, Result, ensure};
use mercury_device::{Info, Record, Sample};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// Of the file's form; one that is not ours is refused.
const VERSION: u32 = 1;

/// All that was seen.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Recording {
    pub(super) trace: u32,
    pub(super) version: String,
    pub(super) backend: String,
    pub(super) tsc_khz: u64,
    pub(super) lost: u64,
    pub(super) records: Vec<Mark>,
    pub(super) samples: Vec<Step>,
}

/// A record of the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) sequence: u64,
    pub(super) ticks: u64,
    pub(super) code: u16,
    pub(super) level: u8,
    pub(super) cpu: Option<u32>,
    pub(super) arguments: [u64; 5],
    pub(super) message: String,
}

/// A step that took time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Step {
    pub(super) sequence: u64,
    pub(super) kind: String,
    pub(super) cpu: Option<u32>,
    pub(super) begin: u64,
    pub(super) end: u64,
}

impl Recording {
    /// Nothing seen yet.
    pub(super) fn new(info: &Info) -> Self {
        Self {
            trace: VERSION,
            version: info.version.clone(),
            backend: info.backend.clone(),
            tsc_khz: info.tsc_khz,
            ..Self::default()
        }
    }

    /// Takes in what a reading of the rings gave, and counts what is missing.
    pub(super) fn add(&mut self, records: &[Record], samples: &[Sample]) {
        for record in records {
            let before = self.records.last().map(|mark| mark.sequence);
            self.lost += gap(before, record.sequence);
            self.records.push(Mark {
                sequence: record.sequence,
                ticks: record.ticks,
                code: record.code,
                level: record.level,
                cpu: record.cpu,
                arguments: record.arguments,
                message: record.sentence(),
            });
        }
        for sample in samples {
            let before = self.samples.last().map(|step| step.sequence);
            self.lost += gap(before, sample.sequence);
            self.samples.push(Step {
                sequence: sample.sequence,
                kind: sample.kind.to_string(),
                cpu: sample.cpu,
                begin: sample.begin,
                end: sample.end,
            });
        }
    }

    /// Reads a file.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let whose = || {
            format!(
                "{} is no recording of `mercury trace record`",
                path.display()
            )
        };
        let recording: Self = serde_json::from_str(&text).with_context(whose)?;
        ensure!(
            recording.trace == VERSION,
            "{} is of version {}, and this tool knows {VERSION}: export it with the tool that recorded it",
            path.display(),
            recording.trace
        );
        Ok(recording)
    }

    /// Writes it.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string(self)?;
        fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))
    }
}

fn gap(before: Option<u64>, now: u64) -> u64 {
    before.map_or(0, |before| now.saturating_sub(before.saturating_add(1)))
}
