// SPDX-License-Identifier: MIT OR Apache-2.0
//! The open device and its calls.

use crate::abi::{self, Zero};
use crate::call;
use crate::codes::{GuardAction, Outcome, Requirement};
use crate::error::{Error, Refusal};
use crate::guard::{Checkpoint, Guard, GuardOptions, Postmortem};
use crate::log::Record;
use crate::proof::{NullCalls, Proof};
use crate::sample::Sample;
use crate::status::Status;
use crate::verdict::{Verdict, text};
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

/// What the module is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// The module's version of the contract.
    pub abi: u32,
    /// Whether it was built with fault injection and mutants.
    pub testing: bool,
    /// The architecture, as `uname -m` names it.
    pub architecture: String,
    /// `svm`, or empty if this CPU has no extension that Mercury knows.
    pub backend: String,
    /// The image's name below the firmware directories.
    pub image_name: String,
    /// The hash of the only image that will be accepted.
    pub image_sha256: [u8; 32],
    /// The project's version.
    pub version: String,
    /// Frequency of the clock in samples and records.
    pub tsc_khz: u64,
}

/// How to attach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttachOptions {
    /// Do everything up to the first CPU's entry, then undo it.
    pub dry_run: bool,
    /// Detach after this time unless [`Device::keep`] comes before; whole
    /// seconds, rounded up.
    pub rope: Option<Duration>,
}

/// A run of frames that the guest cannot reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRange {
    /// Host physical address of the first frame.
    pub start: u64,
    /// How many frames of 4 KiB.
    pub pages: u64,
}

/// Entries of a ring, and where to go on reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch<T> {
    /// The entries, oldest first.
    pub items: Vec<T>,
    /// The `from` of the next call.
    pub next: u64,
}

/// The open device. Every call asks the module anew; nothing is remembered.
#[derive(Debug)]
pub struct Device {
    file: File,
}

/// Entries asked for in one call of a ring.
const RING_ROOM: usize = 256;
/// Calls made for one reading of a ring: a writer that is faster than we are
/// must not keep us for ever.
const RING_CALLS: usize = 4096;
/// The most entries that a list may have before we call the count nonsense.
const LIST_LIMIT: usize = 1 << 16;

impl Device {
    /// Where the device is.
    pub const PATH: &'static str = "/dev/mercury";

    /// Opens the device.
    ///
    /// # Errors
    /// [`Error::NotLoaded`], [`Error::NoNode`], [`Error::Privilege`], or
    /// [`Error::Open`] for everything else.
    pub fn open() -> Result<Self, Error> {
        Self::open_at(Path::new(Self::PATH), Path::new("/sys/module/mercury"))
    }

    fn open_at(path: &Path, module: &Path) -> Result<Self, Error> {
        let opened = File::options().read(true).write(true).open(path);
        let file = opened.map_err(|source| {
            let path = path.to_owned();
            match source.raw_os_error() {
                Some(libc::EPERM | libc::EACCES) => Error::Privilege { path, source },
                Some(libc::ENOENT) if module.exists() => Error::NoNode { path },
                // ENODEV and ENXIO: a node is left over, its driver is not.
                Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => Error::NotLoaded { path },
                _ => Error::Open { path, source },
            }
        })?;
        Ok(Self { file })
    }

    /// What the module is.
    ///
    /// # Errors
    /// When the call fails.
    pub fn info(&self) -> Result<Info, Error> {
        let mut raw = abi::Info::ZERO;
        call::plain(&self.file, abi::INFO, &mut raw)
            .map_err(|source| self.explain("info", source, None))?;
        Ok(Info {
            abi: raw.abi,
            testing: raw.testing != 0,
            architecture: text(&raw.architecture),
            backend: text(&raw.backend),
            image_name: text(&raw.image_name),
            image_sha256: raw.image_sha256,
            version: text(&raw.version),
            tsc_khz: raw.tsc_khz,
        })
    }

