// SPDX-License-Identifier: MIT OR Apache-2.0
//! `mercury samples`: what the switches cost.
//!
//! In ticks of the time-stamp counter, because that is what was measured;
//! the frequency stands beside it.

use crate::arguments::Samples;
use crate::exit::Exit;
use crate::output::Output;
use crate::statistics::{Summary, summarize};
use crate::table::Table;
use mercury_device::{Device, Sample, SampleKind};
use serde::Serialize;
use std::collections::BTreeSet;

#[derive(Debug, Serialize)]
struct Answer {
    tsc_khz: u64,
    next: u64,
    kinds: Vec<Kind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<Vec<Raw>>,
}

#[derive(Debug, Serialize)]
struct Kind {
    kind: String,
    #[serde(flatten)]
    all: Summary,
    cpus: Vec<OfCpu>,
}

#[derive(Debug, Serialize)]
struct OfCpu {
    cpu: u32,
    #[serde(flatten)]
    all: Summary,
}

#[derive(Debug, Serialize)]
struct Raw {
    sequence: u64,
    kind: String,
    cpu: Option<u32>,
    begin: u64,
    end: u64,
    ticks: u64,
}

/// Reads and shows.
pub(crate) fn run(options: &Samples, output: Output) -> anyhow::Result<Exit> {
    let device = Device::open()?;
    let khz = device.info()?.tsc_khz;
    let batch = device.samples(options.from)?;
    let answer = answer(&batch.items, batch.next, khz, options.raw);
    output.answer(&answer, || text(&answer, options.per_cpu))?;
    Ok(Exit::Success)
}

fn answer(samples: &[Sample], next: u64, tsc_khz: u64, raw: bool) -> Answer {
    let codes: BTreeSet<u32> = samples.iter().map(|sample| sample.kind.code()).collect();
    let kinds = codes
        .into_iter()
        .filter_map(|code| of_kind(samples, SampleKind::from_code(code)));
    let raw = raw.then(|| {
        samples
            .iter()
            .map(|sample| Raw {
                sequence: sample.sequence,
                kind: sample.kind.to_string(),
                cpu: sample.cpu,
                begin: sample.begin,
                end: sample.end,
                ticks: sample.ticks(),
            })
            .collect()
    });
    Answer {
        tsc_khz,
        next,
        kinds: kinds.collect(),
        raw,
    }
}

fn of_kind(samples: &[Sample], kind: SampleKind) -> Option<Kind> {
    let these: Vec<&Sample> = samples
        .iter()
        .filter(|sample| sample.kind == kind)
        .collect();
    let all = summarize(these.iter().map(|sample| sample.ticks()).collect())?;
    let numbers: BTreeSet<u32> = these.iter().filter_map(|sample| sample.cpu).collect();
    let cpus = numbers
        .into_iter()
        .filter_map(|cpu| {
            let its = these.iter().filter(|sample| sample.cpu == Some(cpu));
            let all = summarize(its.map(|sample| sample.ticks()).collect())?;
            Some(OfCpu { cpu, all })
        })
        .collect();
    Some(Kind {
        kind: kind.to_string(),
        all,
        cpus,
    })
}

fn text(answer: &Answer, per_cpu: bool) -> String {
    if answer.kinds.is_empty() {
        return "no samples yet: they come with the first attach".to_owned();
    }
    let mut table = Table::new(&[
        "step",
        "cpu",
        "count",
        "median",
        "maximum",
        "max us",
        "(in ticks)",
    ]);
    let mut line = |kind: &str, cpu: &str, all: &Summary| {
        table.row([
            kind.to_owned(),
            cpu.to_owned(),
            all.count.to_string(),
            all.median.to_string(),
            all.maximum.to_string(),
            microseconds(all.maximum, answer.tsc_khz),
        ]);
    };
    for kind in &answer.kinds {
        let whole = if kind.cpus.is_empty() { "-" } else { "all" };
        line(&kind.kind, whole, &kind.all);
        for one in kind.cpus.iter().filter(|_| per_cpu) {
            line("", &one.cpu.to_string(), &one.all);
        }
    }
    let mut text = table.render();
    if answer.tsc_khz != 0 {
        text += &format!("a tick is {:.3} ns\n", 1e6 / answer.tsc_khz as f64);
    }
    if let Some(raw) = &answer.raw {
        let mut table = Table::new(&["sequence", "step", "cpu", "begin", "ticks"]);
        for one in raw {
            table.row([
                one.sequence.to_string(),
                one.kind.clone(),
                one.cpu
                    .map_or_else(|| "-".to_owned(), |cpu| cpu.to_string()),
                one.begin.to_string(),
                one.ticks.to_string(),
            ]);
        }
        text = format!("{text}\n{}", table.render());
    }
    text
}

fn microseconds(ticks: u64, khz: u64) -> String {
    if khz == 0 {
        return "?".to_owned();
    }
    format!("{:.1}", ticks as f64 * 1000.0 / khz as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(sequence: u64, kind: SampleKind, cpu: Option<u32>, ticks: u64) -> Sample {
        Sample {
            sequence,
            kind,
            cpu,
            begin: 1000,
            end: 1000 + ticks,
        }
    }

    fn some() -> Vec<Sample> {
        vec![
            sample(1, SampleKind::AttachBlackout, Some(0), 2000),
            sample(2, SampleKind::AttachBlackout, Some(1), 2400),
            sample(3, SampleKind::AttachBlackout, Some(1), 2200),
            sample(4, SampleKind::AttachCall, None, 500_000),
        ]
    }

    #[test]
    fn json_is_stable() {
        let text = serde_json::to_string(&answer(&some()[1..], 5, 1_000_000, true)).unwrap();
        assert_eq!(
            text,
            "{\"tsc_khz\":1000000,\"next\":5,\"kinds\":[\
             {\"kind\":\"attach-blackout\",\"count\":2,\"minimum\":2200,\"median\":2300,\
             \"maximum\":2400,\"cpus\":[{\"cpu\":1,\"count\":2,\"minimum\":2200,\
             \"median\":2300,\"maximum\":2400}]},\
             {\"kind\":\"attach-call\",\"count\":1,\"minimum\":500000,\"median\":500000,\
             \"maximum\":500000,\"cpus\":[]}],\"raw\":[\
             {\"sequence\":2,\"kind\":\"attach-blackout\",\"cpu\":1,\"begin\":1000,\
             \"end\":3400,\"ticks\":2400},\
             {\"sequence\":3,\"kind\":\"attach-blackout\",\"cpu\":1,\"begin\":1000,\
             \"end\":3200,\"ticks\":2200},\
             {\"sequence\":4,\"kind\":\"attach-call\",\"cpu\":null,\"begin\":1000,\
             \"end\":501000,\"ticks\":500000}]}"
        );
        crate::command::assert_documented(&serde_json::from_str(&text).unwrap());
    }

    #[test]
    fn people_see_a_line_for_each_step() {
        let text = text(&answer(&some(), 5, 2_000_000, false), true);
        let expected = "  \
  step             cpu  count  median  maximum  max us  (in ticks)
  attach-blackout  all      3    2200     2400     1.2
                   0        1    2000     2000     1.0
                   1        2    2300     2400     1.2
  attach-call      -        1  500000   500000   250.0
a tick is 0.500 ns
";
        assert_eq!(
            text,
            expected
                .trim_start_matches("  ")
                .to_owned()
                .replacen("step", "  step", 1)
        );
    }

    #[test]
    fn nothing_measured_yet() {
        assert!(text(&answer(&[], 1, 0, true), true).contains("no samples"));
    }
}
