// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rows of tests/matrix.toml: which suite runs on which machine.

use crate::arch::Arch;
use crate::boot::{Accel, Verdict};
use crate::guest::Need;
use crate::paths::Paths;
use crate::product::Flavour;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::fs;
use std::path::PathBuf;

/// The short list, or the long one, which has the short one in it.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    clap::ValueEnum,
    Deserialize,
    Serialize,
)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Tier {
    /// On every change.
    #[default]
    Short,
    /// Before a release.
    Long,
}

/// One row: one boot.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    /// Its name; the folder of its logs, and what a skip names.
    pub(crate) name: String,
    /// tests/guest/scripts/<suite>.sh
    pub(crate) suite: String,
    /// What the script gets as arguments.
    #[serde(default)]
    pub(crate) arguments: Vec<String>,
    /// The list that it is in.
    pub(crate) tier: Tier,
    /// The longest that it may take.
    pub(crate) budget_seconds: u64,
    /// The longest without a sign of life.
    #[serde(default = "quiet_seconds")]
    pub(crate) quiet_seconds: u64,
    /// Instruction set.
    #[serde(default = "arch")]
    pub(crate) arch: Arch,
    /// Virtualisation extension; where not said, the instruction set's own.
    #[serde(default)]
    pub(crate) backend: String,
    /// Board; where not said, the instruction set's own.
    #[serde(default)]
    pub(crate) board: String,
    /// Which Mercury.
    #[serde(default = "flavour")]
    pub(crate) flavour: Flavour,
    /// Make the board's image and boot from that; the suite is `card`.
    #[serde(default)]
    pub(crate) card: bool,
    /// Nothing of Mercury in the guest.
    #[serde(default)]
    pub(crate) bare: bool,
    /// Debian kernel package, or `backports`; where not said, the usual one.
    #[serde(default)]
    pub(crate) kernel: String,
    /// What carries out the guest's instructions, where it must be this:
    /// `"bochs"`.
    pub(crate) accel: Option<Accel>,
    /// A whole QEMU -cpu string, or the name of a CPU model of Bochs'.
    pub(crate) cpu: Option<String>,
    /// A whole QEMU -machine string.
    pub(crate) machine: Option<String>,
    /// Version of ARM's interrupt controller.
    pub(crate) gic: Option<u32>,
    /// On a CPU with VHE, Linux keeps EL2 for itself.
    #[serde(default)]
    pub(crate) no_vhe_fix: bool,
    /// CPUs.
    pub(crate) smp: Option<u32>,
    /// Memory.
    pub(crate) memory: Option<String>,
    /// More kernel parameters.
    #[serde(default)]
    pub(crate) append: String,
    /// More arguments for QEMU.
    #[serde(default)]
    pub(crate) qemu: Vec<String>,
    /// Count instructions.
    #[serde(default)]
    pub(crate) icount: bool,
    /// How it must end.
    #[serde(default)]
    pub(crate) expect: Expect,
    /// Extras in the guest.
    #[serde(default)]
    pub(crate) needs: Vec<Need>,
    /// Modules beyond the usual.
    #[serde(default)]
    pub(crate) modules: Vec<String>,
    /// A folder of the repository to find at /with.
    pub(crate) with: Option<PathBuf>,
    /// Complaints of the guest's kernel that are part of the test: a line with
    /// one of these in it does not fail the row.
    #[serde(default)]
    pub(crate) complaints: Vec<String>,
}

/// How a row must end.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(untagged)]
pub(crate) enum Expect {
    /// `"pass"`: with status 0.
    #[default]
    #[serde(with = "pass")]
    Pass,
    /// With this status.
    Status(u8),
    /// `"died"`, `"panicked"`, `"stalled"`, `"over-budget"`.
    Kind(String),
}

/// `"pass"` as a word of its own among untagged forms.
mod pass {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str("pass")
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<(), D::Error> {
        match String::deserialize(from)?.as_str() {
            "pass" => Ok(()),
            other => Err(D::Error::custom(format!("'{other}' is not 'pass'"))),
        }
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => write!(to, "status 0"),
            Self::Status(status) => write!(to, "status {status}"),
            Self::Kind(kind) => write!(to, "a guest that {kind}"),
        }
    }
}

impl Expect {
    /// Whether the verdict is the expected one.
    pub(crate) fn met(&self, verdict: &Verdict) -> bool {
        match self {
            Self::Pass => *verdict == Verdict::Status(0),
            Self::Status(status) => *verdict == Verdict::Status(*status),
            Self::Kind(kind) => !matches!(verdict, Verdict::Status(_)) && verdict.word() == *kind,
        }
    }

    fn known(&self) -> bool {
        match self {
            Self::Kind(kind) => matches!(
                kind.as_str(),
                "died" | "panicked" | "stalled" | "over-budget"
            ),
            _ => true,
        }
    }
}

fn quiet_seconds() -> u64 {
    120
}

fn arch() -> Arch {
    Arch::X86_64
}

fn flavour() -> Flavour {
    Flavour::Release
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Minutes of wall time that each part of the short list may take.
    #[serde(default)]
    budgets: BTreeMap<String, u64>,
    row: Vec<Row>,
}

