// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compiles the module's headers that need no kernel, so that tests drive the
//! very code that the module runs.

const MODULE: &str = "../../platform/linux/module";

fn compiler() -> cc::Build {
    let mut build = cc::Build::new();
    build
        .include(MODULE)
        .std("gnu11")
        .extra_warnings(true)
        .flag("-Wno-unused-parameter")
        .warnings_into_errors(true);
    build
}

fn main() {
    for file in [
        "walk.h",
        "rendezvous.h",
        "preflight.h",
        "mercury_abi.h",
        "x86/rules.h",
        "arm64/rules.h",
        "arm64/publish.h",
    ] {
        println!("cargo::rerun-if-changed={MODULE}/{file}");
    }
    println!("cargo::rerun-if-changed=c");
    let mut walk = compiler();
    if std::env::var_os("CARGO_FEATURE_PLANTED_CPU_LEFT_NATIVE").is_some() {
        walk.define("MERCURY_PLANTED_CPU_LEFT", None);
    }
    walk.file("c/walk.c").compile("mercury_walk");
    let mut rendezvous = compiler();
    if std::env::var_os("CARGO_FEATURE_PLANTED_LATE_CPU").is_some() {
        rendezvous.define("MERCURY_PLANTED_LATE_CPU", None);
    }
    rendezvous
        .file("c/rendezvous.c")
        .compile("mercury_rendezvous");
    compiler()
        .include(format!("{MODULE}/arm64"))
        .file("c/publish.c")
        .compile("mercury_publish");
    for architecture in ["x86", "arm64"] {
        compiler()
            .include(format!("{MODULE}/{architecture}"))
            .define("NAME(name)", format!("{architecture}_##name").as_str())
            .file("c/preflight.c")
            .compile(&format!("mercury_preflight_{architecture}"));
    }
}
