// SPDX-License-Identifier: MIT OR Apache-2.0
//! `mercury detach` and `mercury keep`: the two ends of an attach's life.

use crate::exit::Exit;
use crate::output::{GOOD, Output, paint};
use mercury_device::{Device, Event, Record};
use serde::Serialize;
use std::time::Instant;

#[derive(Debug, Serialize)]
struct Answer {
    result: &'static str,
    microseconds: u64,
}

/// Takes Mercury away.
pub(crate) fn detach(output: Output) -> anyhow::Result<Exit> {
    let device = Device::open()?;
    let begin = Instant::now();
    let from = device.log(0)?.next;
    device.detach()?;
    // If there was nobody to ask any more, the log says so.
    let died = Event::DeadDetached as u16;
    let records = device.log(from)?.items;
    let remark = records.iter().find(|record| record.code == died);
    finish("detached", remark.map(Record::sentence), begin, output)
}

/// Cuts the rope.
pub(crate) fn keep(output: Output) -> anyhow::Result<Exit> {
    let device = Device::open()?;
    let begin = Instant::now();
    device.keep()?;
    finish("kept", None, begin, output)
}

fn finish(
    result: &'static str,
    remark: Option<String>,
    begin: Instant,
    output: Output,
) -> anyhow::Result<Exit> {
    let took = begin.elapsed();
    let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    output.answer(
        &Answer {
            result,
            microseconds,
        },
        || match result {
            "detached" => {
                let remark = remark.map_or_else(String::new, |remark| format!("\nNote: {remark}."));
                format!("{} in {took:.1?}.{remark}", paint(GOOD, result))
            }
            _ => format!(
                "{}: it stays attached until `mercury detach`.",
                paint(GOOD, result)
            ),
        },
    )?;
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_stable() {
        let answer = Answer {
            result: "detached",
            microseconds: 7,
        };
        assert_eq!(
            serde_json::to_string(&answer).unwrap(),
            r#"{"result":"detached","microseconds":7}"#
        );
        crate::command::assert_documented(&serde_json::to_value(&answer).unwrap());
    }
}
