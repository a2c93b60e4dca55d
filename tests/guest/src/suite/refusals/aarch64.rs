// SPDX-License-Identifier: MIT OR Apache-2.0
//! ARM64: EL2 missing or somebody else's.

use super::Override;
use anyhow::Result;
use mercury_device::{Device, Requirement};

/// Overridden value, requirement, errno if it is one that a caller relies on.
pub(super) fn overrides() -> Result<&'static [Override]> {
    Ok(OVERRIDES)
}

const OVERRIDES: &[Override] = &[
    ("has_el2=0", Requirement::Extension, Some(libc::ENODEV)),
    ("current_el=2", Requirement::Enabled, Some(libc::ENODEV)),
    ("stage2_granule=0", Requirement::Stage2, Some(libc::ENODEV)),
    ("host_only=0xe", Requirement::Supported, None),
    (
        "stub=0xffffffffffffffff",
        Requirement::Free,
        Some(libc::EBUSY),
    ),
];

/// Who else could hold EL2 is KVM alone, which the suite has for real.
pub(super) fn taken(_: &Device) -> Result<usize> {
    Ok(0)
}
