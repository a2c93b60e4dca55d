// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hostile input: what comes over each of Mercury's boundaries, made up.
//!
//! A target takes bytes to pieces, gives them to the very functions that the
//! image, the module or the tool decode with, and panics where the outcome is
//! not what an independent reading of the same bytes (or an independent decoder)
//! says. `make fuzz` builds them into libFuzzer (`engine/`), with Mercury's own
//! crates instrumented; `cargo test` runs each over its seeds alone.
//!
//! With the feature `planted` each decoder has one defect; a target that does
//! not find its own within the time of the ordinary run is worth nothing.

mod door;
mod guest;
mod hypercall;
mod image;
#[path = "../../guest/src/iomem.rs"]
#[expect(dead_code, reason = "the judge's; what opens files is not called")]
mod iomem;
mod iomem_text;
#[path = "../../../platform/linux/cli/src/platform.rs"]
#[expect(dead_code, reason = "the tool's; what opens files is not called")]
mod platform;
mod registers;
mod request;
mod store;
mod syndrome;
mod tree;

/// One boundary.
#[derive(Debug)]
pub struct Target {
    /// As `make fuzz TARGET=` knows it.
    pub name: &'static str,
    /// The decoder: ends of the names of its source files.
    pub decoder: &'static [&'static str],
    /// Gives it these bytes.
    pub run: fn(&[u8]),
    /// What to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "hypercall",
        decoder: &["hal/src/call.rs"],
        run: hypercall::run,
        seeds: hypercall::seeds,
    },
    Target {
        name: "guest",
        decoder: &["core/src/hypervisor.rs", "core/src/stage2.rs"],
        run: guest::run,
        seeds: guest::seeds,
    },
    Target {
        name: "door",
        decoder: &[
            "hal/src/door.rs",
            "core/src/lent.rs",
            "aarch64/src/shape.rs",
        ],
        run: door::run,
        seeds: door::seeds,
    },
    Target {
        name: "image",
        decoder: &["module/image_header.h"],
        run: image::run,
        seeds: image::seeds,
    },
    Target {
        name: "request",
        decoder: &["module/request.h"],
        run: request::run,
        seeds: request::seeds,
    },
    Target {
        name: "tree",
        decoder: &["cli/src/platform.rs", "src/platform/checked.rs"],
        run: tree::run,
        seeds: tree::seeds,
    },
    Target {
        name: "iomem",
        decoder: &["guest/src/iomem.rs"],
        run: iomem_text::run,
        seeds: iomem_text::seeds,
    },
    Target {
        name: "store",
        decoder: &["x86_64/src/store.rs"],
        run: store::run,
        seeds: store::seeds,
    },
    Target {
        name: "registers",
        decoder: &["svm/permission.rs", "vmx/permission.rs"],
        run: registers::run,
        seeds: registers::seeds,
    },
    Target {
        name: "syndrome",
        decoder: &["aarch64/src/syndrome.rs", "aarch64/src/inject.rs"],
        run: syndrome::run,
        seeds: syndrome::seeds,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_holds_on_its_seeds_and_on_what_is_cut_off_them() {
        for target in TARGETS {
            let seeds = (target.seeds)();
            assert!(!seeds.is_empty(), "{} begins with nothing", target.name);
            for seed in seeds {
                for length in 0..=seed.len().min(600) {
                    (target.run)(&seed[..length]);
                }
                (target.run)(&seed);
            }
        }
    }
}
