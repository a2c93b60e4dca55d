/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Vector registers as a whole. Storing them changes nothing, so the kernel's
 * rules for their use (kernel_neon_begin) do not apply: that would save the
 * very state that we want to look at. Loading V clears the rest of Z, so where
 * there is SVE all of Z is stored and loaded.
 */
#include <linux/linkage.h>

	.arch	armv8-a+sve

	.macro	each_pair instruction
	\instruction	q0, q1, [x0]
	\instruction	q2, q3, [x0, #32]
	\instruction	q4, q5, [x0, #64]
	\instruction	q6, q7, [x0, #96]
	\instruction	q8, q9, [x0, #128]
	\instruction	q10, q11, [x0, #160]
	\instruction	q12, q13, [x0, #192]
	\instruction	q14, q15, [x0, #224]
	\instruction	q16, q17, [x0, #256]
	\instruction	q18, q19, [x0, #288]
	\instruction	q20, q21, [x0, #320]
	\instruction	q22, q23, [x0, #352]
	\instruction	q24, q25, [x0, #384]
	\instruction	q26, q27, [x0, #416]
	\instruction	q28, q29, [x0, #448]
	\instruction	q30, q31, [x0, #480]
	.endm

	.macro	each_z instruction
	.irp	n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	\instruction	z\n, [x0, #\n, mul vl]
	.endr
	.endm

SYM_FUNC_START(vectors_store)
	each_pair stp
	ret
SYM_FUNC_END(vectors_store)

SYM_FUNC_START(vectors_load)
	each_pair ldp
	ret
SYM_FUNC_END(vectors_load)

SYM_FUNC_START(sve_store)
	each_z	str
	ret
SYM_FUNC_END(sve_store)

SYM_FUNC_START(sve_load)
	each_z	ldr
	ret
SYM_FUNC_END(sve_load)

SYM_FUNC_START(sve_bytes)
	rdvl	x0, #1
	ret
SYM_FUNC_END(sve_bytes)

	.section .note.GNU-stack, "", @progbits
