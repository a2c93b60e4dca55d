/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A store whose bytes lie on two pages. Mercury fetches the bytes of an
 * instruction that it drops by walking the guest's tables, and the two pages
 * of a module's text are neighbours only virtually.
 *
 * long straddling_store(void *target, unsigned long value)
 */
#include <linux/linkage.h>
#include <asm/asm.h>

	.section .text.straddle, "ax"
	.balign 4096
straddle_page:
	.skip 4096 - 64, 0x90
SYM_FUNC_START(straddling_store)
	movq	$-1, %rax
	/* However the function begins, the store begins 2 bytes before the end. */
	.org	straddle_page + 4094, 0x90
1:	movq	%rsi, (%rdi)			/* 3 bytes: the last is on the next page */
2:	RET
	_ASM_EXTABLE_FAULT(1b, 2b)
SYM_FUNC_END(straddling_store)

	.section .note.GNU-stack, "", @progbits