/// The part of a run in which everything is made that the rows need.
pub(crate) const BUILD: &str = "set-up and build";
/// The part without guests.
pub(crate) const HOST: &str = "host";
/// Parts of their own, whatever their rows' backends, and the suites in them.
const OWN_PARTS: &[(&str, &[&str])] = &[
    ("torture", &["torture"]),
    ("bench", &["bench"]),
    (
        "survive",
        &["survive", "guard", "crash-loop", "demo-survive"],
    ),
];

fn text(paths: &Paths) -> Result<(PathBuf, String)> {
    let path = paths.source("tests/matrix.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    Ok((path, text))
}

/// What each part may take, in minutes.
pub(crate) fn budgets(paths: &Paths) -> Result<BTreeMap<String, u64>> {
    let (path, text) = text(paths)?;
    let file: File =
        toml::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
    Ok(file.budgets)
}

/// All rows, checked.
pub(crate) fn load(paths: &Paths) -> Result<Vec<Row>> {
    let (path, text) = text(paths)?;
    let rows = parse(&text).with_context(|| format!("reading {}", path.display()))?;
    for row in &rows {
        let script = row.script(paths);
        if !script.is_file() {
            bail!(
                "{}: row '{}' names the suite {}, which is not there",
                path.display(),
                row.name,
                script.display()
            );
        }
    }
    Ok(rows)
}

fn parse(text: &str) -> Result<Vec<Row>> {
    let mut rows = toml::from_str::<File>(text)?.row;
    for row in &mut rows {
        let arch = row.arch;
        for (key, usual) in [
            (
                &mut row.backend,
                if row.accel == Some(Accel::Bochs) {
                    "vmx"
                } else {
                    arch.backend()
                },
            ),
            (&mut row.kernel, arch.kernel()),
            (&mut row.board, arch.board()),
        ] {
            if key.is_empty() {
                *key = usual.to_owned();
            }
        }
    }
    let mut names = HashSet::new();
    for row in &rows {
        if !names.insert(&row.name) {
            bail!("two rows are named '{}'", row.name);
        }
        if !row.expect.known() {
            bail!(
                "row '{}' expects {}: expected \"pass\", a status, or a kind of ending",
                row.name,
                row.expect
            );
        }
        if row.name.contains(['/', ' ']) {
            bail!(
                "the name '{}' makes no folder: use letters, digits and dashes",
                row.name
            );
        }
    }
    Ok(rows)
}

impl Row {
    /// Whether it is meant by this name of a row or a suite.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.name == name || self.suite == name
    }

    /// The part of the run that its wall time counts for.
    pub(crate) fn part(&self) -> &str {
        let own = OWN_PARTS
            .iter()
            .find(|(_, suites)| suites.contains(&&*self.suite));
        own.map_or(&self.backend, |(part, _)| part)
    }

    /// The suite's script.
    pub(crate) fn script(&self, paths: &Paths) -> PathBuf {
        paths
            .source("tests/guest/scripts")
            .join(format!("{}.sh", self.suite))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_matrix_is_sound() {
        let paths = Paths::find().unwrap();
        let rows = load(&paths).unwrap();
        assert!(rows.iter().any(|row| row.tier == Tier::Short));
        let budgets = budgets(&paths).unwrap();
        for part in [BUILD, HOST].into_iter().chain(rows.iter().map(Row::part)) {
            assert!(budgets.contains_key(part), "no budget for {part}");
        }
        for row in &rows {
            assert!(
                row.kernel == "backports" || row.kernel.starts_with("linux-image-"),
                "{}",
                row.name
            );
            assert!(
                row.budget_seconds >= row.quiet_seconds.min(30),
                "{}",
                row.name
            );
            assert!(
                !(row.arch == Arch::X86_64 && row.icount && row.smp.unwrap_or(1) > 1),
                "{}: icount with several CPUs",
                row.name
            );
        }
    }

    fn row(more: &str) -> Result<Vec<Row>> {
        parse(&format!(
            "[[row]]\nname = \"a\"\nsuite = \"s\"\ntier = \"short\"\nbudget_seconds = 60\n{more}"
        ))
    }

    #[test]
    fn expectations_are_read() {
        let expect = |more: &str| row(more).unwrap()[0].expect.clone();
        assert_eq!(expect(""), Expect::Pass);
        assert_eq!(expect("expect = \"pass\""), Expect::Pass);
        assert_eq!(expect("expect = 3"), Expect::Status(3));
        assert!(expect("expect = 3").met(&Verdict::Status(3)));
        assert!(expect("expect = \"died\"").met(&Verdict::Died("guest-reset".into())));
        assert!(!expect("expect = \"died\"").met(&Verdict::Status(121)));
        assert!(row("expect = \"sometimes\"").is_err());
    }

    #[test]
    fn slips_in_the_file_are_refused() {
        assert!(row("kernal = \"linux-image-amd64\"").is_err());
        let twice = "[[row]]\nname = \"a\"\nsuite = \"s\"\ntier = \"short\"\nbudget_seconds = 60\n";
        assert!(parse(&format!("{twice}{twice}")).is_err());
    }
    #[test]
    fn what_a_row_leaves_open_is_its_instruction_sets() {
        let said = |more: &str| {
            let row = row(more).unwrap().remove(0);
            (row.kernel, row.backend)
        };
        assert_eq!(said(""), ("linux-image-amd64".into(), "svm".into()));
        assert_eq!(
            said("arch = \"aarch64\""),
            ("linux-image-arm64".into(), "el2".into())
        );
        assert!(row("arch = \"sparc\"").is_err());
    }
}
