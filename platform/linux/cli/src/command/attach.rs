// SPDX-License-Identifier: MIT OR Apache-2.0
//! `mercury attach`

use crate::arguments::Attach;
use crate::duration;
use crate::exit::Exit;
use crate::output::{DOUBTFUL, GOOD, Output, paint};
use crate::refusal;
use crate::signals::Watch;
use mercury_device::{AttachOptions, Device};
use serde::Serialize;
use std::time::{Duration, Instant};

#[derive(Debug, Serialize)]
struct Answer {
    result: &'static str,
    microseconds: u64,
    rope_seconds: Option<u64>,
    signal_too_late: bool,
}

/// Attaches.
pub(crate) fn run(options: &Attach, output: Output) -> anyhow::Result<Exit> {
    let device = Device::open()?;
    let watch = Watch::begin();
    if watch.seen() {
        return Err(refusal::interrupted().into());
    }
    let begin = Instant::now();
    device.attach(&AttachOptions {
        dry_run: options.dry_run,
        rope: options.rope,
    })?;
    let took = begin.elapsed();
    let answer = Answer {
        result: if options.dry_run {
            "dry-run"
        } else {
            "attached"
        },
        microseconds: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        rope_seconds: options.rope.map(|rope| rope.as_secs()),
        signal_too_late: watch.seen() && !options.dry_run,
    };
    drop(watch);
    output.answer(&answer, || text(&answer, took))?;
    Ok(Exit::Success)
}

fn text(answer: &Answer, took: Duration) -> String {
    if answer.result == "dry-run" {
        return format!(
            "{} (dry run, {took:.1?}): everything was built and taken down again; no CPU entered.",
            paint(GOOD, "would attach")
        );
    }
    let mut text = format!("{} in {took:.1?}.", paint(GOOD, "attached"));
    if let Some(seconds) = answer.rope_seconds {
        let rope = duration::render(u32::try_from(seconds).unwrap_or(u32::MAX));
        text += &format!(
            "\n{}: it detaches by itself in {rope} unless `mercury keep` comes before.",
            paint(DOUBTFUL, "rope")
        );
    }
    if answer.signal_too_late {
        text += &format!(
            "\n{}: the signal came too late to undo it; `mercury detach` takes it away.",
            paint(DOUBTFUL, "still attached")
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Answer {
        Answer {
            result: "attached",
            microseconds: 1500,
            rope_seconds: Some(90),
            signal_too_late: true,
        }
    }

    #[test]
    fn json_is_stable() {
        assert_eq!(
            serde_json::to_string(&answer()).unwrap(),
            r#"{"result":"attached","microseconds":1500,"rope_seconds":90,"signal_too_late":true}"#
        );
        crate::command::assert_documented(&serde_json::to_value(answer()).unwrap());
    }

    #[test]
    fn the_rope_is_announced() {
        let text = text(&answer(), Duration::from_micros(1500));
        let text = anstream::adapter::strip_str(&text).to_string();
        assert!(text.starts_with("attached in 1.5ms.\n"), "{text}");
        assert!(text.contains("in 1m30s unless `mercury keep`"), "{text}");
        assert!(text.contains("too late"), "{text}");
    }
}
