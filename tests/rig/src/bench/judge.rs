// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether the figures will do: each within its goal, and none more than a twentieth
//! worse than the recorded one. Less is better for every figure that is told.

use crate::record::{Figure, Recorded, Trial};

/// A clock's tick is up to this many instructions (ARM64's of 62.5 MHz): a figure that
/// differs by no more has not changed.
const TICK: u64 = 16;

/// What is wrong, a sentence each.
pub(super) fn judge(trials: &[Trial], recorded: Option<&Recorded>) -> Vec<String> {
    let mut findings = Vec::new();
    for trial in trials {
        if let Some(failure) = &trial.failure {
            findings.push(format!("{}: {failure}", trial.row));
        }
        for figure in &trial.figures {
            findings.extend(missed(trial, figure));
            findings.extend(worse(trial, figure, recorded));
        }
    }
    findings
}

fn missed(trial: &Trial, figure: &Figure) -> Option<String> {
    let most = figure.limit.filter(|most| figure.value > *most)?;
    Some(format!(
        "{}: {} is {} {}, and may be {most}",
        trial.row, figure.name, figure.value, figure.unit
    ))
}

fn worse(trial: &Trial, figure: &Figure, recorded: Option<&Recorded>) -> Option<String> {
    let was = of(recorded?, &trial.row, figure)?;
    (figure.value > was + (was / 20).max(TICK)).then(|| {
        format!(
            "{}: {} is {} {}, and {was} was recorded: more than a twentieth worse",
            trial.row, figure.name, figure.value, figure.unit
        )
    })
}

/// The recorded value of the same figure of the same row.
pub(super) fn of(recorded: &Recorded, row: &str, figure: &Figure) -> Option<u64> {
    let trial = recorded.trials.iter().find(|trial| trial.row == row)?;
    let same = |other: &&Figure| {
        (&other.name, &other.unit, &other.backend) == (&figure.name, &figure.unit, &figure.backend)
    };
    Some(trial.figures.iter().find(same)?.value)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::record::Measured;
    use std::collections::BTreeMap;

    pub(crate) fn trial(name: &str, value: u64, limit: Option<u64>) -> Trial {
        Trial {
            row: "row".into(),
            seed: None,
            failure: None,
            figures: vec![Figure {
                backend: "el2".into(),
                name: name.into(),
                unit: "instructions".into(),
                value,
                limit,
            }],
        }
    }

    fn recorded(trial: Trial) -> Recorded {
        Recorded {
            what: String::new(),
            about: String::new(),
            commit: String::new(),
            measured: Measured {
                tree: String::new(),
                changed: false,
            },
            seed: None,
            versions: BTreeMap::new(),
            trials: vec![trial],
        }
    }

    #[test]
    fn a_missed_goal_is_found() {
        assert!(judge(&[trial("it", 100, Some(100))], None).is_empty());
        assert_eq!(judge(&[trial("it", 101, Some(100))], None).len(), 1);
    }

    #[test]
    fn a_twentieth_worse_is_found_and_a_tick_is_not() {
        let recorded = recorded(trial("it", 10_000, None));
        let found = |value| judge(&[trial("it", value, None)], Some(&recorded)).len();
        assert_eq!((found(9_000), found(10_500), found(10_501)), (0, 0, 1));
        let small = super::tests::recorded(trial("it", 100, None));
        let found = |value| judge(&[trial("it", value, None)], Some(&small)).len();
        assert_eq!((found(116), found(117)), (0, 1));
    }

    #[test]
    fn another_figure_is_not_compared() {
        let recorded = recorded(trial("it", 1, None));
        assert!(judge(&[trial("other", 1_000, None)], Some(&recorded)).is_empty());
    }

    #[test]
    fn a_row_that_failed_is_found() {
        let mut failed = trial("it", 1, None);
        failed.failure = Some("died".into());
        assert_eq!(judge(&[failed], None), ["row: died"]);
    }
}
