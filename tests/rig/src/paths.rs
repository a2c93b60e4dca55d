// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where things lie: the repository, its `target/`, and the cache.
//!
//! Everything that can be made again without a network goes under `target/`;
//! everything that was downloaded goes under the cache directory, which
//! survives `make clean` and is shared by all clones of one user.

use anyhow::{Context, Result, bail};
use std::env;
use std::path::{Path, PathBuf};

/// The directories that the rig reads and writes.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    /// The root of the repository.
    pub(crate) repository: PathBuf,
    /// Downloads: kernels, apt's private lists, the toolchain.
    pub(crate) cache: PathBuf,
}

impl Paths {
    /// Finds them from the environment. The repository is the nearest folder
    /// upwards that holds this crate, else the one that the rig was built in.
    pub(crate) fn find() -> Result<Self> {
        let here = env::current_dir().context("reading the current directory")?;
        let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let repository = here
            .ancestors()
            .map(Path::to_path_buf)
            .chain([built_in])
            .find(|folder| folder.join("tests/rig/Cargo.toml").is_file())
            .context("no tests/rig/Cargo.toml in this folder or above it: run the rig inside Mercury's repository")?;
        let repository = repository
            .canonicalize()
            .with_context(|| format!("resolving {}", repository.display()))?;
        Ok(Self {
            repository,
            cache: cache_directory()?,
        })
    }

    /// `target/<below>` in the repository.
    pub(crate) fn target(&self, below: &str) -> PathBuf {
        self.repository.join("target").join(below)
    }

    /// A path in the repository.
    pub(crate) fn source(&self, below: &str) -> PathBuf {
        self.repository.join(below)
    }
}

/// `$MERCURY_CACHE`, else `$XDG_CACHE_HOME/mercury`, else `~/.cache/mercury`;
/// scripts/env.sh says the same in shell.
fn cache_directory() -> Result<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    if let Some(cache) = set("MERCURY_CACHE") {
        return Ok(PathBuf::from(cache));
    }
    if let Some(cache) = set("XDG_CACHE_HOME") {
        return Ok(PathBuf::from(cache).join("mercury"));
    }
    match set("HOME") {
        Some(home) => Ok(PathBuf::from(home).join(".cache/mercury")),
        None => bail!("neither MERCURY_CACHE nor XDG_CACHE_HOME nor HOME is set: set one of them"),
    }
}
