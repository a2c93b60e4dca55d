// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the exit handlers of both backends have alike.
//!
//! A backend reads its control block and says what an exit was; what is the same
//! whoever says it stands here: counting and recording, the last look before the
//! guest is changed, faults, and the answer to a fault of the nested map.
#![expect(unsafe_code, reason = "looks at guest memory")]

use mercury_hal::addr::GuestPhysical;
use mercury_hal::event::Event;
use mercury_hal::exit::FaultAnswer;
use mercury_hal::exit::Policy;
use mercury_hal::exit::Reason;
use mercury_hal::exit::Touch;
use mercury_hal::life::Life;

use crate::area::Area;
use crate::area::Next;
use crate::guest_memory;
use crate::guest_memory::Paging;
use crate::guest_memory::PeekSlot;
use crate::hole;
use crate::store;
use crate::store::Store;

/// A fault that the guest gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// #UD.
    Undefined,
    /// #GP(0).
    Protection,
}

/// Handles one exit of one CPU: what only the backend knows, and what follows from it.
pub trait Handler<P: Policy> {
    /// The CPU's area, and who decides.
    fn parts(&mut self) -> (&mut Area<P::Cpu>, &P);
    /// RIP: the instruction that exited.
    fn place(&self) -> u64;
    /// RFLAGS.
    fn flags(&self) -> u64;
    /// The registers that its paging follows.
    fn paging(&self) -> Paging;
    /// Whether it runs 64-bit code.
    fn is_long(&self) -> bool;
    /// The instruction is done: on to the next one, `length` bytes further. The
    /// exit has been settled.
    fn skip(&mut self, length: u8);
    /// The next entry delivers this. The exit has been settled.
    fn inject(&mut self, fault: Fault);

    /// Bytes of the instruction that touched the hole, where the CPU does not hand
    /// them over; says how many there are.
    fn touching(&mut self, to: &mut [u8; store::LONGEST]) -> usize {
        self.fetch(to)
    }

    /// Bytes at the guest's instruction pointer; says how many there are.
    fn fetch(&mut self, to: &mut [u8; store::LONGEST]) -> usize {
        let (paging, place) = (self.paging(), self.place());
        let (area, policy) = self.parts();
        let may_look = |page| policy.may_look(page);
        // SAFETY: the entry was computed at the preparation from the module's
        // word for it; only this CPU uses it, and only while it is here.
        let mut slot = unsafe { PeekSlot::new(area.index, area.peek_entry, may_look) };
        guest_memory::fetch(&mut slot, paging, place, to)
    }

    /// Counts this exit.
    fn count(&mut self, reason: Reason) {
        let (area, policy) = self.parts();
        policy.count(&mut area.logic, reason);
    }

    /// Records what it was.
    fn record(&mut self, event: Event, arguments: [u64; 5]) {
        let (area, policy) = self.parts();
        policy.record(&area.logic, event, arguments);
    }

    /// The last look before the guest is changed: if the image has died, what was
    /// found out is worth nothing, and the guest stays as it is.
    fn settle(&mut self) -> bool {
        let (area, policy) = self.parts();
        let alive = !policy.is_dead();
        if alive {
            area.life.set(Life::Settling);
        }
        alive
    }

    /// The guest gets a fault, for all that it sees of this exit.
    fn raise(&mut self, fault: Fault) -> Next {
        if !self.settle() {
            return Next::Dead;
        }
        self.inject(fault);
        Next::Guest
    }

    /// An access to a register that faults on this CPU.
    fn register_fault(&mut self, number: u32) -> Next {
        self.record(Event::RegisterFault, [u64::from(number), 0, 0, 0, 0]);
        self.raise(Fault::Protection)
    }

    /// An instruction of the extension that we hold; `code` is the exit's.
    fn virtualization(&mut self, code: u64) -> Next {
        self.count(Reason::Virtualization);
        let place = self.place();
        self.record(Event::VirtualizationRefused, [code, place, 0, 0, 0]);
        self.raise(Fault::Undefined)
    }

    /// A fault of the nested map.
    fn nested_fault(&mut self, address: GuestPhysical, touch: Touch) -> Next {
        let (area, policy) = self.parts();
        match policy.stage2_fault(&mut area.logic, address, touch) {
            FaultAnswer::Again => Next::Guest,
            FaultAnswer::Hole => self.hole(address, touch),
            FaultAnswer::Refuse => {
                self.count(Reason::Other);
                self.raise(Fault::Protection)
            }
            FaultAnswer::Dead => Next::Dead,
        }
    }

    /// The guest touched the hole in a way that the zero page does not allow.
    fn hole(&mut self, address: GuestPhysical, touch: Touch) -> Next {
        let place = self.place();
        let found = if touch == Touch::Write {
            self.decode_store()
        } else {
            None
        };
        let Some(found) = found else {
            self.count(Reason::HoleRefused);
            self.record(Event::HoleRefused, [address.0, touch as u64, place, 0, 0]);
            return self.raise(Fault::Protection);
        };
        self.count(Reason::HoleStore);
        let size = u64::from(found.size);
        self.record(Event::HoleStore, [address.0, size, place, 0, 0]);
        let flags = self.flags();
        if !self.settle() {
            return Next::Dead;
        }
        let (area, _) = self.parts();
        let mutant = area.mutant;
        let done = hole::drop_store(&mut area.registers, flags, found, address.0, mutant);
        if let Some(length) = done {
            self.skip(length);
        }
        Next::Guest
    }

    /// The store that faulted, if it is one (64-bit code only: nothing else can
    /// reach the hole by accident).
    fn decode_store(&mut self) -> Option<Store> {
        if !self.is_long() {
            return None;
        }
        let mut bytes = [0; store::LONGEST];
        let count = self.touching(&mut bytes);
        store::decode(bytes.get(..count)?)
    }
}
