// SPDX-License-Identifier: GPL-2.0
/*
 * What a guest must not do, done: one instruction, on a given CPU, and which trap
 * it raised (-1: none). Every one of them is covered by the kernel's exception
 * table, so a right answer costs nothing. Which there are is the extension's:
 * svm.c, vmx.c.
 */
#include <linux/errno.h>
#include <linux/gfp.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <asm/msr-index.h>

#include "arch.h"
#include "fault.h"
#include "instructions.h"
#include "mercury_test.h"

static void execute(void *data)
{
	struct job *job = data;

	job->known = svm_instruction(job) || vmx_instruction(job);
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
