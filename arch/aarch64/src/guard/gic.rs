// SPDX-License-Identifier: MIT OR Apache-2.0
//! The interrupt controller: it wakes CPUs that sleep, and after a roll-back must be in
//! step with a kernel that knows nothing of what was handled since.
//!
//! *Waking.* The map is shut before (`core::stage2`), so a CPU that runs comes out by
//! itself. One that sleeps (WFI) is woken by an interrupt, masked or not: two kinds of
//! interrupts between CPUs go to all others that Linux takes and finds nothing to do for
//! ([`KNOCKS`]), for one of a kind that is being handled does not wake. Linux drops the
//! priority of an interrupt as soon as it has it wherever it was booted at EL2 (EOImode
//! 1), so one that is being handled keeps no other back.
//!
//! *In step.* At the quiet point Linux has saved what it restores itself: the CPU
//! interface, and of the ITS everything but that it is off. It does not restore the
//! distributor and the first CPU's redistributor. Of those the checkpoint keeps which
//! interrupts are enabled and where they go; behind a roll-back nothing is active or
//! pending.
#![expect(unsafe_code, reason = "registers of a device")]

use mercury_hal::addr::HostPhysical;
use mercury_hal::addr::PAGE_SIZE;
use mercury_hal::pages::Pages;

use super::platform::Controller;
use super::platform::Platform;
use super::psci::AFFINITIES;
use super::sight::Sight;
use crate::instruction;

/// Linux's first two interrupts between CPUs: "look whether you have to schedule" and
/// "look whether there are functions to call" (`enum ipi_msg_type`, since 5.10 and before).
const KNOCKS: [u64; 2] = [0, 1];

/// GICD and GICR's second frame: registers of 32 interrupts each.
const CONTROL: u64 = 0x0;
const TYPE: u64 = 0x4;
const ENABLE: u64 = 0x100;
const DISABLE: u64 = 0x180;
const NOT_PENDING: u64 = 0x280;
const NOT_ACTIVE: u64 = 0x380;
/// GICD_ITARGETSR of GICv2, four interrupts each.
const TARGETS: u64 = 0x800;
/// GICD_SGIR of GICv2, and in it "all but this CPU".
const SEND: u64 = 0xf00;
const ALL_BUT_THIS: u32 = 1 << 24;
/// GICD_CPENDSGIR of GICv2.
const NOT_SENT: u64 = 0xf10;
/// GICC_APR.
const ACTIVE_PRIORITIES: u64 = 0xd0;
/// GICD_IROUTER, of 64 bits.
const ROUTES: u64 = 0x6000;
/// GICD_CTLR and GICR_CTLR: interrupts are being disabled.
const WRITE_PENDING: u32 = 1 << 31;
const PRIVATE_WRITE_PENDING: u32 = 1 << 3;

/// GICR: who it belongs to, whether it is twice as large, whether it is the last.
const OWNER: u64 = 0xc;
const OWNER_TYPE: u64 = 0x8;
const LARGE: u32 = 1 << 1;
const LAST: u32 = 1 << 4;
/// From a redistributor to its frame of private interrupts, and to the next one.
const PRIVATE: u64 = 0x1_0000;
const NEXT: u64 = 0x2_0000;

/// GITS_CTLR: on, and at rest.
const SERVICE_ON: u32 = 1;
const SERVICE_QUIET: u32 = 1 << 31;

/// How often a register is looked at until it says that it is done.
const PATIENCE: u32 = 1_000_000;

/// Where in the frame of a checkpoint the words for 32 interrupts each begin, and the
/// routes.
const KEPT_ENABLED: usize = 0;
const KEPT_ROUTES: usize = 32;
const KEPT: usize = mercury_hal::pages::WORDS;

/// The controller of a machine, through the slots for all memory.
#[derive(Debug)]
pub struct Gic<'a> {
    sight: &'a mut Sight,
    controller: Controller,
}

impl<'a> Gic<'a> {
    /// This machine's.
    pub fn new(sight: &'a mut Sight, platform: &Platform) -> Self {
        Self {
            sight,
            controller: platform.controller,
        }
    }

    fn read(&mut self, base: u64, register: u64) -> u32 {
        // SAFETY: the controller is where the device tree says, and reading the registers
        // that are read here changes nothing.
        unsafe { self.sight.read_register(HostPhysical(base), register) }
    }

    fn write(&mut self, base: u64, register: u64, value: u32) {
        // SAFETY: as above; the callers write what a roll-back has to.
        unsafe {
            self.sight
                .write_register(HostPhysical(base), register, value);
        }
    }

    fn keep(&mut self, kept: HostPhysical, index: usize, value: u32) {
        Pages::write(self.sight, kept, index, u64::from(value));
    }

    fn kept(&mut self, kept: HostPhysical, index: usize) -> u32 {
        Pages::read(self.sight, kept, index) as u32
    }

    fn wait(&mut self, base: u64, register: u64, mask: u32, value: u32) -> bool {
        for _ in 0..PATIENCE {
            if self.read(base, register) & mask == value {
                return true;
            }
        }
        false
    }

    /// Wakes all other CPUs.
    pub fn knock(&mut self) {
        instruction::sev();
        for interrupt in KNOCKS {
            match self.controller {
                Controller::V2 { distributor, .. } => {
                    self.write(distributor, SEND, ALL_BUT_THIS | interrupt as u32);
                }
                Controller::V3 { .. } => instruction::send_to_all_others(interrupt),
            }
        }
    }

