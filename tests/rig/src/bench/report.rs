// SPDX-License-Identifier: MIT OR Apache-2.0
//! The report: Markdown for people, JSON for programs, charts for both.

use super::chart::{self, Pair};
use super::{judge, relative};
use crate::record::{Figure, Recorded, Trial};
use anyhow::{Context, Result};
use serde_json::json;
use std::fs;
use std::path::Path;

/// Charts: the file's name, the title, and how the figure's name begins.
const CHARTS: &[(&str, &str, &str)] = &[
    (
        "attach",
        "Attach, call to return (instructions)",
        "attach, call to return",
    ),
    (
        "detach",
        "Detach, call to return (instructions)",
        "detach, call to return",
    ),
    (
        "switch-in",
        "Switch of an attach (instructions)",
        "the switch of an attach",
    ),
    (
        "switch-out",
        "Switch of a detach (instructions)",
        "the switch of a detach",
    ),
];

/// What is reported.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) trials: &'a [Trial],
    pub(super) recorded: Option<&'a Recorded>,
    pub(super) findings: &'a [String],
    /// Rows that were left out.
    pub(super) not_run: Vec<&'a str>,
    pub(super) not_measured: &'a [(&'a str, &'a str)],
}

impl Report<'_> {
    /// Writes everything into the folder.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
        };
        write("report.md", self.markdown())?;
        write(
            "report.json",
            serde_json::to_string_pretty(&self.json())? + "\n",
        )?;
        for (name, title, figure) in CHARTS {
            let pairs = self.pairs(figure);
            if !pairs.is_empty() {
                write(&format!("{name}.svg"), chart::bars(title, &pairs))?;
            }
        }
        Ok(())
    }

    /// Every figure with its row.
    fn figures(&self) -> impl Iterator<Item = (&str, &Figure)> {
        self.trials.iter().flat_map(|trial| {
            trial
                .figures
                .iter()
                .map(|figure| (trial.row.as_str(), figure))
        })
    }

    /// Those that the relative has too, which is on the rows of its machine.
    fn beside(&self) -> impl Iterator<Item = (u32, &Figure, u64)> {
        self.figures().filter_map(|(row, figure)| {
            let cpus = cpus_of(row)?;
            Some((cpus, figure, relative::of(&figure.name, cpus)?))
        })
    }

    fn pairs(&self, begins: &str) -> Vec<Pair> {
        self.beside()
            .filter(|(_, figure, _)| figure.name.starts_with(begins))
            .map(|(cpus, figure, theirs)| Pair {
                label: format!("{cpus} CPU{}", if cpus == 1 { "" } else { "s" }),
                ours: figure.value,
                theirs,
            })
            .collect()
    }

    /// For people.
    pub(super) fn markdown(&self) -> String {
        let mut text = String::from(
            "# What Mercury costs\n\nCounts, never times. Under `-icount` a nanosecond is an \
             instruction, summed over all virtual CPUs.\n\n## Beside Jailhouse\n\n\
             The same virtual machine: virt, Cortex-A57, GICv3.\n\n\
             | CPUs | what | unit | Mercury | Jailhouse | Jailhouse / Mercury |\n\
             | --- | --- | --- | --- | --- | --- |\n",
        );
        for (cpus, figure, theirs) in self.beside() {
            text += &format!(
                "| {cpus} | {} | {} | {} | {} | {} |\n",
                figure.name,
                figure.unit,
                grouped(figure.value),
                grouped(theirs),
                ratio(theirs, figure.value)
            );
        }
        text += "\n## All figures\n\n| row | backend | what | unit | now | at most | recorded |\n\
                 | --- | --- | --- | --- | --- | --- | --- |\n";
        for (row, figure) in self.figures() {
            let was = self
                .recorded
                .and_then(|recorded| judge::of(recorded, row, figure));
            text += &format!(
                "| {row} | {} | {} | {} | {} | {} | {} |\n",
                figure.backend,
                figure.name,
                figure.unit,
                grouped(figure.value),
                figure.limit.map(grouped).unwrap_or_default(),
                was.map(grouped).unwrap_or_default()
            );
        }
        text += "\n## Left out\n\n";
        for row in &self.not_run {
            text += &format!("- SKIPPED {row}: not among the quick rows\n");
        }
        for (what, why) in self.not_measured {
            text += &format!("- SKIPPED {what}: {why}\n");
        }
        text += "\n## Verdict\n\n";
        if self.findings.is_empty() {
            text += "Every goal is met, and nothing is worse than recorded.\n";
        }
        for finding in self.findings {
            text += &format!("- {finding}\n");
        }
        text
    }

    /// For programs.
    fn json(&self) -> serde_json::Value {
        let left_out: Vec<_> = self
            .not_run
            .iter()
            .map(|row| json!({"what": row, "why": "not among the quick rows"}))
            .chain(
                self.not_measured
                    .iter()
                    .map(|(what, why)| json!({"what": what, "why": why})),
            )
            .collect();
        let beside: Vec<_> = self
            .beside()
            .map(|(cpus, figure, theirs)| {
                json!({"cpus": cpus, "what": figure.name, "unit": figure.unit,
                       "mercury": figure.value, "jailhouse": theirs})
            })
            .collect();
        json!({
            "passed": self.findings.is_empty(),
            "findings": self.findings,
            "trials": self.trials,
            "beside_jailhouse": beside,
            "left_out": left_out,
        })
    }
}

/// On how many CPUs a row of the relative's machine runs.
fn cpus_of(row: &str) -> Option<u32> {
    row.strip_prefix("aarch64-bench-")?
        .strip_suffix("cpu")?
        .parse()
        .ok()
}

fn ratio(theirs: u64, ours: u64) -> String {
    if ours == 0 {
        return "none at all".to_owned();
    }
    format!("{:.1}", theirs as f64 / ours as f64)
}

/// 12,345.
pub(super) fn grouped(value: u64) -> String {
    crate::record::grouped(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trials() -> Vec<Trial> {
        let mut trial =
            judge::tests::trial("attach, call to return, 2 CPUs", 222_128, Some(300_000));
        trial.row = "aarch64-bench-2cpu".into();
        vec![trial]
    }

    #[test]
    fn the_relative_stands_beside_it() {
        let trials = trials();
        let report = Report {
            trials: &trials,
            recorded: None,
            findings: &[],
            not_run: vec!["x"],
            not_measured: &[("this", "that")],
        };
        let text = report.markdown();
        assert!(text.contains(
            "| 2 | attach, call to return, 2 CPUs | instructions | 222,128 | 1,467,232 | 6.6 |"
        ));
        assert!(text.contains("SKIPPED x: ") && text.contains("SKIPPED this: that"));
        assert_eq!(report.json()["beside_jailhouse"][0]["jailhouse"], 1_467_232);
        assert_eq!(report.json()["passed"], true);
        assert_eq!(report.pairs("attach, call").len(), 1);
    }

    #[test]
    fn a_finding_stands_in_the_verdict() {
        let report = Report {
            trials: &[],
            recorded: None,
            findings: &["it is slow".to_owned()],
            not_run: Vec::new(),
            not_measured: &[],
        };
        assert!(report.markdown().ends_with("- it is slow\n"));
        assert_eq!(report.json()["passed"], false);
    }

    #[test]
    fn nothing_is_infinitely_less() {
        assert_eq!(ratio(190, 0), "none at all");
        assert_eq!(ratio(30, 10), "3.0");
    }
}
