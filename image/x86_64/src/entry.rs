// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first instructions and the last resort.
//!
//! The trampoline jumps here with the address of this CPU's area in RDI, on the
//! image's page tables. Under SVM the kernel's GDT and IDT are still loaded
//! (nothing can use them: interrupts are off and the global interrupt flag is
//! clear) and the stack pointer means nothing here; under VMX all three are the
//! landing pad's, and an NMI may come between any two instructions.
#![expect(unsafe_code, reason = "the entry is assembly")]

use core::arch::global_asm;

use mercury_hal::door::CPU_STACK_TOP;
use mercury_hal::event::Event;
use mercury_x86::exception;
use mercury_x86::exception::Frame;
use mercury_x86::exception::VECTORS;
use mercury_x86::instruction;
use mercury_x86::nmi;
use mercury_x86::registers;
use mercury_x86::tables;

use crate::death;
use crate::machine::GATES;

pub(crate) static DESCRIPTORS: [u64; 4] = tables::DESCRIPTORS;

global_asm!(
    ".global mercury_entry",
    "mercury_entry:",
    "   lea rsp, [rdi + {stack}]",
    "   lgdt [rip + mercury_gdtr]",
    "   lidt [rip + mercury_idtr]",
    "   mov eax, {data}",
    "   mov ss, eax",
    "   xor eax, eax",
    "   mov ds, eax",
    "   mov es, eax",
    "   push {code}",
    "   lea rax, [rip + 2f]",
    "   push rax",
    "   retfq",
    "2:",
    "   cld",
    "   call {call}",
    "   ud2",
    ".pushsection .rodata",
    ".balign 8",
    "mercury_gdtr:",
    "   .word 31",
    "   .quad {descriptors}",
    "mercury_idtr:",
    "   .word {gate_limit}",
    "   .quad {gates}",
    ".popsection",
    stack = const CPU_STACK_TOP,
    descriptors = sym DESCRIPTORS,
    gates = sym GATES,
    gate_limit = const VECTORS * 16 - 1,
    data = const tables::DATA,
    code = const tables::CODE,
    call = sym crate::call::mercury_call,
);

/// An exception of the image: expected by the table, or the end.
#[unsafe(no_mangle)]
extern "C" fn mercury_exception(frame: &mut Frame) {
    if nmi::arrived(frame) {
        return;
    }
    if let Some(continuation) = exception::continuation(frame.rip) {
        frame.rip = continuation;
        // Interrupts were on only for the moment that is over.
        frame.rest[1] &= !registers::RFLAGS_IF;
        return;
    }
    let address = instruction::read_cr2();
    #[cfg(feature = "serial-panic")]
    serial::report(&[frame.vector, frame.error, frame.rip, address, frame.rest[2]]);
    death::die(
        Event::HostException,
        [frame.vector, frame.error, frame.rip, address, 0],
    )
}

/// No code of the image panics; what the compiler puts in for the impossible
/// ends as an exception does.
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    #[cfg(feature = "serial-panic")]
    serial::report(&[0xdead]);
    let place = info.location().map_or([0; 5], |location| {
        let (line, column) = (u64::from(location.line()), u64::from(location.column()));
        [line, column, location.file().as_ptr() as u64, 0, 0]
    });
    death::die(Event::HostPanic, place)
}

/// For whoever debugs a dead machine: numbers, straight to the first serial
/// port.
#[cfg(feature = "serial-panic")]
mod serial {
    use core::arch::asm;

    fn put(byte: u8) {
        for _ in 0..1000 {
            // SAFETY: a port write; the guest's console may lose a character.
            unsafe { asm!("out 0x80, al", in("al") 0u8, options(nostack)) };
        }
        // SAFETY: as above.
        unsafe { asm!("out dx, al", in("dx") 0x3f8u16, in("al") byte, options(nostack)) };
    }

    pub(super) fn report(words: &[u64]) {
        for byte in b"\r\nMERCURY " {
            put(*byte);
        }
        for word in words {
            for shift in (0..16).rev() {
                put(b"0123456789abcdef"[(word >> (4 * shift) & 15) as usize]);
            }
            put(b' ');
        }
    }
}
