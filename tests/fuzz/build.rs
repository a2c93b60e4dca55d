// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compiles the module's headers that need no kernel, instrumented for the
//! fuzzer where it is the fuzzer that is built.

use std::env;

const MODULE: &str = "../../platform/linux/module";

fn main() {
    let asked = |feature: &str| env::var_os(format!("CARGO_FEATURE_{feature}")).is_some();
    for file in [
        "image_header.h",
        "request.h",
        "mercury_abi.h",
        "mercury_door.h",
    ] {
        println!("cargo::rerun-if-changed={MODULE}/{file}");
    }
    println!("cargo::rerun-if-changed=c");
    let mut build = cc::Build::new();
    build
        .include(MODULE)
        .include(format!("{MODULE}/x86"))
        .std("gnu11")
        .extra_warnings(true)
        .warnings_into_errors(true);
    for defect in ["PLANTED_IMAGE_ENTRY", "PLANTED_REQUEST_SIZE"] {
        if asked(defect) {
            build.define(&format!("MERCURY_{defect}"), None);
        }
    }
    if asked("ENGINE") {
        // Without a position-independent call the coverage report would not
        // find the calls (engine/coverage.rs).
        build
            .flag("-fsanitize-coverage=trace-pc,trace-cmp")
            .flag("-fno-plt")
            .opt_level(1);
        cc::Build::new().file("c/trace.c").compile("mercury_trace");
    }
    build.file("c/decoders.c").compile("mercury_decoders");
}
