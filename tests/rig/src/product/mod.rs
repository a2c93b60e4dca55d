// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is built before anything can boot: the hypervisor's image, the kernel
//! module for one kernel, and the static programs that run in the guest.

mod image;
mod module;
mod program;

use crate::arch::Arch;
use crate::kernel::Kernel;
use crate::paths::Paths;
use crate::terminal::remark;
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Which Mercury: the one that users get, or the one that can be broken on
/// purpose so that the tests can show that they would notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Flavour {
    /// What users get.
    Release,
    /// With mutants and the module parameters that select them.
    Testing,
}

impl Flavour {
    /// The name in paths.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Testing => "testing",
        }
    }
}

/// One built file, read while nobody else could build: what a guest gets is of
/// one piece even if another rig builds something else a moment later.
#[derive(Debug)]
pub(crate) struct Product {
    /// Where it lies.
    pub(crate) path: PathBuf,
    /// What it held when it was built.
    pub(crate) contents: Vec<u8>,
}

impl Product {
    fn read(path: PathBuf) -> Result<Self> {
        let contents = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        Ok(Self { path, contents })
    }

    /// The file's name.
    pub(crate) fn name(&self) -> String {
        self.path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    }
}

/// Everything built for one kernel and flavour.
#[derive(Debug, Default)]
pub(crate) struct Products {
    /// The flat image.
    pub(crate) image: Option<Product>,
    /// mercury.ko, and the test module.
    pub(crate) modules: Vec<Product>,
    /// Static programs.
    pub(crate) programs: Vec<Product>,
}

/// Builds what a guest with this kernel needs.
pub(crate) fn build(paths: &Paths, kernel: &Kernel, flavour: Flavour) -> Result<Products> {
    let _alone = alone(paths)?;
    let mut products = Products {
        programs: read_all(program::build(paths, kernel.arch)?)?,
        ..Products::default()
    };
    if has_module(paths, kernel.arch) {
        let image = image::build(paths, kernel.arch, flavour)?;
        let against = module::Against::kernel(kernel);
        products.modules = read_all(module::build(paths, &against, flavour, &image, true)?)?;
        for module in &products.modules {
            is_of(module, flavour)?;
        }
        products.image = Some(Product::read(image)?);
    } else {
        remark(&format!(
            "there is no Mercury for {} in this tree: the guest gets neither image nor module",
            kernel.arch
        ));
    }
    Ok(products)
}

/// Only a build for tests has the parameters that break Mercury on purpose. (The
/// image is looked into by `make check`.)
fn is_of(module: &Product, flavour: Flavour) -> Result<()> {
    if module.name() != "mercury.ko" {
        return Ok(());
    }
    for parameter in ["inject", "override", "mutant"] {
        let entry = format!("parmtype={parameter}:");
        let has = module
            .contents
            .windows(entry.len())
            .any(|bytes| bytes == entry.as_bytes());
        ensure!(
            has == (flavour == Flavour::Testing),
            "{} is a {} build and {} the parameter '{parameter}'",
            module.path.display(),
            flavour.name(),
            if has { "has" } else { "lacks" }
        );
    }
    Ok(())
}

fn read_all(files: Vec<PathBuf>) -> Result<Vec<Product>> {
    files.into_iter().map(Product::read).collect()
}

/// The image alone.
pub(crate) fn build_image(paths: &Paths, arch: Arch, flavour: Flavour) -> Result<PathBuf> {
    let _alone = alone(paths)?;
    image::build(paths, arch, flavour)
}

/// Where the image lies before it is made flat, with its symbols.
pub(crate) fn image_elf(paths: &Paths, arch: Arch, flavour: Flavour) -> PathBuf {
    image::elf(paths, arch, flavour)
}

/// The module's sources, for somebody else to build.
pub(crate) fn module_sources(paths: &Paths, image: &Path, into: &Path) -> Result<()> {
    module::sources(paths, image, into)
}

/// The programs alone.
pub(crate) fn build_programs(paths: &Paths, arch: Arch) -> Result<Vec<PathBuf>> {
    let _alone = alone(paths)?;
    program::build(paths, arch)
}

/// Image and mercury.ko for a kernel build directory of the user's own.
pub(crate) fn build_for_headers(
    paths: &Paths,
    arch: Arch,
    headers: &Path,
    flavour: Flavour,
) -> Result<Products> {
    let _alone = alone(paths)?;
    let image = image::build(paths, arch, flavour)?;
    let against = module::Against::directory(arch, headers)?;
    let modules = module::build(paths, &against, flavour, &image, false)?;
    Ok(Products {
        image: Some(Product::read(image)?),
        modules: read_all(modules)?,
        programs: Vec::new(),
    })
}

/// Whether image and Linux side are in the tree; without them guests boot with
/// neither.
fn has_module(paths: &Paths, arch: Arch) -> bool {
    [
        "platform/linux/module/Kbuild",
        &format!("{}/Cargo.toml", arch.image_crate()),
    ]
    .into_iter()
    .all(|file| paths.source(file).is_file())
}

/// Two rigs at once must not build modules in one folder.
fn alone(paths: &Paths) -> Result<File> {
    fs::create_dir_all(paths.target(""))?;
    let path = paths.target(".rig-build-lock");
    let lock = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    lock.lock()
        .with_context(|| format!("locking {}", path.display()))?;
    Ok(lock)
}
