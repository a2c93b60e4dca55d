// SPDX-License-Identifier: MIT OR Apache-2.0
//! x86: model-specific registers.

use super::Probe;
use anyhow::{Result, ensure};

/// EFER's number and its bit that switches SVM on.
pub(crate) const EFER: u32 = 0xc000_0080;
pub(crate) const EFER_SVME: u64 = 1 << 12;
pub(crate) const VM_CR: u32 = 0xc001_0114;
pub(crate) const VM_HSAVE_PA: u32 = 0xc001_0117;

impl Probe {
    /// Reads a model-specific register on a CPU.
    pub(crate) fn read_register(&self, cpu: u32, number: u32) -> Result<u64> {
        let answer = self.ask(&format!("msr read {cpu} {number:x}"))?;
        ensure!(
            answer.number("faulted")? == 0,
            "reading register {number:#x} on CPU {cpu} faulted"
        );
        answer.number("value")
    }

    /// Writes one; whether that was possible.
    pub(crate) fn write_register(&self, cpu: u32, number: u32, value: u64) -> Result<bool> {
        let answer = self.ask(&format!("msr write {cpu} {number:x} {value:x}"))?;
        Ok(answer.number("faulted")? == 0)
    }
}
