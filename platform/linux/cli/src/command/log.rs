// SPDX-License-Identifier: MIT OR Apache-2.0
//! `mercury log`: what the hypervisor and the module recorded.
//!
//! The ring is read, not emptied, so two readers do not disturb each other.
//! With `--follow` it is looked at four times a second: a wake-up call would
//! need code on the exit path.

use crate::arguments::{Log, LogLevel};
use crate::exit::Exit;
use crate::output::{BAD, DOUBTFUL, Output, hexadecimal, paint};
use anstyle::Style;
use mercury_device::{Device, Event, Level, Record};
use serde::Serialize;
use std::thread;
use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(250);

#[derive(Debug, Serialize)]
struct Entry {
    sequence: u64,
    ticks: u64,
    event: Option<String>,
    code: u16,
    level: &'static str,
    origin: &'static str,
    cpu: Option<u32>,
    arguments: [String; 5],
    message: String,
}

#[derive(Debug, Serialize)]
struct Lost {
    lost: u64,
}

/// Shows the ring, and what comes after it.
pub(crate) fn run(options: &Log, output: Output) -> anyhow::Result<Exit> {
    let device = Device::open()?;
    // For people ticks become seconds. The module knows the frequency.
    let khz = if output.json {
        0
    } else {
        device.info()?.tsc_khz
    };
    let mut reader = Reader {
        expected: None,
        level: options.level,
    };
    let mut from = options.from;
    loop {
        let batch = device.log(from)?;
        from = batch.next;
        for record in &batch.items {
            if let Some(lost) = reader.lost(record.sequence) {
                output.entry(&Lost { lost }, || {
                    format!("-- {lost} records were overwritten before they were read --")
                })?;
            }
            if reader.wants(record) {
                output.entry(&entry(record), || line(record, khz))?;
            }
        }
        if !options.follow {
            return Ok(Exit::Success);
        }
        thread::sleep(PAUSE);
    }
}

/// What was read so far.
struct Reader {
    expected: Option<u64>,
    level: LogLevel,
}

impl Reader {
    /// How many records are missing before this one. Before the first nothing
    /// is: a ring that turned over long ago is no news.
    fn lost(&mut self, sequence: u64) -> Option<u64> {
        let expected = self.expected.replace(sequence.saturating_add(1));
        expected
            .and_then(|expected| sequence.checked_sub(expected))
            .filter(|&lost| lost != 0)
    }

    fn wants(&self, record: &Record) -> bool {
        record.level() as u8 <= self.level as u8
    }
}

const fn level_name(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Information => "information",
        Level::Detail => "detail",
    }
}

/// `HotplugFailed` as `hotplug-failed`.
pub(super) fn event_name(event: Event) -> String {
    let mut name = String::new();
    for character in format!("{event:?}").chars() {
        if character.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(character.to_ascii_lowercase());
    }
    name
}

fn entry(record: &Record) -> Entry {
    Entry {
        sequence: record.sequence,
        ticks: record.ticks,
        event: record.event().map(event_name),
        code: record.code,
        level: level_name(record.level()),
        origin: record.origin.name(),
        cpu: record.cpu,
        arguments: record.arguments.map(hexadecimal),
        message: record.sentence(),
    }
}

fn line(record: &Record, khz: u64) -> String {
    let time = if khz == 0 {
        format!("{:>16}", record.ticks)
    } else {
        let microseconds = u128::from(record.ticks) * 1000 / u128::from(khz);
        format!(
            "{:>9}.{:06}",
            microseconds / 1_000_000,
            microseconds % 1_000_000
        )
    };
    let style = match record.level() {
        Level::Error => BAD,
        Level::Warning => DOUBTFUL,
        Level::Information | Level::Detail => Style::new(),
    };
    let cpu = record
        .cpu
        .map_or_else(String::new, |cpu| format!("cpu {cpu}"));
    let level = paint(style, &format!("{:<7}", short(record.level())));
    format!(
        "{time}  {:<7} {:<6}  {level}  {}",
        cpu,
        record.origin.name(),
        record.sentence()
    )
}

/// As wide as the others.
const fn short(level: Level) -> &'static str {
    match level {
        Level::Information => "info",
        other => level_name(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mercury_device::Origin;

    const STORE: Record = Record {
        sequence: 9,
        ticks: 2_500_000,
        code: 7,
        level: 2,
        origin: Origin::Image,
        cpu: Some(1),
        arguments: [0x1000, 8, 0xffff_ffff_8100_0000, 0, 0],
    };

    #[test]
    fn json_is_stable() {
        let text = serde_json::to_string(&entry(&STORE)).unwrap();
        assert_eq!(
            text,
            "{\"sequence\":9,\"ticks\":2500000,\"event\":\"hole-store\",\"code\":7,\
             \"level\":\"warning\",\"origin\":\"image\",\"cpu\":1,\
             \"arguments\":[\"0x1000\",\"0x8\",\"0xffffffff81000000\",\"0x0\",\"0x0\"],\
             \"message\":\"store of 8 bytes to Mercury's frame at 0x1000 dropped, \
             instruction at 0xffffffff81000000\"}"
        );
        crate::command::assert_documented(&serde_json::from_str(&text).unwrap());
        crate::command::assert_documented(&serde_json::to_value(Lost { lost: 1 }).unwrap());
    }

    #[test]
    fn people_see_seconds() {
        let text = anstream::adapter::strip_str(&line(&STORE, 1_000_000)).to_string();
        assert!(
            text.starts_with("        0.002500  cpu 1   image   warning  store of 8"),
            "{text}"
        );
        assert!(line(&STORE, 0).trim_start().starts_with("2500000 "));
    }

    #[test]
    fn gaps_and_levels() {
        let mut reader = Reader {
            expected: None,
            level: LogLevel::Warning,
        };
        assert_eq!(reader.lost(100), None);
        assert_eq!(reader.lost(101), None);
        assert_eq!(reader.lost(110), Some(8));
        assert!(reader.wants(&STORE));
        assert!(!reader.wants(&Record { level: 3, ..STORE }));
        // A level of the future is shown rather than hidden.
        assert!(reader.wants(&Record { level: 9, ..STORE }));
    }

    #[test]
    fn event_names() {
        assert_eq!(event_name(Event::HotplugFailed), "hotplug-failed");
    }
}