    /// Evaluates every requirement and changes nothing.
    ///
    /// # Errors
    /// When the call fails; a requirement that does not hold is no error here.
    pub fn check(&self) -> Result<Vec<Verdict>, Error> {
        let mut raw = abi::Check::ZERO;
        let room = self.list("check", abi::CHECK, &mut raw, |raw| raw.count)?;
        Ok(room.iter().map(Verdict::from).collect())
    }

    /// Puts Mercury beneath the running kernel. A signal before the commit
    /// undoes everything (requirement `uninterrupted`), provided that the
    /// process has no handler with `SA_RESTART` for it.
    ///
    /// # Errors
    /// [`Error::Refused`] when a requirement does not hold; nothing was changed.
    pub fn attach(&self, options: &AttachOptions) -> Result<(), Error> {
        let mut raw = abi::Attach::ZERO;
        if options.dry_run {
            raw.flags |= abi::ATTACH_DRY_RUN;
        }
        raw.rope_seconds = options.rope.map_or(0, whole_seconds);
        call::plain(&self.file, abi::ATTACH, &mut raw)
            .map_err(|source| self.explain("attach", source, Some(&raw.refusal)))
    }

    /// Takes Mercury away again.
    ///
    /// # Errors
    /// [`Error::Refused`] when not attached or a switch is under way.
    pub fn detach(&self) -> Result<(), Error> {
        let mut raw = abi::Request::ZERO;
        call::plain(&self.file, abi::DETACH, &mut raw)
            .map_err(|source| self.explain("detach", source, Some(&raw.refusal)))
    }

    /// Cuts the rope: Mercury stays until it is detached.
    ///
    /// # Errors
    /// [`Error::Refused`] when not attached.
    pub fn keep(&self) -> Result<(), Error> {
        let mut raw = abi::Request::ZERO;
        call::plain(&self.file, abi::KEEP, &mut raw)
            .map_err(|source| self.explain("keep", source, Some(&raw.refusal)))
    }

    /// Asks every CPU what it is.
    ///
    /// # Errors
    /// When the call fails.
    pub fn status(&self) -> Result<Status, Error> {
        let mut raw = abi::Status::ZERO;
        // `cpu_count` says how many were written, `cpus_possible` how many there are.
        let room = self.list("status", abi::STATUS, &mut raw, |raw| {
            raw.cpus_possible.max(raw.cpu_count)
        })?;
        Ok(Status::new(
            &raw,
            &room[..room.len().min(raw.cpu_count as usize)],
        ))
    }

    /// Where the hole is: the frames that the guest cannot reach. Empty when native.
    ///
    /// # Errors
    /// When the call fails.
    pub fn frames(&self) -> Result<Vec<FrameRange>, Error> {
        let mut raw = abi::Frames::ZERO;
        let room = self.list("frames", abi::FRAMES, &mut raw, |raw| raw.count)?;
        Ok(room
            .iter()
            .map(|range| FrameRange {
                start: range.start,
                pages: range.pages,
            })
            .collect())
    }

    /// Reads the log from sequence number `from` (0 or 1: all that is left).
    /// Works in every state. A jump in the sequence means that records were
    /// overwritten before they were read.
    ///
    /// # Errors
    /// When the call fails.
    pub fn log(&self, from: u64) -> Result<Batch<Record>, Error> {
        self.ring(from, |from, room| {
            let mut raw = abi::Log::ZERO;
            raw.from = from;
            call::list(&self.file, abi::LOG, &mut raw, room)
                .map_err(|source| self.explain("log", source, None))?;
            Ok((raw.count, raw.from))
        })
    }

    /// Reads what each step cost, from sequence number `from` on.
    ///
    /// # Errors
    /// When the call fails.
    pub fn samples(&self, from: u64) -> Result<Batch<Sample>, Error> {
        self.ring(from, |from, room| {
            let mut raw = abi::Samples::ZERO;
            raw.from = from;
            call::list(&self.file, abi::SAMPLES, &mut raw, room)
                .map_err(|source| self.explain("samples", source, None))?;
            Ok((raw.count, raw.from))
        })
    }

