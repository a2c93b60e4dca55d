// SPDX-License-Identifier: MIT OR Apache-2.0
//! What disturbs as a process of its own, because it is going to be killed, or
//! because there will be many of it: this program again.
#![expect(
    unsafe_code,
    reason = "fork is unsafe, and setpriority is not in the safe wrappers"
)]

use super::pages::Pages;
use super::switches::switches;
use crate::{machine, memory, ticks};
use anyhow::{Context, Result, ensure};
use mercury_device::{AttachOptions, Device, Error, Requirement, SampleKind};
use nix::errno::Errno;
use nix::fcntl::posix_fallocate;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use std::io::{Read, Write, pipe};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

/// What an eater takes at a time, in bytes.
const BITE: usize = 4 << 20;
/// The last of it an eater takes page by page, as processes do.
const UNCLEARED_UNTIL_KIB: i64 = 64 << 10;

/// Which.
#[derive(Debug, Clone, clap::Subcommand)]
pub(crate) enum Kind {
    /// Takes memory until it is killed
    Eater,
    /// Forks two that fork two, so many levels; prints how many there were
    Bomb {
        /// Levels
        levels: u32,
    },
    /// Attaches and detaches until it is killed, and says on a page when
    Victim {
        /// The page
        page: String,
    },
}

/// Starts one.
pub(super) fn start(words: &[&str]) -> Result<Child> {
    Command::new("/proc/self/exe")
        .arg("torture-child")
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting a process of our own")
}

/// Its body.
pub(crate) fn run(kind: &Kind) -> Result<()> {
    match kind {
        Kind::Eater => eat(),
        Kind::Bomb { levels } => bomb(*levels),
        Kind::Victim { page } => suffer(&Page::open(page)?),
    }
}

fn eat() -> Result<()> {
    // Before anybody else.
    machine::write("/proc/self/oom_score_adj", "1000")?;
    // And before everybody else's work, or it would take minutes.
    // SAFETY: no memory is involved.
    Errno::result(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -20) })?;
    // Most of it as pages of a file that nobody reads, which the kernel need not
    // clear: clearing takes an emulator longer than all the rest.
    let file = memfd_create(c"eaten", MFdFlags::empty()).context("memfd_create")?;
    let mut size = 0;
    while memory::available_kib()? > UNCLEARED_UNTIL_KIB {
        match posix_fallocate(&file, size, BITE as libc::off_t) {
            Ok(()) => size += BITE as libc::off_t,
            // The freezer, on the way to sleep.
            Err(Errno::EINTR) => {}
            // The rest page by page.
            Err(Errno::ENOSPC | Errno::ENOMEM) => break,
            Err(error) => return Err(error).context("fallocate"),
        }
    }
    let mut eaten = Vec::new();
    loop {
        let mut pages = Pages::new(BITE)?;
        for word in pages.words().iter_mut().step_by(512) {
            *word = 1;
        }
        eaten.push(pages);
    }
}

fn burst(levels: u32, to: &mut impl Write) -> Result<()> {
    let mut children = Vec::new();
    for _ in 0..if levels == 0 { 0 } else { 2 } {
        // SAFETY: this process has one thread.
        match unsafe { fork() }.context("fork")? {
            ForkResult::Parent { child } => children.push(child),
            ForkResult::Child => {
                let outcome = burst(levels - 1, to);
                std::process::exit(i32::from(outcome.is_err()));
            }
        }
    }
    to.write_all(b".")?;
    for child in children {
        let status = waitpid(child, None)?;
        ensure!(
            matches!(status, WaitStatus::Exited(_, 0)),
            "a forked process ended with {status:?}"
        );
    }
    Ok(())
}

fn bomb(levels: u32) -> Result<()> {
    let (mut from, mut to) = pipe()?;
    burst(levels, &mut to)?;
    drop(to);
    let mut seen = Vec::new();
    from.read_to_end(&mut seen)?;
    println!("{}", seen.len());
    Ok(())
}

