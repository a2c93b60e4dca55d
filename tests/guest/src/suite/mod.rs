// SPDX-License-Identifier: MIT OR Apache-2.0
//! The suites, one file each.

pub(crate) mod bench;
pub(crate) mod death;
pub(crate) mod demonstrate;
pub(crate) mod dma;
pub(crate) mod hole;
pub(crate) mod hostile;
pub(crate) mod hot_add;
pub(crate) mod hotplug;
pub(crate) mod idle;
pub(crate) mod images;
#[cfg(target_arch = "x86_64")]
pub(crate) mod init;
pub(crate) mod inject;
pub(crate) mod instructions;
pub(crate) mod kvm_busy;
pub(crate) mod leak;
pub(crate) mod limits;
pub(crate) mod mutants;
pub(crate) mod nmi;
pub(crate) mod on_demand;
pub(crate) mod privilege;
pub(crate) mod refusals;
pub(crate) mod residue;
pub(crate) mod roundtrips;
pub(crate) mod sleep_race;
pub(crate) mod survive;
pub(crate) mod tool;
pub(crate) mod trace;
