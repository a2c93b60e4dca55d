/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The trampoline for Intel VMX (door.S has AMD's). Nothing holds NMIs off here,
 * so at every instruction IDT, GDT and stack must be such that an NMI can be
 * taken (SDM volume 3, 6.14): the kernel's, then the landing pad's, which is
 * mapped at one address in both address spaces (mercury_pad.h), then the image's;
 * and back.
 *
 * In:  stack, IDT, GDT of the pad; then CR4 and CR3; then the image's entry.
 *      IDT before GDT: the kernel's handler wants the kernel's GDT, the pad's
 *      is content with either, for both have the code segment at the same place.
 * Out: stack, IDT, GDT of the pad, the kernel's TSS under it; CR4 and CR3; then
 *      the kernel's GDT, LDT, segments; its stack; and its IDT last of all. What
 *      NMIs were counted meanwhile are raised by hand.
 */
#include <asm/segment.h>

#include "trampoline.h"
#include "mercury_pad.h"

	.text
	/* Less than a quarter of a page, and so aligned that it lies in one. */
	.balign 1024
SYM_CODE_START(mercury_door_vmx)
	NO_UNWINDING
	push_kept
	note_kernel .Lback
	load_image
	leaq	(MERCURY_PAD_OFFSET + MERCURY_PAD_BYTES)(%rdi), %rsp
	lidt	(MERCURY_PAD_OFFSET + MERCURY_PAD_IDTR)(%rdi)
	lgdt	(MERCURY_PAD_OFFSET + MERCURY_PAD_GDTR)(%rdi)
	enter_image
.Lback:
	NO_UNWINDING
	ENDBR
	pop_kept
	RET
SYM_CODE_END(mercury_door_vmx)

/* In: the pad in RDI, its list filled in; RBX, RBP, R12 to R15 are the kernel's. */
SYM_CODE_START(mercury_door_exit_vmx)
	NO_UNWINDING
	ENDBR
	leaq	MERCURY_PAD_BYTES(%rdi), %rsp
	lidt	MERCURY_PAD_IDTR(%rdi)
	lgdt	MERCURY_PAD_GDTR(%rdi)
	movl	MERCURY_PAD_TR(%rdi), %eax
	ltr	%ax
	movq	MERCURY_PAD_CONTROL4(%rdi), %rax
	movq	%rax, %cr4
	movq	MERCURY_PAD_ROOT(%rdi), %rax
	movq	%rax, %cr3
	lgdt	MERCURY_PAD_KERNEL_GDTR(%rdi)
	/* First: the others may name its descriptors. */
	movl	MERCURY_PAD_LDTR(%rdi), %eax
	lldt	%ax
	/* A selector may outlive its descriptor: mercury_pad_fault. */
	movl	MERCURY_PAD_DS(%rdi), %eax
	movl	%eax, %ds
	movl	MERCURY_PAD_ES(%rdi), %eax
	movl	%eax, %es
	movl	MERCURY_PAD_FS(%rdi), %eax
	movl	%eax, %fs
	movl	MERCURY_PAD_GS(%rdi), %eax
	movl	%eax, %gs
	movl	$MSR_FS_BASE, %ecx
	movl	MERCURY_PAD_FS_BASE(%rdi), %eax
	movl	MERCURY_PAD_FS_BASE+4(%rdi), %edx
	wrmsr
	movl	$MSR_GS_BASE, %ecx
	movl	MERCURY_PAD_GS_BASE(%rdi), %eax
	movl	MERCURY_PAD_GS_BASE+4(%rdi), %edx
	wrmsr
	movq	MERCURY_PAD_STACK_POINTER(%rdi), %rdx
	movq	%rdx, %rsp
	pushq	MERCURY_PAD_SS(%rdi)
	pushq	%rdx
	pushq	MERCURY_PAD_FLAGS(%rdi)
	pushq	MERCURY_PAD_CS(%rdi)
	leaq	.Lfinish(%rip), %rax
	pushq	%rax
	lidt	MERCURY_PAD_KERNEL_IDTR(%rdi)
	iretq
.Lfinish:
	NO_UNWINDING
	/* All is the kernel's again, and NMIs are its own. */
	movq	MERCURY_PAD_INSTRUCTION_POINTER(%rdi), %r10
1:	cmpq	$0, MERCURY_PAD_NMIS(%rdi)
	je	2f
	decq	MERCURY_PAD_NMIS(%rdi)
	int	$2
	jmp	1b
2:	cmpq	$0, MERCURY_PAD_MACHINE_CHECKS(%rdi)
	je	3f
	decq	MERCURY_PAD_MACHINE_CHECKS(%rdi)
	int	$18
	jmp	2b
3:	movq	MERCURY_PAD_RESULT(%rdi), %rax
	ANNOTATE_RETPOLINE_SAFE
	jmp	*%r10
SYM_CODE_END(mercury_door_exit_vmx)

/* The pad's handlers. Its IDT is its first part, so SIDT says where it is. */
SYM_CODE_START(mercury_pad_nmi)
	NO_UNWINDING
	ENDBR
	pushq	%rax
	subq	$16, %rsp
	sidt	6(%rsp)
	movq	8(%rsp), %rax
	incq	MERCURY_PAD_NMIS(%rax)
	addq	$16, %rsp
	popq	%rax
	iretq
SYM_CODE_END(mercury_pad_nmi)

SYM_CODE_START(mercury_pad_machine_check)
	NO_UNWINDING
	ENDBR
	pushq	%rax
	subq	$16, %rsp
	sidt	6(%rsp)
	movq	8(%rsp), %rax
	incq	MERCURY_PAD_MACHINE_CHECKS(%rax)
	addq	$16, %rsp
	popq	%rax
	iretq
SYM_CODE_END(mercury_pad_machine_check)

/* A selector that cannot be loaded becomes null: all are loaded from EAX. */
SYM_CODE_START(mercury_pad_fault)
	NO_UNWINDING
	ENDBR
	addq	$8, %rsp
	xorl	%eax, %eax
	iretq
SYM_CODE_END(mercury_pad_fault)
	/* Refuses to assemble if the trampoline outgrows what it is aligned to. */
	.org mercury_door_vmx + 1024, 0xcc