/// What a victim and who kills it know of each other: words of a shared page.
#[derive(Debug)]
pub(super) struct Page(Pages);

/// A call of the victim's: attach or detach.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    /// When it was begun last; 0 while none is under way.
    pub(super) begun: &'a AtomicU64,
    /// How long after its begin the switch began and ended, in the victim's
    /// last one; 0: not known yet.
    pub(super) switch_begins: &'a AtomicU64,
    pub(super) switch_ends: &'a AtomicU64,
}

impl Page {
    pub(super) fn open(path: &str) -> Result<Self> {
        Ok(Self(Pages::shared(path)?))
    }

    pub(super) fn forget(&self) {
        for word in self.0.atomics() {
            word.store(0, Ordering::SeqCst);
        }
    }

    pub(super) fn call(&self, detach: bool) -> Call<'_> {
        let words = &self.0.atomics()[if detach { 8 } else { 0 }..];
        Call {
            begun: &words[0],
            switch_begins: &words[1],
            switch_ends: &words[2],
        }
    }

    /// 1 once the victim survives signals.
    pub(super) fn ready(&self) -> &AtomicU64 {
        &self.0.atomics()[17]
    }

    /// Signals that the victim was woken by in a call, which was undone.
    pub(super) fn undone(&self) -> &AtomicU64 {
        &self.0.atomics()[16]
    }
}

extern "C" fn nothing(_: i32) {}

fn one_call(device: &Device, detach: bool, page: &Page, next: &mut u64) -> Result<()> {
    let call = page.call(detach);
    let begun = ticks::now();
    call.begun.store(begun, Ordering::SeqCst);
    let outcome = if detach {
        device.detach()
    } else {
        device.attach(&AttachOptions::default())
    };
    call.begun.store(0, Ordering::SeqCst);
    match outcome {
        Ok(()) => {}
        Err(Error::Refused(refusal)) => match refusal.verdict.requirement {
            Requirement::Uninterrupted => {
                page.undone().fetch_add(1, Ordering::SeqCst);
            }
            Requirement::Idle
            | Requirement::Native
            | Requirement::Attached
            | Requirement::Memory => return Ok(()),
            _ => return Err(Error::Refused(refusal).into()),
        },
        Err(error) => return Err(error.into()),
    }
    let batch = device.samples(*next)?;
    *next = batch.next;
    let kind = if detach {
        SampleKind::DetachSwitch
    } else {
        SampleKind::AttachSwitch
    };
    let ours = batch
        .items
        .iter()
        .filter(|sample| sample.kind == kind)
        .copied();
    if let Some(switch) = switches(&ours.collect::<Vec<_>>())
        .iter()
        .rev()
        .find(|switch| switch.begin > begun)
    {
        call.switch_begins
            .store(switch.begin - begun, Ordering::SeqCst);
        call.switch_ends.store(switch.end - begun, Ordering::SeqCst);
    }
    Ok(())
}

fn suffer(page: &Page) -> Result<()> {
    // Handled, and without SA_RESTART: the call ends with EINTR.
    let action = SigAction::new(
        SigHandler::Handler(nothing),
        SaFlags::empty(),
        SigSet::empty(),
    );
    // SAFETY: the handler does nothing.
    unsafe { sigaction(Signal::SIGUSR1, &action) }?;
    // Somebody may unload the module just now.
    let device = loop {
        match Device::open() {
            Ok(device) => break device,
            Err(Error::NotLoaded { .. } | Error::NoNode { .. } | Error::Open { .. }) => {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            Err(error) => return Err(error.into()),
        }
    };
    page.ready().store(1, Ordering::SeqCst);
    let mut next = device.samples(0)?.next;
    loop {
        one_call(&device, false, page, &mut next).context("a victim's attach")?;
        one_call(&device, true, page, &mut next).context("a victim's detach")?;
    }
}
