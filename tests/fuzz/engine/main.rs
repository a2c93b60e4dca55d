// SPDX-License-Identifier: MIT OR Apache-2.0
//! libFuzzer's program: one for all targets, `MERCURY_FUZZ` names which.
//!
//! Built by `make fuzz` with LLVM's coverage instrumentation in Mercury's own
//! crates (`instrument.sh`). Once it has used `MERCURY_FUZZ_SECONDS` of a CPU it
//! ends: not of the clock, so that a busy machine fuzzes no less. At its end it says
//! how much of the target's decoder was reached (`coverage.rs`), which libFuzzer's
//! own figures do not: they count the whole program.
#![no_main]

mod budget;
mod coverage;

use libfuzzer_sys::fuzz_target;
use mercury_fuzz::{TARGETS, Target};
use std::sync::LazyLock;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("MERCURY_FUZZ").unwrap_or_default();
    let found = TARGETS.iter().find(|target| target.name == name);
    let Some(target) = found else {
        eprintln!("MERCURY_FUZZ is '{name}', which is no target");
        std::process::exit(2);
    };
    target
});

fuzz_target!(
    init: {
        if let Some(folder) = std::env::var_os("MERCURY_FUZZ_SEEDS") {
            for (number, seed) in (TARGET.seeds)().into_iter().enumerate() {
                let path = std::path::Path::new(&folder).join(format!("seed-{number}"));
                std::fs::write(path, seed).expect("a seed can be written");
            }
        }
    },
    |bytes: &[u8]| {
        (TARGET.run)(bytes);
        coverage::note();
        budget::end_when_used(|| coverage::report(&TARGET));
    }
);
