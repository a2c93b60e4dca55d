// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compiles the module's headers that need no kernel, so that tests drive the
//! very code that the module runs.

fn main() {
    let module = "../../platform/linux/module";
    for file in ["walk.h", "preflight.h", "mercury_abi.h"] {
        println!("cargo::rerun-if-changed={module}/{file}");
    }
    println!("cargo::rerun-if-changed=c/shim.c");
    cc::Build::new()
        .file("c/shim.c")
        .include(module)
        .std("gnu11")
        .extra_warnings(true)
        .flag("-Wno-unused-parameter")
        .warnings_into_errors(true)
        .compile("mercury_shim");
}