    /// Looks on one CPU whether it is under a second stage; works in both
    /// states, the native answer being the negative control.
    ///
    /// # Errors
    /// When the call fails, for instance because the CPU is offline.
    pub fn prove(&self, cpu: u32) -> Result<Proof, Error> {
        let mut raw = abi::Proof::ZERO;
        raw.cpu = cpu;
        call::plain(&self.file, abi::PROVE, &mut raw)
            .map_err(|source| self.explain("prove", source, None))?;
        Ok(Proof::from(&raw))
    }

    /// Makes `count` (1 to 100,000) empty hypercalls on one CPU.
    ///
    /// # Errors
    /// When the call fails.
    pub fn null_calls(&self, cpu: u32, count: u32) -> Result<NullCalls, Error> {
        let mut raw = abi::NullCalls::ZERO;
        raw.cpu = cpu;
        raw.count = count;
        call::plain(&self.file, abi::NULL_CALLS, &mut raw)
            .map_err(|source| self.explain("null-calls", source, None))?;
        Ok(NullCalls {
            cpu,
            count,
            answered: raw.answered != 0,
            ticks: raw.ticks,
        })
    }

    /// Has each exit recorded in the log ([`mercury_hal::event::Event::Exit`]), from now
    /// or from the next attach on, until this is taken back or the device is closed.
    ///
    /// # Errors
    /// When the call fails.
    pub fn trace_exits(&self, wanted: bool) -> Result<(), Error> {
        let mut raw = abi::Trace::ZERO;
        raw.exits = wanted.into();
        call::plain(&self.file, abi::TRACE, &mut raw)
            .map_err(|source| self.explain("trace", source, None))
    }

    /// Does something about the store, and says how it stands then. Switching it on or off
    /// takes Mercury away for a moment. The options are of switching it on.
    ///
    /// # Errors
    /// [`Error::Refused`], with the machine as it was.
    pub fn guard(&self, action: GuardAction, options: GuardOptions) -> Result<Guard, Error> {
        let mut raw = abi::Guard::ZERO;
        raw.action = action.code();
        raw.store_bytes = options.store;
        raw.crash_loop_milliseconds =
            u64::try_from(options.crash_loop.as_millis()).unwrap_or(u64::MAX);
        call::plain(&self.file, abi::GUARD, &mut raw)
            .map_err(|source| self.explain("guard", source, Some(&raw.refusal)))?;
        Ok(Guard {
            store: raw.store_bytes,
            needed: raw.needed_bytes,
            room: raw.room_pages,
            kept: raw.kept_pages,
            checkpoints: raw.checkpoints,
            rolled_back: raw.rolled_back,
            changed: raw.changed_pages,
        })
    }

    /// Takes a checkpoint. Returns once more after each roll-back to it.
    ///
    /// # Errors
    /// [`Error::Refused`]; there is no checkpoint then.
    pub fn checkpoint(&self) -> Result<Checkpoint, Error> {
        let mut raw = abi::Checkpoint::ZERO;
        call::plain(&self.file, abi::CHECKPOINT, &mut raw)
            .map_err(|source| self.explain("checkpoint", source, Some(&raw.refusal)))?;
        Ok(Checkpoint {
            rolled_back: raw.rolled_back,
            number: raw.number,
            kept: raw.kept,
        })
    }

