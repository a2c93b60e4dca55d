// SPDX-License-Identifier: MIT OR Apache-2.0
//! `mercury trace`: when what happened, CPU by CPU.
//!
//! `record` collects what the module and the image note anyway, the log's records and
//! the samples of each switch, and on request each exit (`--exits`), into a file. Rings
//! are read ten times a second, and a hundred times while exits come; what was
//! overwritten before it was read is counted. `export` turns the file into what
//! Perfetto and chrome://tracing open (`chrome.rs`), or draws one switch (`picture.rs`).
//! Both go by the same spans and marks (`timeline.rs`), so the picture is what Perfetto
//! would show.

mod chrome;
mod file;
mod picture;
mod record;
mod timeline;

use crate::arguments::{Export, Form, Trace};
use crate::exit::Exit;
use crate::output::Output;
use anyhow::{Context, Result};
use file::Recording;
use std::fs;

/// Records, or exports.
pub(crate) fn run(trace: &Trace, output: Output) -> Result<Exit> {
    match trace {
        Trace::Record(options) => record::run(options, output),
        Trace::Export(options) => export(options, output),
    }
}

fn export(options: &Export, output: Output) -> Result<Exit> {
    let recording = Recording::read(&options.input)?;
    let timeline = timeline::Timeline::new(&recording);
    let text = match options.format {
        Form::Chrome => serde_json::to_string(&chrome::document(&timeline))?,
        Form::Svg => picture::draw(&timeline).context(
            "the recording has no switch to draw: attach or detach while it runs, as in \
             `mercury trace record -o FILE -- mercury attach`",
        )?,
    };
    match &options.output {
        Some(path) => {
            fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))?;
        }
        None => output.plain(&text)?,
    }
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests;
