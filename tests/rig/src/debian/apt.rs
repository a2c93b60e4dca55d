// SPDX-License-Identifier: MIT OR Apache-2.0
//! apt with a private state: package lists of our own in the cache directory.
//!
//! So a kernel can be looked up and downloaded without root, without touching
//! the machine's own lists, from the backports suite without enabling it, and
//! for another instruction set without dpkg knowing of that. The mirror,
//! proxies and keys are the ones that the machine already uses. Its binary cache
//! is kept there too, which containers of Debian's forbid for the machine's own:
//! a hundred questions would read the lists a hundred times, a second each.

use super::alone;
use crate::arch::Arch;
use crate::command::{pass_through, stdout_of};
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Which of Debian's suites to look in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Suite {
    /// The running release with its updates and security fixes.
    Release,
    /// The running release's backports.
    Backports,
}

impl Suite {
    /// In the names of folders and in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Backports => "backports",
        }
    }
}

/// apt, confined to one suite and one directory.
#[derive(Debug)]
pub(crate) struct Apt {
    options: Vec<String>,
    /// Debian's name of the instruction set, if it is not this machine's.
    foreign: Option<&'static str>,
    /// Two rigs would write the binary cache at once.
    _alone: File,
}

impl Apt {
    /// Prepares the state below `cache`, once no other rig uses it, and updates its
    /// lists.
    pub(crate) fn new(cache: &Path, suite: Suite, arch: Arch) -> Result<Self> {
        let mut name = suite.name().to_owned();
        let foreign = (!arch.is_ours()).then(|| arch.debian());
        if let Some(foreign) = foreign {
            name = format!("{name}-{foreign}");
        }
        let state = cache.join("apt").join(name);
        for folder in ["lists/partial", "cache/archives/partial"] {
            let folder = state.join(folder);
            fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        }
        let alone = alone(&state)?;
        let sources = state.join("sources.list");
        fs::write(&sources, sources_for(suite)?)
            .with_context(|| format!("writing {}", sources.display()))?;
        let mut options = vec![
            format!("Dir::Etc::SourceList={}", sources.display()),
            "Dir::Etc::SourceParts=/dev/null".into(),
            format!("Dir::State::Lists={}", state.join("lists").display()),
            format!("Dir::Cache={}", state.join("cache").display()),
            "Dir::Cache::pkgcache=pkgcache.bin".into(),
            "Dir::Cache::srcpkgcache=srcpkgcache.bin".into(),
            "Debug::NoLocking=1".into(),
            "APT::Sandbox::User=".into(),
            "Acquire::Languages=none".into(),
        ];
        if let Some(foreign) = foreign {
            let ours = stdout_of(Command::new("dpkg").arg("--print-architecture"))?;
            for architecture in [ours.trim(), foreign] {
                options.push(format!("APT::Architectures::={architecture}"));
            }
        }
        let options = options
            .into_iter()
            .flat_map(|option| ["-o".into(), option])
            .collect();
        let apt = Self {
            options,
            foreign,
            _alone: alone,
        };
        stdout_of(apt.command("apt-get").args(["-q", "update"]))
            .context("updating the private package lists; is the network there?")?;
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(&self.options);
        command
    }

    /// The package's full name (`kmod:arm64`) if the suite has it.
    pub(crate) fn find(&self, package: &str) -> Result<Option<String>> {
        // The kernel's build tools run on this machine; and what fits every
        // machine has no other name for each.
        if let Some(foreign) = self.foreign
            && !package.starts_with("linux-kbuild-")
        {
            let full = format!("{package}:{foreign}");
            if self.has(&full)? {
                return Ok(Some(full));
            }
        }
        Ok(self.has(package)?.then(|| package.to_owned()))
    }

    fn has(&self, package: &str) -> Result<bool> {
        let text = stdout_of(self.command("apt-cache").args(["policy", package]))?;
        Ok(text.lines().any(|line| {
            line.trim()
                .strip_prefix("Candidate:")
                .is_some_and(|version| version.trim() != "(none)")
        }))
    }

