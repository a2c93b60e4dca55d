// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's log, of a kernel that is tortured: some of what is an alarm
//! elsewhere was asked for here. Whoever runs out of memory on purpose, or asks
//! for a backtrace of every CPU, gets call traces, each announced by a line that
//! says why. So many are let pass, and no other alarm.

use crate::kernel_log::{KernelLog, is_alarm};
use anyhow::{Result, ensure};

/// Announces one call trace that was asked for.
const ANNOUNCED: [&str; 4] = [
    "invoked oom-killer",
    "page allocation failure",
    "NMI backtrace for cpu",
    // ARM64's sysrq-l.
    "sysrq: CPU",
];

/// The log from a moment on, and what was announced and did not come yet.
#[derive(Debug)]
pub(super) struct Noise {
    log: KernelLog,
    announced: u64,
}

impl Noise {
    pub(super) fn from_here() -> Result<Self> {
        Ok(Self {
            log: KernelLog::from_here()?,
            announced: 0,
        })
    }

    /// Fails if there is an alarm that nobody asked for, or if there may have been one.
    pub(super) fn only_asked_for(&mut self) -> Result<()> {
        let lines = self.log.read()?;
        ensure!(
            !self.log.overtaken(),
            "the kernel's log came faster than it was read, and some of it is lost; \
             a larger log_buf_len= on the kernel's command line keeps more"
        );
        let alarms = unasked(&lines, &mut self.announced);
        ensure!(
            alarms.is_empty(),
            "the kernel's log says: {}",
            alarms.join(" | ")
        );
        Ok(())
    }
}

fn unasked<'a>(lines: &'a [String], announced: &mut u64) -> Vec<&'a str> {
    let mut alarms = Vec::new();
    for line in lines {
        if ANNOUNCED.iter().any(|words| line.contains(words)) && !line.contains("skipped") {
            *announced += 1;
        } else if line.contains("Call Trace:") || line.contains("Call trace:") {
            if *announced == 0 {
                alarms.push(line.as_str());
            }
            *announced = announced.saturating_sub(1);
        } else if is_alarm(line) {
            alarms.push(line);
        }
    }
    alarms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alarms(lines: &[&str]) -> Vec<String> {
        let lines: Vec<String> = lines.iter().map(|&line| line.to_owned()).collect();
        unasked(&lines, &mut 0)
            .into_iter()
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn a_trace_that_was_asked_for_is_no_alarm_and_the_next_one_is() {
        let oom = "eater invoked oom-killer: gfp_mask=0x140dca";
        assert!(alarms(&[oom, "Call Trace:"]).is_empty());
        assert_eq!(alarms(&[oom, "Call Trace:", "Call Trace:"]).len(), 1);
        assert_eq!(
            alarms(&[oom, "BUG: Bad page state", "Call Trace:"]).len(),
            1
        );
    }

    #[test]
    fn an_idle_cpu_has_no_trace() {
        let idle = "NMI backtrace for cpu 1 skipped: idling at native_safe_halt";
        assert_eq!(alarms(&[idle, "Call Trace:"]).len(), 1);
    }
}
