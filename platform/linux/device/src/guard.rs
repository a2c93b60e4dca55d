// SPDX-License-Identifier: MIT OR Apache-2.0
//! The store, checkpoints, and the record of the last roll-back.

use crate::codes::Cause;
use std::time::Duration;

/// How a store is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuardOptions {
    /// Its size in bytes; 0: as much as a checkpoint takes now, and some more.
    pub store: u64,
    /// Five roll-backs within this time are a loop, and a sixth is not done unless it is
    /// asked for; 0: any number is done.
    pub crash_loop: Duration,
}

/// How the store stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    /// How large it is, in bytes; 0: there is none.
    pub store: u64,
    /// What a checkpoint would need now, in bytes.
    pub needed: u64,
    /// How many pages of 4 KiB can be kept.
    pub room: u64,
    /// Pages of the checkpoint that exists; 0: there is none.
    pub kept: u64,
    /// Checkpoints taken since the store was made.
    pub checkpoints: u64,
    /// Roll-backs since then.
    pub rolled_back: u64,
    /// Pages that the last one put back.
    pub changed: u64,
}

/// What a checkpoint came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// 0: it was taken. Otherwise the machine was rolled back to it, for the time of
    /// this number.
    pub rolled_back: u64,
    /// Which checkpoint.
    pub number: u64,
    /// Pages of 4 KiB that it keeps.
    pub kept: u64,
}

/// A CPU at the end of the time that did not happen. Registers are in the order of the
/// architecture (x86: RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15, RIP, RFLAGS,
/// CR0, CR2, CR3, CR4, EFER, GS base, kernel GS base, CS, SS; ARM64: X0 to X15, PC,
/// PSTATE, SP, X19 to X30).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrashedCpu {
    /// Its number.
    pub cpu: u32,
    /// Its registers.
    pub registers: Vec<u64>,
}

/// The last roll-back, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Postmortem {
    /// Which roll-back, from 1.
    pub number: u64,
    /// Why.
    pub cause: Cause,
    /// The CPU that it came from.
    pub cpu: u32,
    /// The time-stamp counter then.
    pub ticks: u64,
    /// Pages that had changed since the checkpoint.
    pub changed: u64,
    /// Every CPU that was a guest.
    pub cpus: Vec<CrashedCpu>,
    /// The end of the kernel's log, as the kernel told it.
    pub story: String,
}

/// Words for each CPU (`core/src/guard/record.rs`).
const CPU_WORDS: usize = 32;
/// Words in a frame.
const FRAME: usize = 512;
/// The most words that a record can have: the CPUs' and the story's.
const MOST_FRAMES: u64 = 1 + 4096 / 16 + 16;

impl Postmortem {
    /// Takes the words of the record apart, which `read` gives: so many from there on.
    /// Nothing if there was no roll-back.
    pub(crate) fn read<E>(
        mut read: impl FnMut(u64, usize) -> Result<Vec<u64>, E>,
    ) -> Result<Option<Self>, E> {
        let head = read(0, 8)?;
        let [number, cause, cpu, ticks, story, cpus, changed, frames] = head[..] else {
            return Ok(None);
        };
        if number == 0 || frames > MOST_FRAMES || cpus > 4096 {
            return Ok(None);
        }
        let mut crashed = Vec::new();
        for cpu in 0..cpus {
            let words = read(FRAME as u64 + cpu * CPU_WORDS as u64, CPU_WORDS)?;
            if words.first() == Some(&1) {
                crashed.push(CrashedCpu {
                    cpu: cpu as u32,
                    registers: words[1..].to_vec(),
                });
            }
        }
        let length = usize::try_from(story.min(16 * 4096)).unwrap_or(0);
        let words = read(frames * FRAME as u64, length.div_ceil(64) * 8)?;
        let mut bytes: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
        bytes.truncate(length);
        Ok(Some(Self {
            number,
            cause: Cause::from_code(cause as u32),
            cpu: cpu as u32,
            ticks,
            changed,
            cpus: crashed,
            story: String::from_utf8_lossy(&bytes).into_owned(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_taken_apart() {
        let mut words = vec![0u64; 3 * FRAME];
        words[..8].copy_from_slice(&[2, 1, 1, 77, 11, 3, 9, 2]);
        for (cpu, base) in [(0, FRAME), (2, FRAME + 2 * CPU_WORDS)] {
            words[base] = 1;
            words[base + 17] = 0x1000 + cpu;
        }
        words[2 * FRAME] = u64::from_le_bytes(*b"<0>panic");
        words[2 * FRAME + 1] = u64::from_le_bytes(*b"!!\nxxxxx");
        let read = |from: u64, count: usize| {
            Ok::<_, ()>(words[from as usize..from as usize + count].to_vec())
        };
        let record = Postmortem::read(read).unwrap().unwrap();
        assert_eq!(
            (record.number, record.cause, record.cpu),
            (2, Cause::Panic, 1)
        );
        assert_eq!(record.story, "<0>panic!!\n");
        let seen: Vec<_> = record
            .cpus
            .iter()
            .map(|one| (one.cpu, one.registers[16]))
            .collect();
        assert_eq!(seen, [(0, 0x1000), (2, 0x1002)]);
    }

    #[test]
    fn nonsense_is_no_record() {
        for head in [
            [0; 8],
            [1, 1, 0, 0, 0, 5000, 0, 2],
            [1, 1, 0, 0, 0, 1, 0, u64::MAX],
        ] {
            let read = |_, count: usize| Ok::<_, ()>(head[..count.min(8)].to_vec());
            assert_eq!(Postmortem::read(read).unwrap(), None);
        }
    }
}
