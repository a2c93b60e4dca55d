// SPDX-License-Identifier: MIT OR Apache-2.0
//! What came of the tests: lines for people while they run, a JSON file for
//! machines, and the closing line.

use crate::paths::Paths;
use crate::terminal::judged;
use anyhow::{Context, Result};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// What came of one test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "result", content = "reason")]
pub(crate) enum Fate {
    /// It passed.
    Passed,
    /// It failed, and why.
    Failed(String),
    /// It was skipped, as tests/skips.toml permits, and why.
    Skipped(String),
}

/// One test's line in the report.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Entry {
    /// The row's name, or the host step's.
    pub(crate) name: String,
    /// How many tests it stands for: a cargo run counts as many as it ran.
    pub(crate) count: u64,
    /// What came of it.
    #[serde(flatten)]
    pub(crate) fate: Fate,
    /// Wall time.
    pub(crate) seconds: f64,
    /// What it may take.
    pub(crate) budget_seconds: Option<u64>,
}

/// Wall time of one part of the run, beside what the part may take.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Part {
    /// Wall time, in seconds.
    pub(crate) seconds: f64,
    /// The short list's budget, in seconds: two idle cores, a clean clone.
    pub(crate) budget_seconds: Option<u64>,
}

/// All of them.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// Where the guests ran.
    pub(crate) machine: String,
    /// The tests, in the order in which they ran.
    pub(crate) tests: Vec<Entry>,
    /// What the parts took: set-up and build, host, each backend, ...
    pub(crate) parts: BTreeMap<String, Part>,
}

impl Report {
    /// Takes a test in, and prints its line.
    pub(crate) fn add(
        &mut self,
        name: &str,
        count: u64,
        fate: Fate,
        wall: Duration,
        budget: Option<u64>,
    ) {
        let seconds = wall.as_secs_f64();
        let (word, reason) = match &fate {
            Fate::Passed => (judged("passed ", true), ""),
            Fate::Failed(reason) => (judged("FAILED ", false), reason.as_str()),
            Fate::Skipped(reason) => ("SKIPPED".to_owned(), reason.as_str()),
        };
        let beside = budget.map_or(String::new(), |budget| format!(" of {budget:>4} s"));
        println!("{word} {name:<32} {seconds:>7.1} s{beside}  {reason}");
        self.tests.push(Entry {
            name: name.to_owned(),
            count,
            fate,
            seconds,
            budget_seconds: budget,
        });
    }

    /// Adds wall time to a part.
    pub(crate) fn spend(&mut self, part: &str, wall: Duration) {
        self.parts.entry(part.to_owned()).or_default().seconds += wall.as_secs_f64();
    }

    /// Prints what each part took beside its budget, given in minutes. Wall time
    /// of a shared machine judges nothing, so being over is said and no failure.
    pub(crate) fn weigh(&mut self, budgets: &BTreeMap<String, u64>) {
        println!("wall time of each part, beside its budget on 2 idle cores");
        for (name, part) in &mut self.parts {
            part.budget_seconds = budgets.get(name).map(|minutes| minutes * 60);
            let beside = part.budget_seconds.map_or(String::new(), |budget| {
                let over = part.seconds > budget as f64;
                format!(" of {budget:>4} s{}", if over { "  OVER" } else { "" })
            });
            println!("        {name:<32} {:>7.1} s{beside}", part.seconds);
        }
    }

    /// How many passed, failed, were skipped.
    pub(crate) fn counts(&self) -> (u64, u64, u64) {
        let sum = |pick: fn(&Fate) -> bool| {
            self.tests
                .iter()
                .filter(|entry| pick(&entry.fate))
                .map(|entry| entry.count)
                .sum()
        };
        (
            sum(|fate| matches!(fate, Fate::Passed)),
            sum(|fate| matches!(fate, Fate::Failed(_))),
            sum(|fate| matches!(fate, Fate::Skipped(_))),
        )
    }

    /// Writes target/test/report.json.
    pub(crate) fn write(&self, paths: &Paths) -> Result<()> {
        let path = paths.target("test/report.json");
        let text = serde_json::to_string_pretty(self)?;
        fs::write(&path, text + "\n").with_context(|| format!("writing {}", path.display()))
    }

    /// Prints the closing line, alone on its line; gives the exit code. A run
    /// in which nothing ran has failed.
    pub(crate) fn close(&self) -> u8 {
        let (passed, failed, skipped) = self.counts();
        println!("{passed} passed, {failed} failed, {skipped} skipped");
        u8::from(failed > 0 || passed == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(fates: &[(u64, Fate)]) -> Report {
        let mut report = Report::default();
        for (count, fate) in fates {
            report.add("test", *count, fate.clone(), Duration::ZERO, None);
        }
        report
    }

    #[test]
    fn counts_weigh_each_entry() {
        let report = report(&[
            (40, Fate::Passed),
            (1, Fate::Failed("why".into())),
            (1, Fate::Skipped("why".into())),
        ]);
        assert_eq!(report.counts(), (40, 1, 1));
        assert_eq!(report.close(), 1);
    }

    #[test]
    fn nothing_ran_is_a_failure() {
        assert_eq!(report(&[]).close(), 1);
        assert_eq!(report(&[(1, Fate::Skipped("why".into()))]).close(), 1);
        assert_eq!(report(&[(1, Fate::Passed)]).close(), 0);
    }

    #[test]
    fn parts_add_up_and_know_their_budgets() {
        let mut report = Report::default();
        report.spend("host", Duration::from_secs(50));
        report.spend("host", Duration::from_secs(20));
        report.spend("other", Duration::from_secs(1));
        report.weigh(&BTreeMap::from([("host".to_owned(), 1)]));
        assert_eq!(report.parts["host"].seconds, 70.0);
        assert_eq!(report.parts["host"].budget_seconds, Some(60));
        assert_eq!(report.parts["other"].budget_seconds, None);
    }

    #[test]
    fn the_file_names_result_and_reason() {
        let json = serde_json::to_value(report(&[(1, Fate::Failed("why".into()))])).unwrap();
        assert_eq!(json["tests"][0]["result"], "failed");
        assert_eq!(json["tests"][0]["reason"], "why");
    }
}
