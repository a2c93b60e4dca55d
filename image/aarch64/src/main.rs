// SPDX-License-Identifier: MIT OR Apache-2.0
//! The image: Mercury's logic and the ARM64 backend, joined.
//!
//! It is a flat file that the kernel module puts into lent frames and maps at a
//! fixed address of EL2's own. It has one entry, the door
//! ([`mercury_hal::door`]), and no life of its own: it runs when a CPU comes
//! through the door and when a guest exits, on that CPU's stack, with all
//! interrupts masked, and nothing in it ever waits for another CPU longer than
//! that CPU holds one short lock, but for a checkpoint and a roll-back (`guard`).
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod call;
#[cfg(target_os = "none")]
mod death;
#[cfg(target_os = "none")]
mod entry;
#[cfg(target_os = "none")]
mod guard;
#[cfg(target_os = "none")]
mod machine;
#[cfg(all(target_os = "none", feature = "mutants"))]
mod provoke;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("this is the hypervisor's image; build it for aarch64-unknown-none-softfloat");
    std::process::exit(2);
}
