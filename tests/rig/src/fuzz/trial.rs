// SPDX-License-Identifier: MIT OR Apache-2.0
//! One target: fuzzed as it is, and with its defect.

use super::build::Programs;
use crate::command::output;
use crate::paths::Paths;
use anyhow::{Context, Result, ensure};
use core::fmt;
use serde::Serialize;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;

/// What libFuzzer ends with when it has found something.
const FOUND: [i32; 2] = [77, 70];
/// A run that uses no CPU is ended after so many times its CPU time.
const PATIENCE: u64 = 20;

/// What came of a target.
#[derive(Debug, Serialize)]
pub(crate) struct Trial {
    /// Its name.
    pub(crate) target: String,
    /// Inputs that were tried.
    pub(crate) inputs: u64,
    /// Edges of the decoder that were reached.
    pub(crate) edges_reached: u64,
    /// Edges that it has.
    pub(crate) edges: u64,
    /// Inputs that the corpus had at the end.
    pub(crate) corpus: usize,
    /// What was found, and where the input is that shows it.
    pub(crate) found: Option<String>,
    /// What was found of the planted defect.
    pub(crate) planted_found: Option<String>,
    /// Wall seconds until it was.
    pub(crate) planted_seconds: f64,
}

/// The number behind `before` in a line of the output.
fn number(text: &str, before: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(before))?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// What a panic said, or what libFuzzer says of a run that failed.
fn complaint(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let panic = lines.iter().position(|line| line.contains("panicked at"));
    let said = match panic {
        Some(at) => lines.get(at + 1).copied().unwrap_or_default(),
        None => lines
            .iter()
            .find(|line| line.contains("ERROR: libFuzzer"))
            .copied()
            .unwrap_or("it ended badly"),
    };
    let at = panic.and_then(|at| lines[at].split("panicked at ").nth(1));
    format!("{} {}", at.unwrap_or_default(), said.trim())
        .trim()
        .chars()
        .take(200)
        .collect()
}

struct Run<'a> {
    program: &'a Path,
    target: &'a str,
    seconds: u64,
    seed: u32,
}

impl Run<'_> {
    fn hold(&self, folder: &Path) -> Result<(Output, String)> {
        let corpus = folder.join("corpus");
        // Begun anew, so that the seed decides.
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(&corpus).with_context(|| format!("making {}", corpus.display()))?;
        let mut command = Command::new(self.program);
        command
            .arg(&corpus)
            .arg(format!("-seed={}", self.seed))
            .arg(format!("-max_total_time={}", self.seconds * PATIENCE))
            .arg(format!("-artifact_prefix={}/", folder.display()))
            .env("MERCURY_FUZZ", self.target)
            .env("MERCURY_FUZZ_SEEDS", &corpus)
            .env("MERCURY_FUZZ_SECONDS", self.seconds.to_string());
        let ended = output(&mut command)?;
        let text = String::from_utf8_lossy(&ended.stdout).into_owned()
            + &String::from_utf8_lossy(&ended.stderr);
        fs::write(folder.join("output.txt"), &text)?;
        Ok((ended, text))
    }
}

impl Trial {
    /// Tries a target.
    pub(crate) fn hold(
        paths: &Paths,
        programs: &Programs,
        target: &str,
        seconds: u64,
        seed: u32,
    ) -> Result<Self> {
        let folder = |kind: &str| paths.target("fuzz").join(kind).join(target);
        let run = |program| Run {
            program,
            target,
            seconds,
            seed,
        };
        let (ended, text) = run(&programs.sound).hold(&folder("run"))?;
        let found = (!ended.status.success()).then(|| {
            let input = folder("run");
            format!("{} (the input is in {})", complaint(&text), input.display())
        });
        let started = Instant::now();
        let (ended, planted) = run(&programs.planted).hold(&folder("run-planted"))?;
        let code = ended.status.code();
        ensure!(
            ended.status.success() || code.is_some_and(|code| FOUND.contains(&code)),
            "{target} with a planted defect ended with {}: {}",
            ended.status,
            complaint(&planted)
        );
        let corpus = fs::read_dir(folder("run").join("corpus"))?.count();
        let coverage = text
            .lines()
            .find_map(|line| line.strip_prefix("coverage: "))
            .unwrap_or_default();
        Ok(Self {
            target: target.to_owned(),
            inputs: number(&text, "inputs: ").unwrap_or(0),
            edges_reached: number(coverage, "").unwrap_or(0),
            edges: number(coverage.split(" of ").nth(1).unwrap_or_default(), "").unwrap_or(0),
            corpus,
            found,
            planted_found: (!ended.status.success()).then(|| complaint(&planted)),
            planted_seconds: started.elapsed().as_secs_f64(),
        })
    }

    /// Why this target has failed, if it has.
    pub(crate) fn complaint(&self) -> Option<String> {
        if let Some(found) = &self.found {
            return Some(format!("{}: {found}", self.target));
        }
        if self.planted_found.is_none() {
            return Some(format!("{}: the planted defect was not found", self.target));
        }
        (self.edges_reached == 0).then(|| format!("{}: reached nothing", self.target))
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{:<10} {:>10} inputs, {:>3} of {:>3} edges, planted defect ",
            self.target, self.inputs, self.edges_reached, self.edges
        )?;
        match &self.planted_found {
            Some(found) => write!(
                formatter,
                "found after {:.1} s: {found}",
                self.planted_seconds
            )?,
            None => write!(formatter, "NOT FOUND")?,
        }
        match &self.found {
            Some(found) => write!(formatter, "\nFAILED     {found}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_taken_out_of_the_output() {
        let text = "x\ninputs: 128\ncoverage: 9 of 12 edges\n";
        assert_eq!(number(text, "inputs: "), Some(128));
        assert_eq!(number(text, "corpus: "), None);
        assert_eq!(number("12 edges", ""), Some(12));
    }

    #[test]
    fn a_complaint_is_what_the_panic_said() {
        let text = "#5 NEW\nthread panicked at src/x.rs:3:5:\nassertion failed: a\nnote: y\n";
        assert_eq!(complaint(text), "src/x.rs:3:5: assertion failed: a");
        let text = "==1== ERROR: libFuzzer: timeout after 5 seconds\n";
        assert!(complaint(text).contains("timeout"));
    }
}
