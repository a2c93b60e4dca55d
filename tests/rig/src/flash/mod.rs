// SPDX-License-Identifier: MIT OR Apache-2.0
//! `mercury-rig flash`, behind `make flash BOARD= DEV=`: writes an image to a
//! disk, which destroys what is on it. So it looks before it leaps: it shows what
//! the disk is, refuses what is in use, refuses what is no card or stick unless
//! forced, asks, writes, and reads all of it back.

mod copy;
mod device;
mod fit;
#[cfg(test)]
mod on_loop;

use crate::arguments;
use crate::card;
use crate::paths::Paths;
use crate::terminal::{complain, remark};
use anyhow::{Context, Result};
use device::{Device, System};
use fit::refusal;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::json;
use std::fs::{self, File};
use std::io::{IsTerminal, Write, stdin, stdout};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

/// How it ended, and with which exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Ending {
    /// The disk holds the image, byte for byte.
    Written,
    /// The disk, or the image, is not fit; nothing was written.
    Refused,
    /// Nobody said yes; nothing was written.
    NotConfirmed,
    /// It broke off in the middle.
    WriteFailed,
    /// What came back is not what was written.
    Differs,
}

impl Ending {
    fn exit_code(self) -> u8 {
        match self {
            Self::Written => 0,
            Self::Refused => 3,
            Self::NotConfirmed => 4,
            Self::WriteFailed => 5,
            Self::Differs => 6,
        }
    }
}

/// What there is to write.
struct Image {
    path: PathBuf,
    bytes: u64,
    missing: Vec<String>,
}

/// Does it all, and gives the exit code.
pub(crate) fn flash(paths: &Paths, arguments: &arguments::Flash) -> Result<u8> {
    let started = Instant::now();
    let image = find(paths, arguments)?;
    let device = Device::look(&arguments.device, &System::this())?;
    if !arguments.json {
        show(&image, &device);
    }
    let (ending, said) = act(arguments, &image, &device);
    if arguments.json {
        let report = json!({
            "result": ending,
            "said": said,
            "image": image.path,
            "bytes": image.bytes,
            "device": device,
            "seconds": started.elapsed().as_secs_f64(),
        });
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else if ending == Ending::Written {
        println!("{said}");
    }
    if ending != Ending::Written {
        complain(&said);
    }
    Ok(ending.exit_code())
}

fn find(paths: &Paths, arguments: &arguments::Flash) -> Result<Image> {
    let path = match &arguments.image {
        Some(image) => image.clone(),
        None => card::path(paths, &arguments.board),
    };
    let metadata = fs::metadata(&path).with_context(|| {
        format!(
            "reading {}; 'make image BOARD={}' makes it",
            path.display(),
            arguments.board
        )
    })?;
    let missing = card::manifest(&path).map_or(Vec::new(), |manifest| manifest.missing);
    Ok(Image {
        bytes: metadata.len(),
        missing,
        path,
    })
}

fn show(image: &Image, device: &Device) {
    let kind = if device.removable {
        "removable"
    } else {
        "NOT removable"
    };
    println!("image   {}, {}", image.path.display(), size(image.bytes));
    println!(
        "disk    {} ({}), {}, {}, {kind}",
        device.path.display(),
        device.name,
        size(device.bytes),
        device.model
    );
    println!(
        "holds   {}",
        match device.partitions.len() {
            0 => "no partitions".to_owned(),
            _ => device.partitions.join(", "),
        }
    );
}

/// Every step up to the end, and a sentence about that.
fn act(arguments: &arguments::Flash, image: &Image, device: &Device) -> (Ending, String) {
    if let Some(reason) = refusal(image, device, arguments.force) {
        return (Ending::Refused, reason);
    }
    if let Err(reason) = confirm(arguments, device) {
        return (Ending::NotConfirmed, reason);
    }
    let mut to = match copy::open(&device.path) {
        Ok(file) => file,
        Err(error) => {
            return (
                Ending::Refused,
                format!(
                    "opening {} for writing alone: {error}; are you root, and is the disk in use?",
                    device.path.display()
                ),
            );
        }
    };
    if let Err(error) = write(image, &mut to) {
        return (
            Ending::WriteFailed,
            format!("{error:#}; the disk holds neither what it held nor the image"),
        );
    }
    let ended = match verify(image, device) {
        Ok((None, how)) => (
            Ending::Written,
            format!(
                "written and read back {how}: {} holds the image",
                device.path.display()
            ),
        ),
        Ok((Some(at), _)) => (
            Ending::Differs,
            format!(
                "byte {at} came back otherwise than it was written: the disk {} is not to be trusted",
                device.path.display()
            ),
        ),
        Err(error) => (Ending::Differs, format!("{error:#}")),
    };
    drop(to);
    // So that the new partition is there at once. It fails where partitions are
    // not looked for (loop devices), and then there is nothing to see.
    let _ = Command::new("blockdev")
        .arg("--rereadpt")
        .arg(&device.path)
        .output();
    ended
}

fn confirm(arguments: &arguments::Flash, device: &Device) -> Result<(), String> {
    if arguments.yes {
        return Ok(());
    }
    if !stdin().is_terminal() || arguments.json {
        return Err(format!(
            "nobody can be asked whether {} may be overwritten: say YES=1",
            device.path.display()
        ));
    }
    print!(
        "All of {} is lost. Type {} to go on: ",
        device.path.display(),
        device.name
    );
    let _ = stdout().flush();
    let mut answer = String::new();
    let _ = stdin().read_line(&mut answer);
    if answer.trim() == device.name {
        Ok(())
    } else {
        Err(format!(
            "the answer was '{}', not '{}': nothing was written",
            answer.trim(),
            device.name
        ))
    }
}

fn write(image: &Image, to: &mut File) -> Result<()> {
    let bar = bar("writing", image.bytes);
    copy::write(&mut open(image)?, to, &bar)?;
    bar.finish_and_clear();
    Ok(())
}

fn verify(image: &Image, device: &Device) -> Result<(Option<u64>, &'static str)> {
    let bar = bar("reading back", image.bytes);
    let (mut from, how) = copy::open_back(&device.path)?;
    let differs = copy::compare(&mut open(image)?, &mut from, image.bytes, &bar)?;
    bar.finish_and_clear();
    Ok((differs, how))
}

fn open(image: &Image) -> Result<File> {
    File::open(&image.path).with_context(|| format!("opening {}", image.path.display()))
}

/// A bar on a terminal, a line elsewhere.
fn bar(what: &'static str, bytes: u64) -> ProgressBar {
    let bar = ProgressBar::new(bytes);
    if bar.is_hidden() {
        remark(&format!("{what} {}", size(bytes)));
    }
    let style = "{msg:20} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar
}

fn size(bytes: u64) -> String {
    if bytes >= 10 << 30 {
        format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
    } else {
        format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ending_has_a_code_of_its_own() {
        let mut codes: Vec<u8> = [
            Ending::Written,
            Ending::Refused,
            Ending::NotConfirmed,
            Ending::WriteFailed,
            Ending::Differs,
        ]
        .map(Ending::exit_code)
        .to_vec();
        codes.dedup();
        assert_eq!(codes, [0, 3, 4, 5, 6]);
    }
}
