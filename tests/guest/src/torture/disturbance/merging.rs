// SPDX-License-Identifier: MIT OR Apache-2.0
//! KSM: equal pages are merged into one that may not be written, and come
//! apart when they are.

use super::{Act, Disturbance, Place, Prepared, cannot, ready};
use crate::machine;
use crate::torture::pages::Pages;
use anyhow::{Result, ensure};
use fastrand::Rng;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

const FOLDER: &str = "/sys/kernel/mm/ksm";
const PAGES: usize = 128;
const PAGE_WORDS: usize = 512;
const LENGTH: Duration = Duration::from_millis(20);

#[derive(Default)]
struct Merging {
    merged: u64,
}

fn set(name: &str, value: &str) -> Result<()> {
    machine::write(&format!("{FOLDER}/{name}"), value)
}

impl Disturbance for Merging {
    fn act(&mut self, draw: &mut Rng) -> Result<Act> {
        set("run", "1")?;
        let mut pages = Pages::new(PAGES * 4096)?;
        let secret = draw.u64(..);
        pages.words().fill(secret);
        ensure!(
            pages.advise(0, PAGES * 4096, libc::MADV_MERGEABLE),
            "madvise(MADV_MERGEABLE): {}",
            std::io::Error::last_os_error()
        );
        sleep(LENGTH);
        let sharing: u64 = machine::read(&format!("{FOLDER}/pages_sharing"))?.parse()?;
        self.merged = self.merged.max(sharing);
        let other = draw.usize(..PAGES);
        pages.words()[other * PAGE_WORDS] ^= 1;
        for (at, word) in pages.words().iter().enumerate() {
            let expected = secret ^ u64::from(at == other * PAGE_WORDS);
            ensure!(
                *word == expected,
                "word {at} is {word:#x}, not {expected:#x}"
            );
        }
        set("run", if draw.bool() { "2" } else { "0" })?;
        Ok(Act::Done)
    }

    fn finish(&mut self) -> Result<Option<String>> {
        set("run", "2")?;
        set("run", "0")?;
        ensure!(self.merged > 0, "not one page was merged");
        Ok(Some(format!("{} pages merged at once", self.merged)))
    }
}

pub(super) fn prepare(_: &Place) -> Prepared {
    if !Path::new(FOLDER).exists() {
        return cannot("this kernel has no KSM");
    }
    set("sleep_millisecs", "1")?;
    set("pages_to_scan", "1000")?;
    ready(Merging::default())
}
