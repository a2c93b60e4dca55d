// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a recording's file holds.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// How a line of a guest's output begins that has a figure for the record.
const FIGURE: &str = "figure: ";

/// A recording.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Recorded {
    pub(crate) what: String,
    pub(crate) about: String,
    /// The commit that was checked out.
    pub(crate) commit: String,
    /// The code that was measured.
    pub(crate) measured: Measured,
    /// The first seed, where there are any.
    pub(crate) seed: Option<u64>,
    /// Of what it ran on.
    pub(crate) versions: BTreeMap<String, String>,
    /// Run by run.
    pub(crate) trials: Vec<Trial>,
}

/// A fingerprint of code.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Measured {
    /// A line for each folder: its path and git's name for its contents.
    pub(crate) tree: String,
    /// Whether the checkout differed from that.
    pub(crate) changed: bool,
}

/// One row, run once.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Trial {
    pub(crate) row: String,
    pub(crate) seed: Option<u64>,
    /// Why it failed, if it did.
    pub(crate) failure: Option<String>,
    pub(crate) figures: Vec<Figure>,
}

/// One figure, as a guest prints it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Figure {
    /// Of which backend.
    pub(crate) backend: String,
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) value: u64,
    /// The most that it may be, where there is a limit.
    pub(crate) limit: Option<u64>,
}

impl Figure {
    /// All figures in a guest's output.
    pub(crate) fn all_in(said: &str) -> Result<Vec<Self>> {
        said.lines()
            .filter_map(|line| line.strip_prefix(FIGURE))
            .map(|text| {
                serde_json::from_str(text)
                    .with_context(|| format!("reading the figure '{text}' that the guest printed"))
            })
            .collect()
    }
}

impl Measured {
    /// The folders in which the two differ.
    pub(crate) fn differing(&self, other: &Self) -> Vec<String> {
        let mut paths: Vec<String> = self
            .tree
            .lines()
            .filter(|line| !other.tree.lines().any(|there| there == *line))
            .filter_map(|line| line.split(' ').next())
            .map(str::to_owned)
            .collect();
        if self.changed {
            paths.push("the work tree".to_owned());
        }
        paths
    }
}

impl Recorded {
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))
    }

    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        let text = serde_json::to_string_pretty(self)?;
        fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_among_other_lines() {
        let said = "limits: well\nfigure: {\"backend\":\"svm\",\"name\":\"blackout\",\
                    \"unit\":\"instructions\",\"value\":815,\"limit\":3000}\nmore\n";
        let figures = Figure::all_in(said).unwrap();
        assert_eq!(figures.len(), 1);
        assert_eq!((figures[0].value, figures[0].limit), (815, Some(3000)));
        assert!(Figure::all_in("figure: nothing").is_err());
    }

    #[test]
    fn what_differs_is_named() {
        let of = |tree: &str| Measured {
            tree: tree.to_owned(),
            changed: false,
        };
        let old = of("hal 1\ncore 2\n");
        assert_eq!(of("hal 1\ncore 3\n").differing(&old), ["core"]);
        assert!(old.differing(&old).is_empty());
    }
}
