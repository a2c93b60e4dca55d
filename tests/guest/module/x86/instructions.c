// SPDX-License-Identifier: GPL-2.0
/*
 * What a guest must not do, done: each virtualization instruction once, on a
 * given CPU, and which trap it raised (-1: none). Every one of them is covered
 * by the kernel's exception table, so a right answer costs nothing.
 *
 * `svm-disable` is the sequence with which Linux switches SVM off on its crash
 * path, in Linux's order: VM_HSAVE_PA to 0, STGI, EFER without SVME.
 */
#include <linux/errno.h>
#include <linux/gfp.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/string.h>
#include <asm/msr-index.h>

#include "arch.h"
#include "fault.h"
#include "mercury_test.h"

struct job {
	const char *name;
	u64 rax;
	u64 page; /* physical address */
	int trap;
	u64 answered;
	u64 efer;
	int faults;
	bool known;
};

/*
 * RAX is the address of a page of our own: a bad address would raise a
 * protection fault before the interception is looked at (APM 15.9), and hide it.
 * Whether there was a trap is kept elsewhere, as the fixup leaves it in RAX.
 */
#define TRAP_OF(instruction)                                                   \
	({                                                                     \
		u64 rax_ = job->page;                                          \
		int faulted_ = 1;                                              \
		asm volatile("1:	" instruction "\n"                    \
			     "	xorl %[faulted], %[faulted]\n"                \
			     "2:\n"                                            \
			     _ASM_EXTABLE_FAULT(1b, 2b)                        \
			     : "+a"(rax_), [faulted] "+r"(faulted_)            \
			     : : "memory", "cc");                              \
		faulted_ ? (int)rax_ : NO_TRAP;                                \
	})

static void vmmcall(struct job *job)
{
	u64 rax = job->rax;
	int faulted = 1;

	asm volatile("1:	vmmcall\n"
		     "	xorl	%[faulted], %[faulted]\n"
		     "2:\n"
		     _ASM_EXTABLE_FAULT(1b, 2b)
		     : "+a"(rax), [faulted] "+r"(faulted)
		     :
		     : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc");
	job->trap = faulted ? (int)rax : NO_TRAP;
	job->answered = faulted ? 0 : rax;
}

static void svm_disable(struct job *job)
{
	u64 efer;

	job->faults += msr_write(MSR_VM_HSAVE_PA, 0);
	job->faults += msr_read(MSR_EFER, &efer);
	/* Linux has a fixup here as well: SVME may be off already. */
	job->trap = TRAP_OF("stgi");
	job->faults += msr_write(MSR_EFER, efer & ~(u64)EFER_SVME);
}

static void execute(void *data)
{
	struct job *job = data;

	job->known = true;
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
		vmmcall(job);
	else if (!strcmp(job->name, "svm-disable"))
		svm_disable(job);
	else
		job->known = false;
	job->faults += msr_read(MSR_EFER, &job->efer);
}

int command_instruction(const char *words, struct answer *answer)
{
	struct job job = { .trap = NO_TRAP };
	char name[16];
	int cpu, error;
	void *page;

	if (sscanf(words, "%d %15s %llx", &cpu, name, &job.rax) < 2)
		return -EINVAL;
	job.name = name;
	page = (void *)get_zeroed_page(GFP_KERNEL);
	if (!page)
		return -ENOMEM;
	job.page = __pa(page);
	error = on_cpu(cpu, execute, &job);
	free_page((unsigned long)page);
	if (error)
		return error;
	if (!job.known)
		return -EINVAL;
	answer_add(answer, "trap %d\nanswered %#llx\nefer %#llx\nfaults %d\n",
		   job.trap, job.answered, job.efer, job.faults);
	return 0;
}

struct msr_job {
	u32 number;
	u64 value;
	bool write;
	int faulted;
};

static void access_msr(void *data)
{
	struct msr_job *job = data;

	if (job->write)
		job->faulted = msr_write(job->number, job->value);
	else
		job->faulted = msr_read(job->number, &job->value);
}

int command_msr(const char *words, struct answer *answer)
{
	struct msr_job job = {};
	int cpu, error;

	if (sscanf(words, "write %d %x %llx", &cpu, &job.number, &job.value) == 3)
		job.write = true;
	else if (sscanf(words, "read %d %x", &cpu, &job.number) != 2)
		return -EINVAL;
	error = on_cpu(cpu, access_msr, &job);
	if (error)
		return error;
	answer_add(answer, "faulted %d\nvalue %#llx\n", job.faulted, job.value);
	return 0;
}
