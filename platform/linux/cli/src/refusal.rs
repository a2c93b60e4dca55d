// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the user gets to see when the answer is no.
//!
//! The same three things every time: what was read, what was expected, what to
//! do. Text goes to standard error, JSON to standard output, where its reader
//! waits for it.

use crate::advice;
use crate::errno;
use crate::exit::Exit;
use crate::firmware::Firmware;
use crate::output::{BAD, Output, hexadecimal, paint};
use crate::surroundings;
use crate::table::wrap;
use mercury_device::{Device, Error, Outcome, Requirement, Verdict};
use serde::Serialize;

/// An error in JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    error: Body,
    exit: u8,
}

#[derive(Debug, Serialize)]
struct Body {
    requirement: Option<String>,
    cpu: Option<u32>,
    read: Option<String>,
    expected: Option<String>,
    mask: Option<String>,
    detail: Option<String>,
    errno: Option<String>,
    message: String,
    advice: Option<String>,
}

/// Prints an error and says how to end.
pub(crate) fn report(error: &anyhow::Error, output: Output) -> Exit {
    let firmware = firmware();
    let (exit, text, report) = match error.downcast_ref::<Error>() {
        Some(error) => match verdict_of(error) {
            Some(verdict) => of_verdict(&verdict, error.errno(), called(error), &firmware),
            None => of_device_error(error),
        },
        None => of_failure(&format!("{error:#}")),
    };
    // Nothing sensible is left to do if this fails, too.
    if output.json {
        let _ = output.answer(&report, String::new);
    } else {
        anstream::eprintln!("{text}");
    }
    exit
}

fn firmware() -> Firmware {
    let info = Device::open().ok().and_then(|device| device.info().ok());
    Firmware::of_this_machine(info.as_ref().map(|info| info.image_name.as_str()))
}

/// What was being asked for.
fn called(error: &Error) -> &str {
    match error {
        Error::Refused(refusal) => refusal.call,
        _ => "",
    }
}

/// The requirement behind an error, with what was read for it.
fn verdict_of(error: &Error) -> Option<Verdict> {
    match error {
        Error::Refused(refusal) => Some(refusal.verdict.clone()),
        Error::Privilege { path, source } => Some(surroundings::privilege_refused(
            &path.display().to_string(),
            source,
        )),
        _ => None,
    }
}

/// A requirement that does not hold.
pub(crate) fn of_verdict(
    verdict: &Verdict,
    errno: Option<i32>,
    call: &str,
    firmware: &Firmware,
) -> (Exit, String, Report) {
    let exit = Exit::Refused(verdict.requirement);
    let message = advice::otherwise(verdict, firmware);
    let advice = advice::to_do(verdict, firmware);
    let errno = errno.filter(|&errno| errno != 0).map(errno::name);

    let mut lines = vec![format!("{}: {message}.", paint(BAD, "refused"))];
    let read = match (verdict.has_value(), verdict.detail.as_str()) {
        (true, "") => hexadecimal(verdict.read),
        (true, detail) => format!("{:#x}: {detail}", verdict.read),
        (false, detail) => detail.to_owned(),
    };
    if !read.is_empty() {
        lines.push(wrap("  read      ", &read));
    }
    let expected = if verdict.mask == 0 {
        advice::of(verdict.requirement).holds.to_owned()
    } else {
        format!("{:#x} in the bits {:#x}", verdict.expected, verdict.mask)
    };
    lines.push(wrap("  expected  ", &expected));
    let changed = match (verdict.requirement.only_by_trying(), call) {
        (false, _) => "nothing",
        (true, "attach") => "everything was undone, each CPU is as it was before",
        (true, "checkpoint" | "rollback") => "nothing: the machine goes on as it was",
        // A detach goes CPU by CPU and there is nothing to undo it for.
        (true, _) => "some CPUs may be native already: see `mercury status`",
    };
    lines.push(format!("  changed   {changed}"));
    lines.push(wrap("  to do     ", &advice));
    lines.push(format!(
        "  exit      {} ({}{})",
        exit.code(),
        verdict.requirement,
        errno
            .as_ref()
            .map(|name| format!(", {name}"))
            .unwrap_or_default()
    ));

    let number = |value: u64| verdict.has_value().then(|| hexadecimal(value));
    let body = Body {
        requirement: Some(verdict.requirement.to_string()),
        cpu: verdict.cpu,
        read: number(verdict.read),
        expected: number(verdict.expected),
        mask: number(verdict.mask),
        detail: Some(verdict.detail.clone()).filter(|detail| !detail.is_empty()),
        errno,
        message,
        advice: Some(advice),
    };
    (
        exit,
        lines.join("\n"),
        Report {
            error: body,
            exit: exit.code(),
        },
    )
}

