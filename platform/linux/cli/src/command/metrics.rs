// SPDX-License-Identifier: MIT OR Apache-2.0
//! `mercury metrics`: the same answer as `mercury status`, for Prometheus.
//!
//! Printed in Prometheus' text format, or put into a file for node_exporter's
//! textfile collector. That collector may read at any moment, so the file is
//! written beside its place and renamed: it is the old one or the new one, whole.
//!
//! A machine without the module is an answer too (`mercury_module_loaded 0`): a file
//! of yesterday that says *attached* would be worse than none.

mod families;

use crate::arguments::Metrics;
use crate::exit::Exit;
use crate::output::Output;
use anyhow::{Context, Result, anyhow};
use families::Reading;
use mercury_device::{Device, Error};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process;

/// Asks, and prints or writes.
pub(crate) fn run(options: &Metrics, output: Output) -> Result<Exit> {
    if output.json {
        return Err(anyhow!(
            "`mercury metrics` speaks Prometheus' text format and no JSON: use `mercury status --json`"
        ));
    }
    let text = families::text(read()?.as_ref())?;
    match &options.output {
        Some(path) => replace(path, &text)?,
        None => output.plain(&text)?,
    }
    Ok(Exit::Success)
}

/// `None` if the module is not loaded.
fn read() -> Result<Option<Reading>> {
    let device = match Device::open() {
        Ok(device) => device,
        Err(Error::NotLoaded { .. }) => return Ok(None),
        Err(other) => return Err(other.into()),
    };
    Ok(Some(Reading {
        info: device.info()?,
        status: device.status()?,
        samples: device.samples(1)?.items,
    }))
}

/// Replaces a file in one step.
fn replace(path: &Path, text: &str) -> Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let name = path.file_name().with_context(|| {
        format!(
            "'{}' names no file: give a path like /var/lib/prometheus/node-exporter/mercury.prom",
            path.display()
        )
    })?;
    // The collector reads names that end in .prom, and this one does not.
    let new: PathBuf = folder.join(format!(".{}.{}.new", name.to_string_lossy(), process::id()));
    let written = write(&new, text).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written.with_context(|| {
        format!(
            "writing {}; its folder must exist and be writable",
            path.display()
        )
    })
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text.as_bytes())?;
    // A machine that loses power shall not find an empty file under the name.
    file.sync_all()
}

#[cfg(test)]
mod tests;
