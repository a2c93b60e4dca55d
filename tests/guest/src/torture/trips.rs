// SPDX-License-Identifier: MIT OR Apache-2.0
//! Round trips in the middle of it all, and what they may be answered.
//!
//! Each is made from another CPU, opens the device anew (so that the module can
//! be unloaded between two), asks every CPU what it is while attached, and reads
//! the module's samples before it lets go of the device.
//!
//! A refusal is a failure unless somebody in this round is there to cause it:
//! another `mercury` (who may also have attached or detached first), sleep, or
//! somebody who takes all memory. An online CPU that answers natively while the
//! machine is attached is an escape, whoever is there.

use super::disturbance::Excuse;
use super::switches::{Span, switches};
use crate::expect::{self, Counts};
use crate::machine;
use anyhow::{Context, Result, ensure};
use mercury_device::{
    AttachOptions, CpuState, Device, Error, ProofVerdict, Requirement, State, Status,
};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long the machine may be taken by somebody else, after all have ended.
const PATIENCE: Duration = Duration::from_secs(60);

/// What became of the round trips of a round.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Attached and detached, both by this hand.
    pub(super) trips: u64,
    /// Tried.
    pub(super) tries: u64,
    /// Refused, and somebody was there to cause it.
    pub(super) excused: Counts,
    /// CPUs asked while attached.
    pub(super) asked: u64,
    /// Proofs made of them.
    pub(super) proofs: u64,
    /// CPUs that were native where they had to be guests.
    pub(super) escapes: Vec<String>,
    pub(super) switches: Vec<Span>,
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        self.trips += other.trips;
        self.tries += other.tries;
        self.excused.merge(&other.excused);
        self.asked += other.asked;
        self.proofs += other.proofs;
        self.escapes.extend(other.escapes);
        // Held against what happened in their own round, and not kept.
    }
}

/// Who makes them.
#[derive(Debug)]
pub(super) struct Traveller {
    excuses: Vec<Excuse>,
    next_sample: u64,
    pub(super) tally: Tally,
}

fn excuse(excuses: &[Excuse], requirement: Requirement) -> Option<&'static str> {
    let by = |excuse| excuses.contains(&excuse);
    let meddled = by(Excuse::Meddles) || by(Excuse::Sleeps);
    match requirement {
        Requirement::Idle if meddled => Some("busy"),
        Requirement::Native | Requirement::Attached if meddled => Some("too late"),
        // The freezer wakes a process as a signal does.
        Requirement::Uninterrupted if by(Excuse::Sleeps) => Some("undone for sleep"),
        Requirement::Memory if by(Excuse::TakesMemory) => Some("short of memory"),
        Requirement::ImageFound if by(Excuse::TakesMemory) => Some("no memory for the image"),
        _ => None,
    }
}

impl Traveller {
    pub(super) fn new(excuses: Vec<Excuse>) -> Result<Self> {
        Ok(Self {
            excuses,
            next_sample: Device::open()?.samples(0)?.next,
            tally: Tally::default(),
        })
    }

    /// So far. Where somebody meddles, a try counts: he may be faster each time.
    pub(super) fn made(&self) -> u64 {
        let meddled = |excuse: &Excuse| matches!(excuse, Excuse::Meddles | Excuse::Sleeps);
        if self.excuses.iter().any(meddled) {
            self.tally.tries
        } else {
            self.tally.trips
        }
    }

    /// True if it was done, false if it was refused with an excuse.
    fn excused(&mut self, outcome: Result<(), Error>) -> Result<bool> {
        let error = match outcome {
            Ok(()) => return Ok(true),
            Err(error) => error,
        };
        let why = match (&error, error.requirement()) {
            (_, Some(requirement)) => excuse(&self.excuses, requirement),
            (Error::NotLoaded { .. } | Error::NoNode { .. } | Error::Open { .. }, _)
                if self.excuses.contains(&Excuse::Meddles) =>
            {
                Some("not loaded")
            }
            _ => None,
        };
        let Some(why) = why else {
            return Err(error.into());
        };
        self.tally.excused.add(why);
        Ok(false)
    }

    fn look(&mut self, status: &Status) {
        if !matches!(status.state, State::Attached | State::Mixed) {
            return;
        }
        for cpu in status.online() {
            self.tally.asked += 1;
            if cpu.state != CpuState::Attached {
                self.tally.escapes.push(format!(
                    "CPU {} is {} (event {}) while the machine is {}",
                    cpu.cpu, cpu.state, cpu.why, status.state
                ));
            }
        }
    }

    /// Alone with the machine, the CPU is asked for what only a guest can show.
    fn prove(&mut self, device: &Device, cpu: u32) -> Result<()> {
        if !self.excuses.is_empty() {
            return Ok(());
        }
        // It may have gone offline meanwhile.
        let Ok(proof) = device.prove(cpu) else {
            return Ok(());
        };
        self.tally.proofs += 1;
        if proof.verdict() != ProofVerdict::Guest {
            self.tally
                .escapes
                .push(format!("CPU {cpu} proves to be no guest: {proof:x?}"));
        }
        Ok(())
    }

    fn read_samples(&mut self, device: &Device) -> Result<()> {
        let mut batch = device.samples(self.next_sample)?;
        if batch.next < self.next_sample {
            // A module that was loaded meanwhile counts from 1 again.
            batch = device.samples(0)?;
        }
        self.next_sample = batch.next;
        self.tally.switches.extend(switches(&batch.items));
        Ok(())
    }

    /// One round trip from this CPU, if it is online.
    pub(super) fn one(&mut self, cpu: u32) -> Result<()> {
        // Offline just now: then from wherever we are.
        let _ = machine::pin(cpu);
        self.tally.tries += 1;
        let device = match Device::open() {
            Ok(device) => device,
            Err(error) => {
                self.excused(Err(error))?;
                sleep(Duration::from_millis(1));
                return Ok(());
            }
        };
        let attached = self.excused(device.attach(&AttachOptions::default()))?;
        if attached {
            let status = device.status()?;
            self.look(&status);
            self.prove(&device, cpu)?;
        }
        let detached = self.excused(device.detach())?;
        self.tally.trips += u64::from(attached && detached);
        if !(attached && detached) {
            // Whoever was in the way shall get his turn.
            sleep(Duration::from_millis(1));
        }
        self.read_samples(&device)
    }

    /// The rest of the samples, when all who meddle have ended.
    pub(super) fn finish(mut self) -> Result<Tally> {
        machine::unpin()?;
        let device = Device::open()?;
        settle(&device)?;
        self.read_samples(&device)?;
        Ok(self.tally)
    }
}

/// Native, whoever was the last.
fn settle(device: &Device) -> Result<()> {
    let start = Instant::now();
    loop {
        match device.detach() {
            Ok(()) => break,
            Err(error) if error.requirement() == Some(Requirement::Attached) => break,
            Err(error) if error.requirement() == Some(Requirement::Idle) => {
                ensure!(
                    start.elapsed() < PATIENCE,
                    "a switch is under way and nobody is there who makes one"
                );
                sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error).context("detaching after a round"),
        }
    }
    expect::native(device).context("after a round")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_needs_somebody_who_causes_it() {
        assert_eq!(excuse(&[], Requirement::Idle), None);
        assert_eq!(excuse(&[Excuse::TakesMemory], Requirement::Idle), None);
        assert!(excuse(&[Excuse::Meddles], Requirement::Idle).is_some());
        assert_eq!(excuse(&[Excuse::Meddles], Requirement::Entry), None);
        assert_eq!(excuse(&[Excuse::Meddles], Requirement::Memory), None);
    }
}
