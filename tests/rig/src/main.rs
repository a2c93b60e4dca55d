// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rig: what stands behind `make run` and `make test`.
//!
//! Mercury can only be tried by slipping beneath a running Linux, so the rig
//! makes one: it fetches a stock Debian kernel into a cache, builds Mercury's
//! image, module and tool, packs them with busybox into an initramfs, boots
//! that in QEMU, runs a script in it, and ends with the script's own status.
//! A guest that dies or hangs is told apart from a script that fails.
//!
//! - `debian`: apt with a state of its own, and packages unpacked in the cache
//! - `kernel`: Debian kernels, downloaded and unpacked, never installed
//! - `device_tree`: a board's, changed for QEMU's model of the board
//! - `product`: image, module, programs
//! - `guest`: the initramfs
//! - `boot`: QEMU, the channel to the guest, the verdict
//! - `card`: what a board boots from
//! - `flash`: that, written to a disk
//! - `packages`: Debian's, made from the tree
//! - `fuzz`: the decoders under libFuzzer
//! - `defects`: planted ones, and which tests notice them
//! - `launch`: from guest and machine to verdict
//! - `debug`: gdb on the image
//! - `run`, `test`: the two ways to use all that
//! - `bench`: what Mercury costs, in one report
//! - `record`: results that are kept in docs/results
//! - `torture`: a run that is shaped like a row of the tests
//!
//! docs/rig.md is for those who use it, docs/building.md for what it installs.

mod arch;
mod arguments;
mod bench;
mod boot;
mod card;
mod command;
mod debian;
mod debug;
mod defects;
mod device_tree;
mod flash;
mod fuzz;
mod guest;
mod kernel;
mod launch;
mod packages;
mod paths;
mod product;
mod record;
mod run;
mod terminal;
mod test;
mod torture;

use anyhow::Result;
use arguments::{Arguments, Kernel, Part, Task};
use clap::Parser;
use paths::Paths;
use std::process::ExitCode;

fn main() -> ExitCode {
    match act(Arguments::parse().task) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            terminal::complain(&format!("{error:#}"));
            ExitCode::from(boot::RIG_FAILED)
        }
    }
}

fn act(task: Task) -> Result<u8> {
    let paths = Paths::find()?;
    match task {
        Task::Run(arguments) => return run::run(&paths, &arguments),
        Task::Torture(arguments) => return torture::torture(&paths, &arguments),
        Task::TestTheTests(arguments) => return defects::test_the_tests(&paths, &arguments),
        Task::Fuzz(arguments) => return fuzz::fuzz(&paths, &arguments),
        Task::Test(arguments) => return test::test(&paths, &arguments),
        Task::Bench(arguments) => return bench::bench(&paths, &arguments),
        Task::Record(arguments) => return record::record(&paths, &arguments),
        Task::Unsafety => test::print_unsafety(&paths)?,
        Task::Matrix(arguments) => test::print(&paths, &arguments)?,
        Task::Build(arguments) => build(&paths, &arguments)?,
        Task::Module(arguments) => {
            let headers = arguments.kdir.canonicalize().unwrap_or(arguments.kdir);
            show(&product::build_for_headers(
                &paths,
                arguments.arch,
                &headers,
                arguments.flavour,
            )?);
        }
        Task::Deb(arguments) => {
            for arch in arguments
                .arch
                .map_or(arch::Arch::ALL.to_vec(), |one| vec![one])
            {
                for package in packages::build(&paths, arch)? {
                    println!("{}", package.display());
                }
            }
        }
        Task::Debug(arguments) => return debug::debug(&paths, &arguments),
        Task::TestPackages => packages::test_in_debian(&paths)?,
        Task::Flash(arguments) => return flash::flash(&paths, &arguments),
        Task::Image(arguments) => card::image(&paths, &arguments)?,
        Task::Kernel(Kernel::Fetch {
            package,
            arch,
            refresh,
        }) => {
            let package = package.as_deref().unwrap_or(arch.kernel());
            let kernel = kernel::fetch(&paths, arch, package, refresh)?;
            println!("{} {}", kernel.release, kernel.vmlinuz().display());
        }
    }
    Ok(0)
}

fn build(paths: &Paths, arguments: &arguments::Build) -> Result<()> {
    match arguments.only {
        Some(Part::Image) => println!(
            "{}",
            product::build_image(paths, arguments.arch, arguments.flavour)?.display()
        ),
        Some(Part::Programs) => {
            for program in product::build_programs(paths, arguments.arch)? {
                println!("{}", program.display());
            }
        }
        None => {
            let arch = arguments.arch;
            let package = arguments.kernel.as_deref().unwrap_or(arch.kernel());
            let kernel = kernel::fetch(paths, arch, package, false)?;
            show(&product::build(paths, &kernel, arguments.flavour)?);
        }
    }
    Ok(())
}

fn show(products: &product::Products) {
    for product in products
        .image
        .iter()
        .chain(&products.modules)
        .chain(&products.programs)
    {
        println!("{}", product.path.display());
    }
}
