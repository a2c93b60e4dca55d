// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hands the linker script to the linker, for the bare-metal target only.
fn main() {
    println!("cargo:rerun-if-changed=image.ld");
    let target = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    if target == "none" {
        let directory = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo:rustc-link-arg=-T{directory}/image.ld");
        println!("cargo:rustc-link-arg=--no-dynamic-linker");
        println!("cargo:rustc-link-arg=-zmax-page-size=4096");
    }
}