/// Where the kernel says whether it takes signed modules only.
const SIG_ENFORCE: &str = "/sys/module/module/parameters/sig_enforce";

fn signatures_demanded(path: &str) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| text.trim() == "Y")
}

/// An error of the device that is no requirement.
fn of_device_error(error: &Error) -> (Exit, String, Report) {
    let (exit, advice) = match error {
        Error::NotLoaded { .. } if signatures_demanded(SIG_ENFORCE) => (
            Exit::NoDevice,
            "This kernel takes signed modules only. DKMS signs with a key of its own: enroll it \
             (mokutil --import /var/lib/dkms/mok.pub, then reboot and confirm), and modprobe mercury.",
        ),
        Error::NotLoaded { .. } => (
            Exit::NoDevice,
            "Load the module: modprobe mercury (or insmod mercury.ko from where it was built). \
             `mercury check` looks at the machine without it.",
        ),
        Error::NoNode { .. } => (
            Exit::NoDevice,
            "Mount devtmpfs on /dev, or make the node with mknod from the numbers in \
             /sys/class/misc/mercury/dev.",
        ),
        Error::Protocol { .. } => (
            Exit::Protocol,
            "Install tool, module and image from the same build.",
        ),
        _ => (
            Exit::Failure,
            "See `mercury log` and the kernel's log (dmesg).",
        ),
    };
    build(
        exit,
        error.to_string(),
        Some(advice.to_owned()),
        error.errno(),
    )
}

fn of_failure(message: &str) -> (Exit, String, Report) {
    build(Exit::Failure, message.to_owned(), None, None)
}

fn build(
    exit: Exit,
    message: String,
    advice: Option<String>,
    number: Option<i32>,
) -> (Exit, String, Report) {
    let mut text = format!("{}: {message}.", paint(BAD, "error"));
    if let Some(advice) = &advice {
        text = format!("{text}\n{}", wrap("  to do  ", advice));
    }
    let body = Body {
        requirement: None,
        cpu: None,
        read: None,
        expected: None,
        mask: None,
        detail: None,
        errno: number.map(errno::name),
        message,
        advice,
    };
    (
        exit,
        text,
        Report {
            error: body,
            exit: exit.code(),
        },
    )
}

/// The refusal of an attach that was given up before the module was asked.
pub(crate) fn interrupted() -> Error {
    let detail = "the signal came before the module was asked";
    own(Requirement::Uninterrupted, libc::EINTR, "attach", detail)
}

/// The refusal of a proof while the CPUs may not be asked.
pub(crate) fn busy() -> Error {
    own(
        Requirement::Idle,
        libc::EBUSY,
        "prove",
        "another switch is under way",
    )
}

fn own(requirement: Requirement, errno: i32, call: &'static str, detail: &str) -> Error {
    let mut verdict = Verdict::in_words(requirement, Outcome::Fail, detail);
    verdict.errno = errno;
    Error::Refused(Box::new(mercury_device::Refusal {
        verdict,
        errno,
        call,
    }))
}

#[cfg(test)]
mod tests;
