/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What runs at EL2, MMU off, on a copy of this page: reads the registers of
 * el2_registers.h into a buffer and goes back; or, from the middle of the page,
 * writes one of them. Position-independent, no stack, no exception: a register
 * that would trap here is left out (the callers' gates, and CPTR_EL2's own).
 *
 * Read: x0 is the physical address of the buffer, x1 has the gates.
 * Write: x0 is the register's place in the list, x1 its value.
 * Only x0 to x4 may be changed, which whoever calls the stub gives up.
 */
#include <linux/linkage.h>

#include "el2_registers.h"

	.section .rodata.el2, "a"
	.balign	4096
SYM_DATA_START(el2_page)
	orr	x1, x1, #1			/* EL2_ALWAYS */
	mrs	x2, cptr_el2
	tbz	x2, #8, 1f			/* TZ: SVE's would trap */
	bic	x1, x1, #1 << EL2_SVE
1:	tbz	x2, #12, 2f			/* TSM: SME's would trap */
	bic	x1, x1, #1 << EL2_SME
2:
#define ONE(name, gate, register, writable)                                              \
	mov	x2, xzr;                                                       \
	tbz	x1, gate, 9f;                                                  \
	mrs	x2, register;                                                  \
9:	str	x2, [x0], 8;
	EL2_REGISTERS(ONE)
	mov	x2, sp
	str	x2, [x0], #8
	dsb	sy
	mov	x0, xzr
	eret

	.org	el2_page + EL2_WRITE
	.set	place, 0
#define WRITE_0(register)
#define WRITE_1(register)                                                      \
	cmp	x0, place;                                                     \
	b.ne	9f;                                                            \
	msr	register, x1;                                                  \
9:
#define WRITE(name, gate, register, writable)                                  \
	WRITE_##writable(register)                                             \
	.set	place, place + 1;
	EL2_REGISTERS(WRITE)
	cmp	x0, place
	b.ne	9f
	mov	sp, x1
9:	isb
	mov	x0, xzr
	eret
	.balign	4096
SYM_DATA_END(el2_page)

	.section .note.GNU-stack, "", @progbits
