// SPDX-License-Identifier: MIT OR Apache-2.0
//! Transparent huge pages: memory that becomes huge, is split and collapsed
//! again, while its contents must stay.

use super::{Act, Disturbance, Place, Prepared, cannot, ready};
use crate::machine;
use crate::torture::pages::Pages;
use anyhow::{Result, ensure};
use fastrand::Rng;
use std::path::Path;

const ENABLED: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
const DEFRAG: &str = "/sys/kernel/mm/transparent_hugepage/defrag";
const HUGE: usize = 2 << 20;
const BYTES: usize = 3 * HUGE;
const PAGE_WORDS: usize = 512;

struct HugePages;

impl Disturbance for HugePages {
    fn act(&mut self, draw: &mut Rng) -> Result<Act> {
        let way = ["always", "madvise", "never"][draw.usize(..3)];
        machine::write(ENABLED, way)?;
        machine::write(DEFRAG, ["always", "defer", "madvise"][draw.usize(..3)])?;
        let mut pages = Pages::new(BYTES)?;
        pages.advise(0, BYTES, libc::MADV_HUGEPAGE);
        // One word a page is enough to be told apart.
        let secret = draw.u64(..);
        let fill = |words: &mut [u64]| {
            for (at, word) in words.iter_mut().step_by(PAGE_WORDS).enumerate() {
                *word = secret ^ at as u64;
            }
        };
        fill(pages.words());
        // A hole: what is huge there is split.
        let hole = draw.usize(1..BYTES / 4096);
        pages.advise(hole * 4096, 4096, libc::MADV_DONTNEED);
        for (at, word) in pages.words().iter().step_by(PAGE_WORDS).enumerate() {
            let expected = if at == hole { 0 } else { secret ^ at as u64 };
            ensure!(
                *word == expected,
                "page {at} holds {word:#x}, not {expected:#x}"
            );
        }
        // Refused where it is not permitted.
        pages.advise(0, BYTES, libc::MADV_COLLAPSE);
        fill(pages.words());
        for (at, word) in pages.words().iter().step_by(PAGE_WORDS).enumerate() {
            ensure!(
                *word == secret ^ at as u64,
                "page {at} holds {word:#x} after the collapse"
            );
        }
        Ok(Act::Done)
    }

    fn finish(&mut self) -> Result<Option<String>> {
        machine::write(ENABLED, "madvise")?;
        machine::write(DEFRAG, "madvise")?;
        Ok(None)
    }
}

pub(super) fn prepare(_: &Place) -> Prepared {
    if !Path::new(ENABLED).exists() {
        return cannot("this kernel has no transparent huge pages");
    }
    ready(HugePages)
}
