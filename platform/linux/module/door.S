/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The trampoline: the only code that lies in both address spaces, the
 * kernel's and the image's.
 *
 * mercury_door: out of the kernel. Saves what a called function must keep on
 *   the kernel's stack, notes in the door what the image cannot read once the
 *   page tables are others, enables SVM and clears the global interrupt flag
 *   *before* anything changes that an NMI would depend on (APM 15.17), then
 *   switches CR4 and CR3. CR4 goes first: the image runs without PCID and
 *   without global pages.
 * mercury_door_exit: back. hal/src/door.rs and arch/x86_64/src/leave.rs have
 *   the other half of the story. CR4 goes first here too: CR4.PCIDE may be set
 *   only while CR3 holds PCID 0, as the image's does (APM 5.5.1).
 * mercury_call: a hypercall. On a CPU that is not a guest VMMCALL is undefined,
 *   and the exception table turns that into -ENXIO; another hypervisor beneath
 *   may answer it in its own way, which lacks MERCURY_CALL_BASE.
 *
 * A CPU that enters the guest "returns" from mercury_door with RAX = 0; one
 * that is let go returns from the VMMCALL.
 */
#include <linux/linkage.h>
#include <linux/version.h>
#include <linux/errno.h>
#include <asm/asm.h>
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 18, 0)
#include <asm/ibt.h>
#else
#define ENDBR
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

#define EFER_SVME_BIT 12

	.text
	/* Less than half of a page, and so aligned that it lies in one. */
	.balign 512
SYM_CODE_START(mercury_door)
	NO_UNWINDING
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsp, MERCURY_DOOR_STACK_POINTER(%rdi)
	leaq	.Lback(%rip), %rax
	movq	%rax, MERCURY_DOOR_INSTRUCTION_POINTER(%rdi)
	pushfq
	popq	%rax
	movq	%rax, MERCURY_DOOR_FLAGS(%rdi)
	sgdt	MERCURY_DOOR_GDTR(%rdi)
	sidt	MERCURY_DOOR_IDTR(%rdi)
	movl	$MSR_EFER, %ecx
	rdmsr
	movl	%eax, MERCURY_DOOR_EXTENDED_FEATURES(%rdi)
	movl	%edx, MERCURY_DOOR_EXTENDED_FEATURES+4(%rdi)
	btsl	$EFER_SVME_BIT, %eax
	wrmsr
	clgi
	movq	%cr3, %rax
	movq	%rax, MERCURY_DOOR_ROOT(%rdi)
	movq	%cr4, %rax
	movq	%rax, MERCURY_DOOR_CONTROL4(%rdi)
	movq	MERCURY_DOOR_HOST_CONTROL4(%rdi), %rax
	movq	MERCURY_DOOR_HOST_ROOT(%rdi), %rdx
	movq	MERCURY_DOOR_HOST_ENTRY(%rdi), %rcx
	movq	MERCURY_DOOR_OWN(%rdi), %rdi
	movq	%rax, %cr4
	movq	%rdx, %cr3
	ANNOTATE_RETPOLINE_SAFE
	jmp	*%rcx
.Lback:
	NO_UNWINDING
	ENDBR
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	RET
SYM_CODE_END(mercury_door)

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
	.org mercury_door + 512, 0xcc

/* u64 mercury_call(u64 number, u64 argument, u64 words[8]) */
SYM_FUNC_START(mercury_call)
	pushq	%rbx
	movq	%rdx, %rbx
	movq	%rdi, %rax
	movq	%rsi, %rdi
1:	vmmcall
	ENDBR
	movq	%rdi, 0(%rbx)
	movq	%rsi, 8(%rbx)
	movq	%rdx, 16(%rbx)
	movq	%rcx, 24(%rbx)
	movq	%r8, 32(%rbx)
	movq	%r9, 40(%rbx)
	movq	%r10, 48(%rbx)
	movq	%r11, 56(%rbx)
2:	popq	%rbx
	RET
3:	movq	$-ENXIO, %rax
	jmp	2b
	_ASM_EXTABLE(1b, 3b)
SYM_FUNC_END(mercury_call)

#ifdef MERCURY_TESTING
/* The same, in a build for tests: patterns in the registers that a called
 * function must keep, and a status of all ones below if one came back changed. */
SYM_FUNC_START(mercury_call_guarded)
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rdi, %rax
	movq	%rsi, %rdi
	leaq	0x11(%rsp), %rbx
	leaq	0x22(%rsp), %rbp
	leaq	0x33(%rsp), %r12
	leaq	0x44(%rsp), %r13
	leaq	0x55(%rsp), %r14
	leaq	0x66(%rsp), %r15
1:	vmmcall
	ENDBR
	leaq	0x11(%rsp), %rcx
	xorq	%rcx, %rbx
	leaq	0x22(%rsp), %rcx
	xorq	%rcx, %rbp
	orq	%rbp, %rbx
	leaq	0x33(%rsp), %rcx
	xorq	%rcx, %r12
	orq	%r12, %rbx
	leaq	0x44(%rsp), %rcx
	xorq	%rcx, %r13
	orq	%r13, %rbx
	leaq	0x55(%rsp), %rcx
	xorq	%rcx, %r14
	orq	%r14, %rbx
	leaq	0x66(%rsp), %rcx
	xorq	%rcx, %r15
	orq	%r15, %rbx
	jz	2f
	orq	$0xff, %rax
2:	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	RET
3:	movq	$-ENXIO, %rax
	jmp	2b
	_ASM_EXTABLE(1b, 3b)
SYM_FUNC_END(mercury_call_guarded)
#endif