    /// Goes back to the checkpoint; comes back only if it cannot.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn rollback(&self) -> Result<(), Error> {
        let mut raw = abi::Request::ZERO;
        call::plain(&self.file, abi::ROLLBACK, &mut raw)
            .map_err(|source| self.explain("rollback", source, Some(&raw.refusal)))
    }

    /// What is known of the last roll-back; nothing if there was none.
    ///
    /// # Errors
    /// When the call fails: without a store there is nobody to ask.
    pub fn postmortem(&self) -> Result<Option<Postmortem>, Error> {
        Postmortem::read(|from, count| {
            let mut words = Vec::new();
            while words.len() < count {
                let mut raw = abi::Retell::ZERO;
                raw.from = from + words.len() as u64;
                let mut room = vec![0; (count - words.len()).min(4096)];
                match call::list(&self.file, abi::RETELL, &mut raw, &mut room) {
                    // Without a store there is no record: the words are zeros, as before
                    // the first roll-back.
                    Err(source) if source.raw_os_error() == Some(libc::ENOTCONN) => {}
                    said => drop(said.map_err(|source| self.explain("postmortem", source, None))?),
                }
                words.extend(room);
            }
            Ok(words)
        })
    }

    /// Makes a call that fills a list, with ever more room until it fits.
    fn list<T: call::List>(
        &self,
        name: &'static str,
        number: abi::Number<T>,
        argument: &mut T,
        count: impl Fn(&T) -> u32,
    ) -> Result<Vec<T::Entry>, Error> {
        let mut room = vec![T::Entry::ZERO; 64];
        loop {
            call::list(&self.file, number, argument, &mut room)
                .map_err(|source| self.explain(name, source, None))?;
            let count = count(argument) as usize;
            // A full list may be a cut one: not every call says how many more
            // there are.
            if count < room.len() || room.len() >= LIST_LIMIT {
                room.truncate(count);
                return Ok(room);
            }
            room = vec![T::Entry::ZERO; (count + 1).next_power_of_two().min(LIST_LIMIT)];
        }
    }

    /// Reads a ring until nothing more is there.
    fn ring<Raw: Zero + Copy, T: for<'raw> From<&'raw Raw>>(
        &self,
        mut from: u64,
        read: impl Fn(u64, &mut [Raw]) -> Result<(u32, u64), Error>,
    ) -> Result<Batch<T>, Error> {
        let mut items = Vec::new();
        let mut room = vec![Raw::ZERO; RING_ROOM];
        for _ in 0..RING_CALLS {
            let (count, next) = read(from, &mut room)?;
            let count = room.len().min(count as usize);
            items.extend(room[..count].iter().map(T::from));
            // A ring that does not advance is read to its end, whatever it claims.
            let advanced = next > from;
            from = next.max(from);
            if count < room.len() || !advanced {
                break;
            }
        }
        Ok(Batch { items, next: from })
    }

    /// Turns an error number into a reason.
    fn explain(
        &self,
        call: &'static str,
        source: io::Error,
        refusal: Option<&abi::Verdict>,
    ) -> Error {
        let errno = source.raw_os_error().unwrap_or(0);
        let refused = |verdict| {
            Error::Refused(Box::new(Refusal {
                verdict,
                errno,
                call,
            }))
        };
        // The refusal counts only if the module wrote it: it was zero before.
        if let Some(raw) = refusal.filter(|raw| raw.requirement != 0) {
            return refused(Verdict::from(raw));
        }
        // Calls without room for a refusal have one reason to be busy.
        if errno == libc::EBUSY {
            let detail = "another switch is under way";
            let mut verdict = Verdict::in_words(Requirement::Idle, Outcome::Fail, detail);
            verdict.errno = errno;
            return refused(verdict);
        }
        match errno {
            // A module whose structures have another length does not even
            // know the number of the call.
            libc::EPROTO | libc::ENOTTY => Error::Protocol {
                module: self.module_version(),
            },
            libc::EPERM | libc::EACCES => Error::Privilege {
                path: Self::PATH.into(),
                source,
            },
            _ => Error::Call { call, source },
        }
    }

    fn module_version(&self) -> Option<u32> {
        let mut raw = abi::Info::ZERO;
        call::plain(&self.file, abi::INFO, &mut raw)
            .ok()
            .map(|()| raw.abi)
    }
}

/// Whole seconds, rounded up, so that a rope is never shorter than asked for.
fn whole_seconds(duration: Duration) -> u32 {
    let up = u64::from(duration.subsec_nanos() > 0);
    u32::try_from(duration.as_secs().saturating_add(up)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