    const fn distributor(&self) -> u64 {
        match self.controller {
            Controller::V2 { distributor, .. } | Controller::V3 { distributor, .. } => distributor,
        }
    }

    /// Where the registers of this CPU's private interrupts are: GICv2 shows each CPU its
    /// own in the distributor.
    fn private(&mut self, affinity: u64) -> Option<u64> {
        let Controller::V3 {
            redistributors,
            redistributor_bytes,
            ..
        } = self.controller
        else {
            return Some(self.distributor());
        };
        let affinity = affinity & AFFINITIES;
        let owner = (affinity >> 8 & 0xff00_0000 | affinity & 0xff_ffff) as u32;
        let mut at = 0;
        while at < redistributor_bytes {
            let base = redistributors + at;
            let kind = self.read(base, OWNER_TYPE);
            if self.read(base, OWNER) == owner {
                return Some(base + PRIVATE);
            }
            if kind & LAST != 0 {
                break;
            }
            at += if kind & LARGE != 0 { 2 * NEXT } else { NEXT };
        }
        None
    }

    /// How many registers of 32 interrupts each there are.
    fn groups(&mut self) -> u64 {
        let distributor = self.distributor();
        u64::from(self.read(distributor, TYPE) & 0x1f) + 1
    }

    /// The registers that say where shared interrupts go, 32 bits of each: how many there
    /// are, and where the number so-and-so is.
    fn routes(&mut self) -> (usize, impl Fn(usize) -> u64 + use<>) {
        let groups = self.groups();
        let by_target = matches!(self.controller, Controller::V2 { .. });
        let shared = (groups as usize - 1) * 32;
        let count = if by_target { shared / 4 } else { shared };
        (count.min(KEPT - KEPT_ROUTES), move |number| {
            if by_target {
                TARGETS + 32 + number as u64 * 4
            } else {
                ROUTES + 32 * 8 + number as u64 * 8
            }
        })
    }

    /// Whether a roll-back can put this CPU's interrupts in step.
    pub fn is_known(&mut self, affinity: u64) -> bool {
        self.private(affinity).is_some()
    }

    /// Writes down which interrupts are enabled, and where they go. Upper halves of routes
    /// (GICv3: Aff3 and nothing else of use) are left as they are.
    pub fn write_down(&mut self, affinity: u64, kept: HostPhysical) {
        let distributor = self.distributor();
        for group in 0..self.groups() {
            let base = match group {
                0 => self.private(affinity).unwrap_or(distributor),
                _ => distributor,
            };
            let enabled = self.read(base, ENABLE + group * 4);
            self.keep(kept, KEPT_ENABLED + group as usize, enabled);
        }
        let (count, at) = self.routes();
        for number in 0..count {
            let route = self.read(distributor, at(number));
            self.keep(kept, KEPT_ROUTES + number, route);
        }
    }

    /// What reads and writes memory by itself stops: translation services. Linux turns
    /// them on again.
    pub fn take_off_memory(&mut self) {
        if let Controller::V3 { services, .. } = self.controller {
            for service in services.into_iter().filter(|service| *service != 0) {
                let control = self.read(service, CONTROL);
                self.write(service, CONTROL, control & !SERVICE_ON);
                self.wait(service, CONTROL, SERVICE_QUIET, SERVICE_QUIET);
            }
        }
    }

    /// Nothing of this CPU's own is being handled or waits any more, on this CPU. It would
    /// wait while the CPU is off, and the crashed kernel's request to stop would be taken as
    /// soon as it is on again.
    pub fn forget_private(&mut self, affinity: u64) {
        let distributor = self.distributor();
        let base = self.private(affinity).unwrap_or(distributor);
        self.write(base, NOT_ACTIVE, u32::MAX);
        self.write(base, NOT_PENDING, u32::MAX);
        if let Controller::V2 { interface, .. } = self.controller {
            for register in 0..4 {
                self.write(distributor, NOT_SENT + register * 4, u32::MAX);
                self.write(interface, ACTIVE_PRIORITIES + register * 4, 0);
            }
        }
    }

    /// Nothing is being handled or waits any more, and what was enabled and whereto is as
    /// it was written down.
    pub fn put_back(&mut self, affinity: u64, kept: HostPhysical) {
        let distributor = self.distributor();
        for group in 0..self.groups() {
            let base = match group {
                0 => self.private(affinity).unwrap_or(distributor),
                _ => distributor,
            };
            self.write(base, DISABLE + group * 4, u32::MAX);
            self.write(base, NOT_ACTIVE + group * 4, u32::MAX);
            self.write(base, NOT_PENDING + group * 4, u32::MAX);
        }
        self.forget_private(affinity);
        if let Controller::V3 { .. } = self.controller {
            self.wait(distributor, CONTROL, WRITE_PENDING, 0);
            if let Some(base) = self.private(affinity) {
                self.wait(base - PRIVATE, CONTROL, PRIVATE_WRITE_PENDING, 0);
            }
        }
        let (count, at) = self.routes();
        for number in 0..count {
            let route = self.kept(kept, KEPT_ROUTES + number);
            if self.read(distributor, at(number)) != route {
                self.write(distributor, at(number), route);
            }
        }
        for group in 0..self.groups() {
            let base = match group {
                0 => self.private(affinity).unwrap_or(distributor),
                _ => distributor,
            };
            let enabled = self.kept(kept, KEPT_ENABLED + group as usize);
            self.write(base, ENABLE + group * 4, enabled);
        }
    }
}

const _: () = assert!(NEXT.is_multiple_of(PAGE_SIZE));
