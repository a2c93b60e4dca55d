// SPDX-License-Identifier: MIT OR Apache-2.0
//! Mercury's own module is unloaded, whoever attaches just now. Where nobody
//! holds it, it goes, and is loaded again.

use super::modules;
use super::{Act, Disturbance, Place, Prepared, cannot, out_of_memory, ready};
use anyhow::{Result, bail};
use fastrand::Rng;
use nix::errno::Errno;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

struct Unload {
    file: PathBuf,
    gone: u64,
    held: u64,
}

impl Disturbance for Unload {
    fn act(&mut self, draw: &mut Rng) -> Result<Act> {
        sleep(Duration::from_micros(draw.u64(..2000)));
        match modules::unload("mercury") {
            Ok(()) => {
                // Without it nobody could go on.
                while let Err(error) = modules::load(&self.file) {
                    if !out_of_memory(&error) {
                        return Err(error);
                    }
                }
                self.gone += 1;
            }
            Err(Errno::EWOULDBLOCK | Errno::EBUSY) => self.held += 1,
            Err(error) => bail!("unloading mercury: {error}"),
        }
        Ok(Act::Done)
    }

    fn finish(&mut self) -> Result<Option<String>> {
        Ok(Some(format!(
            "{} times unloaded, {} times held",
            self.gone, self.held
        )))
    }
}

pub(super) fn prepare(_: &Place) -> Prepared {
    let file = modules::folder()?.join("extra/mercury.ko");
    if !file.exists() {
        return cannot(format!("no {}", file.display()));
    }
    ready(Unload {
        file,
        gone: 0,
        held: 0,
    })
}
