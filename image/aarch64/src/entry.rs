// SPDX-License-Identifier: MIT OR Apache-2.0
//! The way in, the vectors, and the way out.
//!
//! The stub that Linux leaves at EL2 jumps to `mercury_way_in` with the MMU and
//! the caches off (HVC_SOFT_RESTART), and hands on three registers. While the
//! MMU is off, memory is read past the caches and nothing that the kernel has
//! just written need be there. So nothing is read: constants come with the
//! instructions, the tables' address and this CPU's area come in registers, and
//! what EL2's registers held stays in registers until the MMU is on. Only the
//! instructions themselves are fetched, from one page, which the module has
//! cleaned to the point of coherency. The same page holds the last instructions
//! of the way out, and it is mapped where it lies, so that the MMU can be turned
//! on and off in it.
//!
//! | | X0 | X1 | X2 | X3 |
//! | --- | --- | --- | --- | --- |
//! | way in | the CPU's area, virtual | root of the tables, physical | | |
//! | way out | as the kernel finds it | same | same | 0, or where to go at EL2 |
//!
//! What is set, and why (Arm ARM D24.2): MAIR_EL2 has write-back memory and
//! nothing else; TCR_EL2 48 bits in 4-KiB pages, walks cached and shared,
//! addresses as large as the CPU's, at most 48 bits; SCTLR_EL2 the bits that
//! must be 1, MMU, caches, stack alignment. TLBs of EL2 are emptied on both
//! ways: KVM may have used them, and may again. On the way in that is done and
//! the tables are in force (ISB) before the MMU is on; on the way out the tables
//! stay until the MMU is off (ISB) and no walk is under way (DSB). The host tests
//! read these lines and carry them out on `arch/sim`, with each barrier left out
//! once (`tests/host/tests/caches`).
//!
//! ELR_EL2 and SPSR_EL2 are those of the HVC all along: nothing here takes an
//! exception, so ERET goes back behind it.
#![expect(unsafe_code, reason = "the entry is assembly")]

use core::arch::global_asm;
use core::mem::offset_of;

use mercury_aarch64::area::Area;
use mercury_aarch64::area::FOUND_OFFSET;
use mercury_aarch64::frame::FRAME_BYTES;
use mercury_aarch64::mutant::Mutant;
use mercury_aarch64::syndrome;
use mercury_core::hypervisor::Cpu;
use mercury_hal::door::CPU_EXCEPTION_STACK_TOP;
use mercury_hal::door::CPU_STACK_TOP;
use mercury_hal::quick;
use mercury_hal::quick::Quick;
use mercury_hal::repetition;

/// MAIR_EL2: index 0 is Normal, write-back, both allocations.
const MEMORY: u64 = 0xff;
/// TCR_EL2 without PS: T0SZ 16, IRGN0 and ORGN0 write-back, SH0 inner; bits 23
/// and 31 are RES1.
const TRANSLATION: u64 = 0x8080_3510;
/// SCTLR_EL2: RES1 bits, M, C, SA, I.
const CONTROL: u64 = 0x30c5_183d;

global_asm!(
    ".pushsection .text.first, \"ax\"",
    ".global mercury_way_in",
    "mercury_way_in:",
    "   mrs  x9, sctlr_el2",
    "   mrs  x10, tcr_el2",
    "   mrs  x11, ttbr0_el2",
    "   mrs  x12, mair_el2",
    "   mov  x13, sp",
    "   adr  x14, mercury_way_out",
    "   mov  x2, {memory}",
    "   msr  mair_el2, x2",
    "   movz x2, {translation} & 0xffff",
    "   movk x2, {translation} >> 16, lsl 16",
    "   mrs  x3, id_aa64mmfr0_el1",
    "   and  x3, x3, 0xf",
    "   mov  x4, 5",
    "   cmp  x3, x4",
    "   csel x3, x3, x4, lo",
    "   bfi  x2, x3, 16, 3",
    "   msr  tcr_el2, x2",
    "   msr  ttbr0_el2, x1",
    "   tlbi alle2",
    "   dsb  nsh",
    "   isb",
    "   movz x2, {control} & 0xffff",
    "   movk x2, {control} >> 16, lsl 16",
    "   msr  sctlr_el2, x2",
    "   isb",
    "   movz x2, #:abs_g3:mercury_entry",
    "   movk x2, #:abs_g2_nc:mercury_entry",
    "   movk x2, #:abs_g1_nc:mercury_entry",
    "   movk x2, #:abs_g0_nc:mercury_entry",
    "   br   x2",
    "mercury_way_out:",
    "   msr  sctlr_el2, x9",
    "   isb",
    "   tlbi alle2",
    "   dsb  nsh",
    "   msr  tcr_el2, x10",
    "   msr  ttbr0_el2, x11",
    "   msr  mair_el2, x12",
    "   mov  sp, x13",
    "   isb",
    "   cbnz x3, 1f",
    "   eret",
    "1: br   x3",
    ".popsection",
    memory = const MEMORY,
    translation = const TRANSLATION,
    control = const CONTROL,
);

