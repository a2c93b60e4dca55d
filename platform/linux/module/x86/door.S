/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The trampoline on AMD (door_vmx.S is Intel's): the only code that lies in both
 * address spaces, the kernel's and the image's.
 *
 * mercury_door_svm: out of the kernel. Saves what a called function must keep on
 *   the kernel's stack, notes in the door what the image cannot read once the
 *   page tables are others, enables SVM and clears the global interrupt flag
 *   *before* anything changes that an NMI would depend on (APM 15.17), then
 *   switches CR4 and CR3. CR4 goes first: the image runs without PCID and
 *   without global pages.
 * mercury_door_exit: back. hal/src/door.rs and arch/x86_64/src/leave.rs have
 *   the other half of the story. CR4 goes first here too: CR4.PCIDE may be set
 *   only while CR3 holds PCID 0, as the image's does (APM 5.5.1).
 * mercury_call: a hypercall, AMD's VMMCALL or Intel's VMCALL. On a CPU that is
 *   not a guest it is undefined, and the exception table turns that into -ENXIO;
 *   another hypervisor beneath may answer it in its own way, which lacks
 *   MERCURY_CALL_BASE.
 *
 * A CPU that enters the guest "returns" from the door with RAX = 0; one
 * that is let go returns from the VMMCALL.
 */
#include <linux/errno.h>
#include <asm/asm.h>

#include "trampoline.h"

#define EFER_SVME_BIT 12

	.text
	/* Less than half of a page, and so aligned that it lies in one. */
	.balign 512
SYM_CODE_START(mercury_door_svm)
	NO_UNWINDING
	push_kept
	note_kernel .Lback
	btsl	$EFER_SVME_BIT, %eax
	wrmsr
	clgi
	load_image
	enter_image
.Lback:
	NO_UNWINDING
	ENDBR
	pop_kept
	RET
SYM_CODE_END(mercury_door_svm)

/*
 * In: CR4 in RDI, CR3 in RSI, RSP in RDX, RIP in RCX, RFLAGS in R8, EFER in R9,
 * DS, ES, SS, CS in R10 (16 bits each), result in RAX.
 */
SYM_CODE_START(mercury_door_exit)
	NO_UNWINDING
	ENDBR
	movq	%rdi, %cr4
	movq	%rsi, %cr3
	movq	%rdx, %rsp
	/* A selector may outlive its descriptor (a task that drops its LDT). */
1:	movl	%r10d, %ds
2:	shrq	$16, %r10
3:	movl	%r10d, %es
4:	shrq	$16, %r10
	movzwl	%r10w, %edi
	shrq	$16, %r10
	pushq	%rdi
	pushq	%rdx
	pushq	%r8
	pushq	%r10
	leaq	.Lfinish(%rip), %rdi
	pushq	%rdi
	iretq
.Lfinish:
	NO_UNWINDING
	/* All is the kernel's again: NMIs may come. */
	stgi
	movq	%rax, %r11
	movq	%rcx, %r10
	movl	$MSR_EFER, %ecx
	movl	%r9d, %eax
	movq	%r9, %rdx
	shrq	$32, %rdx
	wrmsr
	movq	%r11, %rax
	ANNOTATE_RETPOLINE_SAFE
	jmp	*%r10
5:	xorl	%edi, %edi
	movl	%edi, %ds
	jmp	2b
6:	xorl	%edi, %edi
	movl	%edi, %es
	jmp	4b
	_ASM_EXTABLE(1b, 5b)
	_ASM_EXTABLE(3b, 6b)
SYM_CODE_END(mercury_door_exit)
	/* Refuses to assemble if the trampoline outgrows what it is aligned to. */
	.org mercury_door_svm + 512, 0xcc

/*
 * The last instructions of a CPU that is freed from a dead image, in the kernel's
 * address space: the stack is struct Freed (arch/x86_64/src/freed.rs).
 */
SYM_CODE_START(mercury_door_freed)
	NO_UNWINDING
	ENDBR
	popq	%rax
	movq	%rax, %db7
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rdi
	popq	%rsi
	popq	%rbp
	popq	%rbx
	popq	%rdx
	popq	%rcx
	popq	%rax
	iretq
SYM_CODE_END(mercury_door_freed)

/*
 * A hypercall, by what this machine has; where it is undefined, on at `undefined`.
 * The image answers null hypercalls quickest that come from `site` or `site`_vmx:
 * addresses that are compared, never jumped to, so they need no ENDBR.
 */
	.macro	hypercall undefined, site
	cmpb	$0, mercury_vmx(%rip)
	jne	.Lintel\@
	.ifnb	\site
	.globl	\site, \site\()_vmx
\site\():
	ANNOTATE_NOENDBR
	.endif
.Lamd\@:
	vmmcall
	jmp	.Lanswered\@
	.ifnb	\site
\site\()_vmx:
	ANNOTATE_NOENDBR
	.endif
.Lintel\@:
	vmcall
.Lanswered\@:
	ENDBR
	_ASM_EXTABLE(.Lamd\@, \undefined)
	_ASM_EXTABLE(.Lintel\@, \undefined)
	.endm

/* u64 mercury_call(u64 number, u64 argument, u64 words[8]) */
SYM_FUNC_START(mercury_call)
	pushq	%rbx
	movq	%rdx, %rbx
	movq	%rdi, %rax
	movq	%rsi, %rdi
	hypercall .Lnobody, mercury_call_site
	movq	%rdi, 0(%rbx)
	movq	%rsi, 8(%rbx)
	movq	%rdx, 16(%rbx)
	movq	%rcx, 24(%rbx)
	movq	%r8, 32(%rbx)
	movq	%r9, 40(%rbx)
	movq	%r10, 48(%rbx)
	movq	%r11, 56(%rbx)
1:	popq	%rbx
	RET
.Lnobody:
	movq	$-ENXIO, %rax
	jmp	1b
SYM_FUNC_END(mercury_call)

#ifdef MERCURY_TESTING
/* The same, in a build for tests: patterns in the registers that a called
 * function must keep, and a status of all ones below if one came back changed. */
	.macro	pattern register, number
	leaq	(0x11 * \number)(%rsp), \register
	.endm
	.macro	compare register, number
	leaq	(0x11 * \number)(%rsp), %rcx
	xorq	\register, %rcx
	orq	%rcx, %rdx
	.endm
SYM_FUNC_START(mercury_call_guarded)
	push_kept
	movq	%rdi, %rax
	movq	%rsi, %rdi
	pattern	%rbx, 1
	pattern	%rbp, 2
	pattern	%r12, 3
	pattern	%r13, 4
	pattern	%r14, 5
	pattern	%r15, 6
	hypercall .Lnobody_guarded
	xorl	%edx, %edx
	compare	%rbx, 1
	compare	%rbp, 2
	compare	%r12, 3
	compare	%r13, 4
	compare	%r14, 5
	compare	%r15, 6
	testq	%rdx, %rdx
	jz	1f
	orq	$0xff, %rax
1:	pop_kept
	RET
.Lnobody_guarded:
	movq	$-ENXIO, %rax
	jmp	1b
SYM_FUNC_END(mercury_call_guarded)
#endif
