/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What both trampolines (door.S, door_vmx.S) have alike, as macros for the
 * assembler.
 */
#ifndef MERCURY_TRAMPOLINE_H
#define MERCURY_TRAMPOLINE_H

#include <linux/linkage.h>
#include <linux/version.h>
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 18, 0)
#include <linux/objtool.h>
#include <asm/ibt.h>
#else
#define ENDBR
#define ANNOTATE_NOENDBR
#endif
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include <asm/unwind_hints.h>

#include "mercury_door.h"

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
#define NO_UNWINDING UNWIND_HINT_UNDEFINED
#else
#define NO_UNWINDING UNWIND_HINT_EMPTY
#endif

/* What a called function must keep. */
	.macro	push_kept
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	.endm

	.macro	pop_kept
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	.endm

/* Notes in the door (RDI) what the image cannot read once the page tables are
 * others; the way back is `back`. EFER stays in EDX:EAX, its number in ECX. */
	.macro	note_kernel back
	movq	%rsp, MERCURY_DOOR_STACK_POINTER(%rdi)
	leaq	\back(%rip), %rax
	movq	%rax, MERCURY_DOOR_INSTRUCTION_POINTER(%rdi)
	pushfq
	popq	%rax
	movq	%rax, MERCURY_DOOR_FLAGS(%rdi)
	sgdt	MERCURY_DOOR_GDTR(%rdi)
	sidt	MERCURY_DOOR_IDTR(%rdi)
	movq	%cr3, %rax
	movq	%rax, MERCURY_DOOR_ROOT(%rdi)
	movq	%cr4, %rax
	movq	%rax, MERCURY_DOOR_CONTROL4(%rdi)
	movl	$MSR_EFER, %ecx
	rdmsr
	movl	%eax, MERCURY_DOOR_EXTENDED_FEATURES(%rdi)
	movl	%edx, MERCURY_DOOR_EXTENDED_FEATURES+4(%rdi)
	.endm

/* What the jump into the image needs, while the door can still be read. */
	.macro	load_image
	movq	MERCURY_DOOR_HOST_CONTROL4(%rdi), %rax
	movq	MERCURY_DOOR_HOST_ROOT(%rdi), %rdx
	movq	MERCURY_DOOR_HOST_ENTRY(%rdi), %rcx
	.endm

/* CR4 goes first: the image runs without PCID and without global pages. */
	.macro	enter_image
	movq	MERCURY_DOOR_OWN(%rdi), %rdi
	movq	%rax, %cr4
	movq	%rdx, %cr3
	ANNOTATE_RETPOLINE_SAFE
	jmp	*%rcx
	.endm

#endif
