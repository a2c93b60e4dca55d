// SPDX-License-Identifier: GPL-2.0
/*
 * Touching physical addresses that belong to nobody: one access of 8 bytes, by
 * one CPU or by all of them at the same moment.
 *
 * The page is mapped as a driver would map a device's registers. An access
 * there reads all ones or zeros, a store is dropped; under Mercury the first one finds
 * a gap in the nested map. Where that cannot be closed the access traps, which
 * the exception table catches.
 */
#include <linux/atomic.h>
#include <linux/cpu.h>
#include <linux/errno.h>
#include <linux/io.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/smp.h>
#include <linux/string.h>

#include "arch.h"
#include "fault.h"
#include "mercury_test.h"

#define EVERY_CPU (-1)

struct job {
	u8 __iomem *at;
	bool write;
	int cpus;	 /* that come together before anyone touches */
	atomic_t arrived;
	atomic_t traps;
	long trap;	 /* of the last that had one */
	u64 value;	 /* of whoever came last */
};

static void execute(void *data)
{
	struct job *job = data;
	u64 value = 0;
	long trap = NO_TRAP;

	atomic_inc(&job->arrived);
	while (atomic_read(&job->arrived) < job->cpus)
		cpu_relax();
	if (job->write)
		asm volatile("1:	movq	%[v], (%[p])\n"
			     "2:\n"
			     _ASM_EXTABLE_FAULT(1b, 2b)
			     : "+a"(trap)
			     : [p] "r"(job->at), [v] "r"(value)
			     : "memory");
	else
		asm volatile("1:	movq	(%[p]), %[v]\n"
			     "2:\n"
			     _ASM_EXTABLE_FAULT(1b, 2b)
			     : "+a"(trap), [v] "+r"(value)
			     : [p] "r"(job->at)
			     : "memory");
	if (trap != NO_TRAP) {
		atomic_inc(&job->traps);
		job->trap = trap;
	}
	job->value = value;
}

int command_touch(const char *words, struct answer *answer)
{
	struct job job = { .cpus = 1, .trap = NO_TRAP };
	unsigned long long address;
	char name[8];
	int cpu, error = 0;

	if (sscanf(words, "%d %llx %7s", &cpu, &address, name) != 3)
		return -EINVAL;
	job.write = !strcmp(name, "write");
	if (!job.write && strcmp(name, "read"))
		return -EINVAL;
	job.at = ioremap(address & ~7ull, 8);
	if (!job.at)
		return -ENXIO;
	if (cpu == EVERY_CPU) {
		cpus_read_lock();
		job.cpus = num_online_cpus();
		on_each_cpu(execute, &job, 1);
		cpus_read_unlock();
	} else {
		error = on_cpu(cpu, execute, &job);
	}
	iounmap(job.at);
	if (!error)
		answer_add(answer, "trap %ld\ntraps %d\nvalue %#llx\n", job.trap,
			   atomic_read(&job.traps), job.value);
	return error;
}
