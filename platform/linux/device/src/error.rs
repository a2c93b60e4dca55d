// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why something could not be done.
//!
//! A refusal is an answer of the module's: a requirement did not hold, and
//! nothing was changed. Everything else here means that the question could not
//! even be asked.

use crate::abi;
use crate::codes::Requirement;
use crate::verdict::Verdict;
use std::io;
use std::path::PathBuf;

/// What the module said when it refused.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The first requirement that did not hold.
    pub verdict: Verdict,
    /// The error number that the call returned.
    pub errno: i32,
    /// Which call was refused: `attach`, `detach`, ...
    pub call: &'static str,
}

/// What can go wrong between this process and the module.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no device because there is no module.
    #[error("there is no device behind {}: the module is not loaded", path.display())]
    NotLoaded {
        /// The device's path.
        path: PathBuf,
    },
    /// The module is there, its device node is not.
    #[error("the module is loaded, but {} does not exist", path.display())]
    NoNode {
        /// The device's path.
        path: PathBuf,
    },
    /// The caller may not use the device.
    #[error("{path} may not be used by this process: {source}", path = path.display())]
    Privilege {
        /// The device's path.
        path: PathBuf,
        /// EPERM (a capability is missing) or EACCES (the file's mode).
        source: io::Error,
    },
    /// The device could not be opened for another reason.
    #[error("{path} cannot be opened: {source}", path = path.display())]
    Open {
        /// The device's path.
        path: PathBuf,
        /// What `open` returned.
        source: io::Error,
    },
    /// Module and program do not speak the same version.
    #[error(
        "this program speaks version {} of the module's interface, the loaded module {}",
        abi::VERSION,
        module.map_or_else(|| "another one".to_owned(), |version| format!("version {version}"))
    )]
    Protocol {
        /// The module's version, if it could be asked.
        module: Option<u32>,
    },
    /// A requirement did not hold; nothing was changed.
    #[error("refused: {}", .0.verdict)]
    Refused(Box<Refusal>),
    /// A call failed in a way that has no meaning of its own.
    #[error("{call}: {source}")]
    Call {
        /// Which call.
        call: &'static str,
        /// What it returned.
        source: io::Error,
    },
}

impl Error {
    /// The error number behind it, if there is one.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::NotLoaded { .. } | Self::NoNode { .. } => Some(libc::ENOENT),
            Self::Protocol { .. } => Some(libc::EPROTO),
            Self::Refused(refusal) => Some(refusal.errno),
            Self::Privilege { source, .. }
            | Self::Open { source, .. }
            | Self::Call { source, .. } => source.raw_os_error(),
        }
    }

    /// The requirement that did not hold, where the error is of that kind.
    /// Missing privilege counts, wherever it was noticed.
    #[must_use]
    pub fn requirement(&self) -> Option<Requirement> {
        match self {
            Self::Refused(refusal) => Some(refusal.verdict.requirement),
            Self::Privilege { .. } => Some(Requirement::Privilege),
            _ => None,
        }
    }
}
