/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The way from EL1 to EL2: both are one instruction.
 *
 * mercury_door: asks the stub that Linux leaves at EL2 to run the image's first
 *   page, with the MMU off (HVC_SOFT_RESTART: X0 = 1, X1 where to, X2 to X4
 *   become X0 to X2). The image gives EL2 back as it was, but for a CPU that
 *   enters the guest; either way this returns behind the HVC with the result in
 *   X0. Nothing of EL1 changes, so nothing is saved here but what a called
 *   function may change anyway.
 * mercury_call: a hypercall. On a CPU that is not a guest the stub answers with
 *   its error, which lacks MERCURY_CALL_BASE.
 */
#include <linux/linkage.h>
#include <asm/assembler.h>
#include <asm/virt.h>

#include "mercury_door.h"

/* u64 mercury_door(struct mercury_door *door) */
SYM_FUNC_START(mercury_door)
	stp	x29, x30, [sp, #-16]!
	mov	x29, sp
	ldr	x1, [x0, #MERCURY_DOOR_HOST_ENTRY]
	ldr	x2, [x0, #MERCURY_DOOR_OWN]
	ldr	x3, [x0, #MERCURY_DOOR_HOST_ROOT]
	mov	x4, xzr
	mov	x0, #HVC_SOFT_RESTART
	hvc	#0
	ldp	x29, x30, [sp], #16
	ret
SYM_FUNC_END(mercury_door)

/* u64 mercury_call(u64 number, u64 argument, u64 words[8]) */
SYM_FUNC_START(mercury_call)
	stp	x29, x30, [sp, #-32]!
	mov	x29, sp
	str	x2, [sp, #16]
	hvc	#0
	ldr	x9, [sp, #16]
	stp	x1, x2, [x9]
	stp	x3, x4, [x9, #16]
	stp	x5, x6, [x9, #32]
	stp	x7, x8, [x9, #48]
	ldp	x29, x30, [sp], #32
	ret
SYM_FUNC_END(mercury_call)

#ifdef MERCURY_TESTING
/* The same, in a build for tests: patterns in the registers that a called
 * function must keep, and a status of all ones below if one came back changed. */
	.macro	pattern register, number
	add	\register, x29, #(0x11 * \number)
	.endm
	.macro	compare register, number
	add	x9, x29, #(0x11 * \number)
	eor	x9, x9, \register
	orr	x10, x10, x9
	.endm
SYM_FUNC_START(mercury_call_guarded)
	stp	x29, x30, [sp, #-96]!
	mov	x29, sp
	stp	x19, x20, [sp, #16]
	stp	x21, x22, [sp, #32]
	stp	x23, x24, [sp, #48]
	stp	x25, x26, [sp, #64]
	stp	x27, x28, [sp, #80]
	pattern	x19, 1
	pattern	x20, 2
	pattern	x21, 3
	pattern	x22, 4
	pattern	x23, 5
	pattern	x24, 6
	pattern	x25, 7
	pattern	x26, 8
	pattern	x27, 9
	pattern	x28, 10
	hvc	#0
	mov	x10, xzr
	compare	x19, 1
	compare	x20, 2
	compare	x21, 3
	compare	x22, 4
	compare	x23, 5
	compare	x24, 6
	compare	x25, 7
	compare	x26, 8
	compare	x27, 9
	compare	x28, 10
	cbz	x10, 1f
	orr	x0, x0, #0xff
1:	ldp	x19, x20, [sp, #16]
	ldp	x21, x22, [sp, #32]
	ldp	x23, x24, [sp, #48]
	ldp	x25, x26, [sp, #64]
	ldp	x27, x28, [sp, #80]
	ldp	x29, x30, [sp], #96
	ret
SYM_FUNC_END(mercury_call_guarded)
#endif
