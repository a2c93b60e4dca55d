// SPDX-License-Identifier: MIT OR Apache-2.0
//! The judge's hand in the kernel: mercury_test.ko, by way of its one file.

use crate::expect::skip;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

pub(crate) const FILE: &str = "/proc/mercury_test";

#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::{EFER, EFER_SVME, VM_CR, VM_HSAVE_PA};

/// The test module, loaded.
#[derive(Debug)]
pub(crate) struct Probe;

/// An answer of `name value` lines.
#[derive(Debug)]
pub(crate) struct Answer(BTreeMap<String, String>);

impl Answer {
    pub(crate) fn text(&self, name: &str) -> Result<&str> {
        let value = self.0.get(name);
        value
            .map(String::as_str)
            .with_context(|| format!("the test module's answer has no '{name}'"))
    }

    pub(crate) fn signed(&self, name: &str) -> Result<i64> {
        let text = self.text(name)?;
        text.parse()
            .with_context(|| format!("'{name}' is '{text}'"))
    }

    pub(crate) fn number(&self, name: &str) -> Result<u64> {
        let text = self.text(name)?;
        let parsed = match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => text.parse(),
        };
        parsed.with_context(|| format!("'{name}' is '{text}'"))
    }

    pub(crate) fn into_map(self) -> BTreeMap<String, String> {
        self.0
    }
}

impl Probe {
    /// Loads the module if need be; skips the suite if it is not there.
    pub(crate) fn load() -> Result<Self> {
        if !Path::new(FILE).exists() {
            let release = crate::machine::read("/proc/sys/kernel/osrelease")?;
            let module = format!("/lib/modules/{release}/extra/mercury_test.ko");
            if !Path::new(&module).exists() {
                return skip(format!("{module} is not there"));
            }
            let status = Command::new("insmod")
                .arg(&module)
                .status()
                .context("running insmod")?;
            ensure!(status.success(), "insmod {module} ended with {status}");
        }
        Ok(Self)
    }

    /// One command, its answer as it is.
    pub(crate) fn say(&self, command: &str) -> Result<String> {
        let mut file = File::options()
            .read(true)
            .write(true)
            .open(FILE)
            .context("opening the test module's file")?;
        file.write_all(command.as_bytes())
            .with_context(|| format!("the test module refused '{command}'"))?;
        let mut answer = String::new();
        file.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// One command, its answer by name.
    pub(crate) fn ask(&self, command: &str) -> Result<Answer> {
        let lines = self.say(command)?;
        let pairs = lines.lines().filter_map(|line| line.split_once(' '));
        Ok(Answer(
            pairs
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        ))
    }
}

/// Everybody else's switches watched at the door, until dropped.
#[derive(Debug)]
pub(crate) struct Observer<'a> {
    probe: &'a Probe,
}

impl<'a> Observer<'a> {
    pub(crate) fn start(probe: &'a Probe) -> Result<Self> {
        probe.say("observer off")?;
        probe
            .say("observer on")
            .context("mercury.ko does not let itself be observed (is it a build for tests?)")?;
        Ok(Self { probe })
    }

    /// Differences found so far, each a sentence; and the passages seen.
    pub(crate) fn findings(&self) -> Result<(Vec<String>, u64)> {
        let report = self.probe.say("observer report")?;
        let mut found = Vec::new();
        let mut passages = 0;
        for line in report.lines() {
            if line.starts_with("differs ") {
                found.push(line.to_owned());
            } else {
                let words: Vec<&str> = line.split_whitespace().collect();
                for pair in words.windows(2) {
                    if pair[0] == "attaches" || pair[0] == "detaches" {
                        passages += pair[1].parse::<u64>().unwrap_or(0);
                    }
                }
            }
        }
        Ok((found, passages))
    }
}

impl Drop for Observer<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.probe.say("observer off") {
            eprintln!("mercury-judge: {error:#}");
        }
    }
}
