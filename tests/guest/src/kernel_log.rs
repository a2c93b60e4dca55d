// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's log, searched for what must not stand in it.

use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

/// Anything of these means that the kernel noticed something.
const ALARMS: [&str; 17] = [
    "WARNING:",
    "BUG:",
    "kernel BUG",
    "Oops",
    "lockup",
    "rcu: INFO:",
    "detected stalls",
    "general protection fault",
    "unable to handle",
    "blocked for more than",
    "Call Trace",
    "Call trace:",
    "Internal error",
    "Kernel panic",
    "Uhhuh",
    "double fault",
    "scheduling while atomic",
];

/// The log from a moment on.
#[derive(Debug)]
pub(crate) struct KernelLog {
    file: File,
    overtaken: bool,
}

impl KernelLog {
    /// From now on.
    pub(crate) fn from_here() -> Result<Self> {
        let mut file = File::options()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/kmsg")
            .context("opening /dev/kmsg")?;
        file.seek(SeekFrom::End(0))
            .context("finding the end of /dev/kmsg")?;
        Ok(Self {
            file,
            overtaken: false,
        })
    }

    /// The messages since the last reading.
    pub(crate) fn read(&mut self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        let mut record = [0; 8192];
        loop {
            match self.file.read(&mut record) {
                Ok(0) => return Ok(lines),
                Ok(count) => {
                    let text = String::from_utf8_lossy(&record[..count]);
                    let message = text.split_once(';').map_or("", |(_, message)| message);
                    lines.push(message.lines().next().unwrap_or("").to_owned());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(lines),
                // The writer has come round; what was overwritten is lost.
                Err(error) if error.raw_os_error() == Some(libc::EPIPE) => self.overtaken = true,
                Err(error) => return Err(error).context("reading /dev/kmsg"),
            }
        }
    }

    /// Whether messages were lost, because they came faster than they were read.
    pub(crate) fn overtaken(&self) -> bool {
        self.overtaken
    }

    /// The messages since the last reading that are alarms.
    pub(crate) fn alarms(&mut self) -> Result<Vec<String>> {
        let mut lines = self.read()?;
        lines.retain(|line| is_alarm(line));
        Ok(lines)
    }

    /// Fails if there is one.
    pub(crate) fn quiet(&mut self) -> Result<()> {
        let alarms = self.alarms()?;
        ensure!(
            alarms.is_empty(),
            "the kernel's log says: {}",
            alarms.join(" | ")
        );
        Ok(())
    }
}

/// Whether a message is one.
pub(crate) fn is_alarm(line: &str) -> bool {
    ALARMS.iter().any(|alarm| line.contains(alarm))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_are_told_from_talk() {
        assert!(is_alarm("WARNING: CPU: 1 PID: 3 at arch/x86/kernel/x.c:3"));
        assert!(is_alarm(
            "watchdog: BUG: soft lockup - CPU#0 stuck for 22s!"
        ));
        assert!(!is_alarm(
            "clocksource: timekeeping watchdog on CPU1: Marking clocksource 'tsc' as unstable"
        ));
    }
}