    /// What the package depends on, by name, without recommendations.
    pub(crate) fn depends(&self, package: &str) -> Result<Vec<String>> {
        let text = stdout_of(self.command("apt-cache").args([
            "depends",
            "--no-recommends",
            "--no-suggests",
            package,
        ]))?;
        Ok(parse_depends(&text))
    }

    /// Downloads the packages into a folder.
    pub(crate) fn download(&self, packages: &[String], into: &Path) -> Result<Vec<PathBuf>> {
        fs::create_dir_all(into).with_context(|| format!("making {}", into.display()))?;
        pass_through(
            self.command("apt-get")
                .args(["-qq", "download"])
                .args(packages)
                .current_dir(into)
                .stdout(std::process::Stdio::null()),
        )?;
        let mut archives = Vec::new();
        for entry in fs::read_dir(into).with_context(|| format!("reading {}", into.display()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                archives.push(path);
            }
        }
        if archives.len() != packages.len() {
            bail!(
                "apt-get downloaded {} archives where {} were asked for: {}",
                archives.len(),
                packages.len(),
                packages.join(" ")
            );
        }
        Ok(archives)
    }
}

/// The names behind `Depends:` in the output of `apt-cache depends`.
fn parse_depends(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| {
            line.trim()
                .trim_start_matches('|')
                .strip_prefix("Depends: ")
        })
        .map(|name| name.trim_matches(['<', '>']))
        .map(|name| name.split(':').next().unwrap_or(name).to_owned())
        .collect()
}

/// The lines of a sources.list for the suite, from the machine's own sources.
fn sources_for(suite: Suite) -> Result<String> {
    let codename = codename()?;
    let targets = stdout_of(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(SITE) $(RELEASE) $(COMPONENT)",
        "Created-By: Packages",
    ]))
    .context("asking apt for the machine's sources; kernels are fetched with apt, so this needs a Debian machine")?;
    let signed = if Path::new(KEYRING).exists() {
        format!("[signed-by={KEYRING}] ")
    } else {
        String::new()
    };
    let mut lines = Vec::new();
    for line in targets.lines() {
        let mut words = line.split_whitespace();
        let (Some(site), Some(release), Some("main")) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        let line = match suite {
            Suite::Release if release == codename || is_update_of(release, &codename) => {
                format!("deb {signed}{site} {release} main\n")
            }
            Suite::Backports if release == codename => {
                format!("deb {signed}{site} {codename}-backports main\n")
            }
            _ => continue,
        };
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    if lines.is_empty() {
        bail!(
            "apt's sources name no suite '{codename}' with component main: add Debian's mirror to /etc/apt"
        );
    }
    Ok(lines.concat())
}

fn is_update_of(release: &str, codename: &str) -> bool {
    release
        .strip_prefix(codename)
        .is_some_and(|rest| matches!(rest, "-updates" | "-security" | "/updates"))
}

fn codename() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("reading /etc/os-release")?;
    text.lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .map(|name| name.trim_matches('"').to_owned())
        .context("/etc/os-release has no VERSION_CODENAME; kernels are fetched with apt, so this needs a Debian machine")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depends_are_names_only() {
        let text = "linux-image-amd64\n  Depends: linux-image-6.1.0-56-amd64\n |Depends: <virtual>\n  Conflicts: x\n";
        assert_eq!(
            parse_depends(text),
            ["linux-image-6.1.0-56-amd64", "virtual"]
        );
        let text = "kexec-tools:arm64\n  Depends: libc6:arm64\n  Depends: <debconf:arm64>\n";
        assert_eq!(parse_depends(text), ["libc6", "debconf"]);
    }

    #[test]
    fn third_party_suites_are_left_out() {
        assert!(is_update_of("bookworm-security", "bookworm"));
        assert!(!is_update_of("bookworm-backports", "bookworm"));
        assert!(!is_update_of("nodistro", "bookworm"));
    }
}
