// SPDX-License-Identifier: MIT OR Apache-2.0
//! One CPU: its registers, and the way in and out.
//!
//! The registers are a bag of numbers, twice: those that the CPU has now, and
//! those that the program on it believes in (its *mind*). A guest's registers
//! lie in the control block while Mercury is at work. The way in and out is
//! the shape of `image/x86_64/src/call.rs`: capture, ask the core, change the
//! host's registers, enter; and each of these may fail and must be undone.

use std::sync::Arc;

use mercury_core::hypervisor::Cpu;
use mercury_hal::addr::HostPhysical;
use mercury_hal::error::Error;
use mercury_hal::paging::Shape;

use crate::SimHypervisor;
use crate::memory::Memory;
use crate::mmu::Tlb;

/// How many registers a CPU has.
pub const REGISTERS: usize = 24;
/// Those that the host needs for itself: roots, descriptor tables, save area.
const HOST_REGISTERS: core::ops::Range<usize> = 16..REGISTERS;
/// The bit of the last register that says that the extension is in use.
const EXTENSION: u64 = 1 << 12;

/// All registers of a CPU.
pub type Registers = [u64; REGISTERS];

/// A failure of the way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryFailure {
    /// The CPU does not come to the door.
    Late,
    /// Somebody took the extension since the probe.
    Taken,
    /// The image refuses before it has asked the core.
    Refused,
    /// The hardware refuses the guest state.
    Hardware,
}

impl EntryFailure {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Late, Self::Taken, Self::Refused, Self::Hardware];
}

/// A defect of the simulated architecture, to show that tests notice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flaw {
    /// None.
    #[default]
    None,
    /// What the core says about flushing is not heard.
    NeverFlushes,
    /// Detach leaves this register as the host had it.
    Forgets(usize),
    /// An entry that the hardware refused is not told to the core.
    HidesRefusal,
}

/// What the CPUs of a machine have in common once it is prepared.
#[derive(Clone, Debug)]
pub struct Shared {
    /// The core.
    pub hypervisor: Arc<SimHypervisor>,
    /// The frames of this preparation.
    pub memory: Arc<Memory>,
    /// The shape of its map.
    pub shape: Shape,
}

/// What there is of a CPU while it is a guest.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) shared: Shared,
    pub(crate) root: HostPhysical,
    pub(crate) registers: Registers,
}

/// One CPU.
#[derive(Debug)]
pub struct SimCpu {
    pub(crate) registers: Registers,
    pub(crate) mind: Registers,
    pub(crate) guest: Option<Guest>,
    pub(crate) logic: Cpu,
    pub(crate) tlb: Tlb,
    pub(crate) flaw: Flaw,
}

impl SimCpu {
    /// CPU `index` after reset, native, its registers full of something.
    #[must_use]
    pub fn new(index: u32, flaw: Flaw) -> Self {
        let mut registers = [0; REGISTERS];
        for (number, register) in (1u64..).zip(&mut registers) {
            *register = ((u64::from(index) + 1) * 0x1_0001 * number) & !EXTENSION;
        }
        Self {
            registers,
            mind: registers,
            guest: None,
            logic: Cpu::new(index),
            tlb: Tlb::default(),
            flaw,
        }
    }

    /// Whether the CPU is a guest.
    #[must_use]
    pub const fn is_guest(&self) -> bool {
        self.guest.is_some()
    }

    /// A program's store to a register of its own.
    pub(crate) fn set(&mut self, number: usize, value: u64) {
        self.mind[number] = value;
        match &mut self.guest {
            Some(guest) => guest.registers[number] = value,
            None => self.registers[number] = value,
        }
    }

    /// Registers that are not what the program on this CPU believes.
    #[must_use]
    pub fn strangers(&self) -> Vec<usize> {
        let now = match &self.guest {
            Some(guest) => &guest.registers,
            None => &self.registers,
        };
        (0..REGISTERS)
            .filter(|number| now[*number] != self.mind[*number])
            .collect()
    }

    /// Makes this CPU a guest.
    pub(crate) fn enter(
        &mut self,
        shared: &Shared,
        failure: Option<EntryFailure>,
    ) -> Result<(), Error> {
        assert!(self.guest.is_none(), "a guest cannot enter again");
        let native = self.registers;
        // The trampoline takes the extension, and with it the host's tables.
        for number in HOST_REGISTERS {
            self.registers[number] = 0xdead_0000 | EXTENSION;
        }
        let entered = self.try_enter(shared, native, failure);
        if entered.is_err() {
            self.registers = native;
        }
        entered
    }

    fn try_enter(
        &mut self,
        shared: &Shared,
        native: Registers,
        failure: Option<EntryFailure>,
    ) -> Result<(), Error> {
        match failure {
            Some(EntryFailure::Taken) => return Err(Error::ExtensionTaken),
            Some(EntryFailure::Refused) => return Err(Error::Injected),
            _ => {}
        }
        let root = shared.hypervisor.entering(&mut self.logic)?;
        let guest = Guest {
            shared: shared.clone(),
            root,
            registers: native,
        };
        for number in 0..HOST_REGISTERS.start {
            self.registers[number] = 0xbeef_0000 + number as u64;
        }
        if failure == Some(EntryFailure::Hardware) {
            if self.flaw != Flaw::HidesRefusal {
                let refused = Error::EntryRefused;
                shared.hypervisor.entry_failed(&self.logic, refused, !0);
            }
            return Err(Error::EntryRefused);
        }
        self.guest = Some(guest);
        self.tlb.flush();
        Ok(())
    }

    /// The core let this CPU go: it is native again.
    pub(crate) fn leave(&mut self) {
        let guest = self.guest.take().expect("only a guest can leave");
        for number in 0..REGISTERS {
            if self.flaw != Flaw::Forgets(number) {
                self.registers[number] = guest.registers[number];
            }
        }
        self.tlb.flush();
    }
}
