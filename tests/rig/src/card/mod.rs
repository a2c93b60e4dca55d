// SPDX-License-Identifier: MIT OR Apache-2.0
//! `mercury-rig image`, behind `make image BOARD=`: a file to be written to the
//! SD card that a board boots from. On it are Debian's kernel and device tree,
//! Mercury in an initramfs, and what the board's loader wants to be told.
//!
//! Beside it stands `image.json`: what is in it and what is missing. `flash`
//! reads that, so that nobody writes a card that cannot boot without knowing.

mod firmware;
mod layout;
mod medium;

pub(crate) use firmware::{Found, look as firmware};
pub(crate) use layout::Boot;

use crate::arguments;
use crate::boot::{self, Board, Layout};
use crate::guest::{Guest, Screen, Task, Userland};
use crate::kernel::{self, Kernel};
use crate::paths::Paths;
use crate::product::{self, Products};
use crate::terminal::{Work, complain, remark};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// What `image.json` says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// The board.
    pub(crate) board: String,
    /// The image file.
    pub(crate) image: PathBuf,
    /// Its size.
    pub(crate) bytes: u64,
    /// The kernel's release.
    pub(crate) kernel: String,
    /// Whether Mercury's module and image are in it.
    pub(crate) mercury: bool,
    /// Firmware without which the board does not boot from it.
    pub(crate) missing: Vec<String>,
    /// Firmware without which it boots only if the board has it elsewhere.
    pub(crate) missing_unless_on_the_board: Vec<String>,
    /// The files in it.
    pub(crate) files: Vec<Listed>,
}

/// One file in an image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Listed {
    /// Its path.
    pub(crate) path: String,
    /// Its size.
    pub(crate) bytes: u64,
}

/// Where a board's image lies.
pub(crate) fn path(paths: &Paths, board: &str) -> PathBuf {
    paths
        .target("board")
        .join(board)
        .join(format!("mercury-{board}.img"))
}

/// What is known of an image file; nothing if it was made elsewhere.
pub(crate) fn manifest(image: &Path) -> Option<Manifest> {
    let text = fs::read_to_string(image.with_file_name("image.json")).ok()?;
    let manifest: Manifest = serde_json::from_str(&text).ok()?;
    (manifest.image.file_name() == image.file_name()).then_some(manifest)
}

/// Makes the image and says what it is.
pub(crate) fn image(paths: &Paths, arguments: &arguments::Image) -> Result<()> {
    let board = boot::named(paths, &arguments.board)?;
    if board.layout == Layout::LateLaunch {
        bail!(
            "BOARD={}: no medium is made for it, for Mercury goes into a Linux that is installed there; 'make image ARCH={}' builds the hypervisor's image",
            board.name,
            board.arch
        );
    }
    let found = firmware::look(&board, arguments.firmware.as_deref())?;
    let package = arguments.kernel.as_deref().unwrap_or(board.arch.kernel());
    let kernel = kernel::fetch(paths, board.arch, package, false)?;
    let products = if arguments.bare {
        Products::default()
    } else {
        product::build(paths, &kernel, arguments.flavour)?
    };
    let manifest = make(paths, &board, &kernel, &products, found)?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&manifest)?);
    } else {
        show(&manifest);
    }
    warn(&manifest, &board);
    Ok(())
}