global_asm!(
    ".pushsection .text.entry, \"ax\"",
    "mercury_entry:",
    "   add  x4, x0, {found}",
    "   stp  x9, x10, [x4]",
    "   stp  x11, x12, [x4, 16]",
    "   stp  x13, x14, [x4, 32]",
    "   mrs  x9, vbar_el2",
    "   mrs  x10, tpidr_el2",
    "   stp  x9, x10, [x4, 48]",
    "   adrp x9, mercury_vectors",
    "   add  x9, x9, :lo12:mercury_vectors",
    "   msr  vbar_el2, x9",
    "   msr  tpidr_el2, x0",
    "   add  x9, x0, {stack}",
    "   mov  sp, x9",
    "   isb",
    "   stp  x18, x30, [sp, -16]!",
    "   mrs  x9, elr_el2",
    "   mrs  x10, spsr_el2",
    "   add  x4, x0, {kept}",
    "   stp  x19, x20, [x4]",
    "   stp  x21, x22, [x4, 16]",
    "   stp  x23, x24, [x4, 32]",
    "   stp  x25, x26, [x4, 48]",
    "   stp  x27, x28, [x4, 64]",
    "   stp  x29, x9, [x4, 80]",
    "   stp  x10, xzr, [x4, 96]",
    "   bl   {call}",
    "   ldp  x18, x30, [sp], 16",
    "   mov  x3, 0",
    "   cbz  x1, mercury_leave",
    "   mov  x1, 0",
    "   eret",
    // X0 to X3 as the kernel or the code at EL2 is to find them.
    ".global mercury_leave",
    "mercury_leave:",
    "   mrs  x5, tpidr_el2",
    "   add  x4, x5, {found}",
    "   ldp  x9, x10, [x4]",
    "   ldp  x11, x12, [x4, 16]",
    "   ldp  x13, x14, [x4, 32]",
    "   ldp  x5, x6, [x4, 48]",
    "   msr  vbar_el2, x5",
    "   msr  tpidr_el2, x6",
    "   br   x14",
    ".popsection",
    found = const FOUND_OFFSET,
    kept = const core::mem::offset_of!(Area<Cpu>, kept),
    stack = const CPU_STACK_TOP,
    call = sym crate::call::mercury_call,
);

