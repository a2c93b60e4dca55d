// SPDX-License-Identifier: GPL-2.0
/*
 * SVM's instructions.
 *
 * `svm-disable` is the sequence with which Linux switches SVM off on its crash
 * path, in Linux's order: VM_HSAVE_PA to 0, STGI, EFER without SVME.
 */
#include <linux/kernel.h>
#include <linux/string.h>
#include <asm/msr-index.h>

#include "instructions.h"

/*
 * RAX is the address of a page of our own: a bad address would raise a
 * protection fault before the interception is looked at (APM 15.9), and hide it.
 */
#define TRAP_OF(instruction) TRAP_WITH(job->page, instruction)

static void svm_disable(struct job *job)
{
	u64 efer;

	job->faults += msr_write(MSR_VM_HSAVE_PA, 0);
	job->faults += msr_read(MSR_EFER, &efer);
	/* Linux has a fixup here as well: SVME may be off already. */
	job->trap = TRAP_OF("stgi");
	job->faults += msr_write(MSR_EFER, efer & ~(u64)EFER_SVME);
}

bool svm_instruction(struct job *job)
{
	if (!strcmp(job->name, "vmrun"))
		job->trap = TRAP_OF("vmrun %%rax");
	else if (!strcmp(job->name, "vmload"))
		job->trap = TRAP_OF("vmload %%rax");
	else if (!strcmp(job->name, "vmsave"))
		job->trap = TRAP_OF("vmsave %%rax");
	else if (!strcmp(job->name, "stgi"))
		job->trap = TRAP_OF("stgi");
	else if (!strcmp(job->name, "clgi"))
		/* Were it let through, interrupts must come back. */
		job->trap = TRAP_OF("clgi\n	stgi");
	else if (!strcmp(job->name, "skinit"))
		job->trap = TRAP_OF(".byte 0x0f, 0x01, 0xde");
	else if (!strcmp(job->name, "invlpga"))
		job->trap = TRAP_OF(".byte 0x0f, 0x01, 0xdf");
	else if (!strcmp(job->name, "vmmcall"))
		HYPERCALL(job, "vmmcall");
	else if (!strcmp(job->name, "svm-disable"))
		svm_disable(job);
	else
		return false;
	return true;
}