/// Writes the image and the list of what is in it.
pub(crate) fn make(
    paths: &Paths,
    board: &Board,
    kernel: &Kernel,
    products: &Products,
    found: Found,
) -> Result<Manifest> {
    let image = path(paths, &board.name);
    let folder = image.parent().context("an image without a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let mut files = contents(paths, board, kernel, products, folder)?;
    files.extend(found.files);
    let _work = Work::begin("writing the image");
    remark(&format!("writing {}", image.display()));
    let medium = medium::write(&files)?;
    // The list goes first and comes last: it never speaks of another image.
    let list = image.with_file_name("image.json");
    let _ = fs::remove_file(&list);
    fs::write(&image, &medium).with_context(|| format!("writing {}", image.display()))?;
    let manifest = Manifest {
        board: board.name.clone(),
        bytes: medium.len() as u64,
        kernel: kernel.release.clone(),
        mercury: products.image.is_some(),
        missing: found.needed,
        missing_unless_on_the_board: found.wanted,
        files: files
            .iter()
            .map(|file| Listed {
                path: file.path.clone(),
                bytes: file.contents.len() as u64,
            })
            .collect(),
        image,
    };
    let text = serde_json::to_string_pretty(&manifest)? + "\n";
    fs::write(&list, &text).with_context(|| format!("writing {}", list.display()))?;
    Ok(manifest)
}

/// Kernel parameters that tell what is on a card about the rig, for which it was
/// not made: where the clean channel is, and a suite to run instead of a shell.
pub(crate) fn parameters(board: &Board, suite: Option<&str>, arguments: &[String]) -> String {
    let mut said = format!("mercury.channel={}", board.qemu.channel);
    if let Some(suite) = suite {
        said.push_str(&format!(" mercury.script=/tests/{suite}.sh"));
    }
    if !arguments.is_empty() {
        said.push_str(&format!(" mercury.arguments={}", arguments.join(",")));
    }
    said
}

fn contents(
    paths: &Paths,
    board: &Board,
    kernel: &Kernel,
    products: &Products,
    folder: &Path,
) -> Result<Vec<medium::File>> {
    let userland = Userland::of(paths, board.arch)?;
    let linux = &board.linux;
    let tree = linux
        .device_tree
        .as_deref()
        .context("the board names no device tree")?;
    let from = kernel.device_tree(tree)?;
    let guest = Guest {
        kernel,
        products,
        userland: &userland,
        // There is no rig on the other end: a shell on the board's console.
        channel: linux.console.split(',').next().unwrap_or_default(),
        suites: paths.source("tests/guest/scripts"),
        task: Task::Interactive,
        screen: Screen::default(),
        with: None,
        needs: &[],
        stress_ng: None,
        modules: &[],
        board_modules: &linux.modules,
    };
    let initramfs = folder.join("initramfs.cpio");
    guest.write(&initramfs)?;
    let read = |path: &Path| fs::read(path).with_context(|| format!("reading {}", path.display()));
    let boot = Boot {
        kernel: read(&kernel.vmlinuz())?,
        initramfs: read(&initramfs)?,
        device_tree: (
            tree.rsplit('/').next().unwrap_or(tree).to_owned(),
            read(&from)?,
        ),
        parameters: format!("console={} panic=10", linux.console),
    };
    let _ = fs::remove_file(&initramfs);
    boot.files(&board.name, board.layout)
}

/// What the board would boot from an image file.
pub(crate) fn read(image: &Path, layout: Layout) -> Result<Boot> {
    let said = || {
        format!(
            "{} is no image that 'make image BOARD=' made",
            image.display()
        )
    };
    let bytes = fs::read(image)
        .with_context(|| format!("reading {}; 'make image BOARD=' makes it", image.display()))?;
    let files = medium::read(&bytes).with_context(said)?;
    Boot::from_files(files, layout).with_context(said)
}

fn show(manifest: &Manifest) {
    for file in &manifest.files {
        println!("  {:>9} KiB  {}", file.bytes.div_ceil(1024), file.path);
    }
    println!(
        "{} ({} MiB)",
        manifest.image.display(),
        manifest.bytes >> 20
    );
}

fn warn(manifest: &Manifest, board: &Board) {
    let place = &board.firmware.r#where;
    if !manifest.missing.is_empty() {
        complain(&format!(
            "this image does not boot on a real {}: it lacks {}. {place}; name that folder with FIRMWARE=",
            board.what,
            manifest.missing.join(", ")
        ));
    } else if !manifest.missing_unless_on_the_board.is_empty() {
        remark(&format!(
            "not in the image: {}. {place}; FIRMWARE=folder takes it in",
            manifest.missing_unless_on_the_board.join(", ")
        ));
    }
}
