// SPDX-License-Identifier: MIT OR Apache-2.0
//! `mercury detach` and `mercury keep`: the two ends of an attach's life.

use crate::exit::Exit;
use crate::output::{GOOD, Output, paint};
use mercury_device::Device;
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
    device.detach()?;
    finish("detached", begin, output)
}

/// Cuts the rope.
pub(crate) fn keep(output: Output) -> anyhow::Result<Exit> {
    let device = Device::open()?;
    let begin = Instant::now();
    device.keep()?;
    finish("kept", begin, output)
}

fn finish(result: &'static str, begin: Instant, output: Output) -> anyhow::Result<Exit> {
    let took = begin.elapsed();
    let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    output.answer(
        &Answer {
            result,
            microseconds,
        },
        || match result {
            "detached" => format!("{} in {took:.1?}.", paint(GOOD, result)),
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