// Exceptions of the image itself get the exception stack: theirs may be what
// is wrong. Those of the guest push what Rust does not keep.
global_asm!(
    ".macro mercury_own number",
    "   .balign 128",
    "   mrs  x0, tpidr_el2",
    "   add  x0, x0, {exception_stack}",
    "   mov  sp, x0",
    "   mov  x0, \\number",
    "   b    {exception}",
    ".endm",
    // From AArch64, an exception of an instruction: the null hypercall is answered
    // at once (mercury_hal::quick). X0 is its number, and the number is the answer.
    ".macro mercury_quick",
    "   .balign 128",
    "   sub  sp, sp, {frame}",
    "   stp  x0, x1, [sp]",
    "   mrs  x1, esr_el2",
    "   lsr  x1, x1, 26",
    "   cmp  x1, {hypercall}",
    "   b.ne 1f",
    "   mov  x1, {null} & 0xffff000000000000",
    "   movk x1, {null} >> 32 & 0xffff, lsl 32",
    "   cmp  x0, x1",
    "   b.ne 1f",
    "   mrs  x1, tpidr_el2",
    "   ldr  x0, [x1, {quick} + {usual}]",
    "   ldarb w0, [x0]",
    "   cbnz w0, 1f",
    "   ldr  x0, [x1, {quick} + {calls}]",
    "   add  x0, x0, 1",
    "   str  x0, [x1, {quick} + {calls}]",
    "   mov  w0, {none_of_those}",
    "   str  x0, [x1, {repetition}]",
    "   b    mercury_answered",
    "1: ldr  x0, [sp]",
    "   mov  x1, 0",
    "   b    mercury_exited",
    ".endm",
    ".macro mercury_guest number",
    "   .balign 128",
    "   sub  sp, sp, {frame}",
    "   stp  x0, x1, [sp]",
    "   mov  x1, \\number",
    "   b    mercury_exited",
    ".endm",
    ".pushsection .text.vectors, \"ax\"",
    ".balign 2048",
    "mercury_vectors:",
    "   mercury_own 0",
    "   mercury_own 1",
    "   mercury_own 2",
    "   mercury_own 3",
    "   mercury_own 4",
    "   mercury_own 5",
    "   mercury_own 6",
    "   mercury_own 7",
    "   mercury_quick",
    "   mercury_guest 1",
    "   mercury_guest 2",
    "   mercury_guest 3",
    "   mercury_guest 0",
    "   mercury_guest 1",
    "   mercury_guest 2",
    "   mercury_guest 3",
    "   .balign 128",
    "mercury_answered:",
    "   ldr  x0, [sp], {frame}",
    "   mov  x1, xzr",
    "   mov  x2, xzr",
    "   mov  x3, xzr",
    "   mov  x4, xzr",
    "   mov  x5, xzr",
    "   mov  x6, xzr",
    "   mov  x7, xzr",
    "   mov  x8, xzr",
    "   eret",
    // As below.
    "   dsb  nsh",
    "   isb",
    "mercury_exited:",
    "   stp  x2, x3, [sp, 16]",
    "   stp  x4, x5, [sp, 32]",
    "   stp  x6, x7, [sp, 48]",
    "   stp  x8, x9, [sp, 64]",
    "   stp  x10, x11, [sp, 80]",
    "   stp  x12, x13, [sp, 96]",
    "   stp  x14, x15, [sp, 112]",
    "   stp  x16, x17, [sp, 128]",
    "   stp  x18, x30, [sp, 144]",
    "   mov  x0, sp",
    "   mrs  x2, tpidr_el2",
    "   mrs  x5, elr_el2",
    "   mrs  x6, spsr_el2",
    "   mrs  x7, esr_el2",
    "   add  x4, x2, {kept}",
    "   stp  x19, x20, [x4]",
    "   stp  x21, x22, [x4, 16]",
    "   stp  x23, x24, [x4, 32]",
    "   stp  x25, x26, [x4, 48]",
    "   stp  x27, x28, [x4, 64]",
    "   stp  x29, x5, [x4, 80]",
    "   stp  x6, x7, [x4, 96]",
    "   bl   {exit}",
    "   mov  x4, x0",
    "   ldp  x0, x1, [sp]",
    "   ldp  x2, x3, [sp, 16]",
    "   ldp  x18, x30, [sp, 144]",
    "   cbnz x4, mercury_left",
    "mercury_goes_on:",
    "   ldp  x4, x5, [sp, 32]",
    "   ldp  x6, x7, [sp, 48]",
    "   ldp  x8, x9, [sp, 64]",
    "   ldp  x10, x11, [sp, 80]",
    "   ldp  x12, x13, [sp, 96]",
    "   ldp  x14, x15, [sp, 112]",
    "   ldp  x16, x17, [sp, 128]",
    "   add  sp, sp, {frame}",
    "   eret",
    // Nothing is speculated past the end.
    "   dsb  nsh",
    "   isb",
    // A detach, with one defect if a test asked for it.
    "mercury_left:",
    "   cmp  x4, {comes_back}",
    "   b.eq mercury_came_back",
    ".if {mutants}",
    "   mrs  x5, tpidr_el2",
    "   ldr  x6, [x5, {mutant}]",
    "   cmp  x6, {general_register}",
    "   b.ne 1f",
    "   mvn  x19, x19",
    "1:",
    ".endif",
    "   b    mercury_leave",
    // The guest is another: a checkpoint's, whose registers nothing has kept but the area.
    "mercury_came_back:",
    "   mrs  x4, tpidr_el2",
    "   add  x4, x4, {kept}",
    "   ldp  x19, x20, [x4]",
    "   ldp  x21, x22, [x4, 16]",
    "   ldp  x23, x24, [x4, 32]",
    "   ldp  x25, x26, [x4, 48]",
    "   ldp  x27, x28, [x4, 64]",
    "   ldr  x29, [x4, 80]",
    "   b    mercury_goes_on",
    ".popsection",
    exception_stack = const CPU_EXCEPTION_STACK_TOP,
    exception = sym crate::death::mercury_exception,
    frame = const FRAME_BYTES,
    hypercall = const syndrome::HYPERCALL,
    null = const quick::NULL,
    quick = const offset_of!(Area<Cpu>, quick),
    calls = const offset_of!(Quick, calls),
    usual = const offset_of!(Quick, usual),
    repetition = const offset_of!(Area<Cpu>, repetition),
    none_of_those = const repetition::QUICK,
    kept = const core::mem::offset_of!(Area<Cpu>, kept),
    exit = sym crate::call::mercury_exit,
    comes_back = const crate::call::COMES_BACK,
    mutants = const cfg!(feature = "mutants") as u32,
    mutant = const core::mem::offset_of!(Area<Cpu>, mutant),
    general_register = const Mutant::GeneralRegister as u64,
);
