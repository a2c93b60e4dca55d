// SPDX-License-Identifier: GPL-2.0
/*
 * Calls that a guest can make: of Linux's hyp stub (hvc), the same with another
 * immediate (hvc1), and of the firmware (smc), on a given CPU, and what X0 holds
 * afterwards.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/string.h>

#include "arch.h"
#include "mercury_test.h"

struct job {
	const char *name;
	u64 number;
	u64 argument;
	u64 answered;
	bool known;
};

#define CALL(instruction, job)                                                 \
	({                                                                     \
		register u64 x0_ asm("x0") = (job)->number;                    \
		register u64 x1_ asm("x1") = (job)->argument;                  \
		register u64 x2_ asm("x2") = 0;                                \
		register u64 x3_ asm("x3") = 0;                                \
		asm volatile(instruction                                       \
			     : "+r"(x0_), "+r"(x1_), "+r"(x2_), "+r"(x3_)      \
			     :                                                 \
			     : "x4", "x5", "x6", "x7", "x8", "x9", "x10",      \
			       "x11", "x12", "x13", "x14", "x15", "x16",       \
			       "x17", "memory");                               \
		x0_;                                                           \
	})

static void execute(void *data)
{
	struct job *job = data;

	job->known = true;
	if (!strcmp(job->name, "hvc"))
		job->answered = CALL("hvc #0", job);
	else if (!strcmp(job->name, "hvc1"))
		job->answered = CALL("hvc #1", job);
	else if (!strcmp(job->name, "smc"))
		job->answered = CALL("smc #0", job);
	else
		job->known = false;
}

int command_instruction(const char *words, struct answer *answer)
{
	struct job job = {};
	char name[16];
	int cpu, error;

	if (sscanf(words, "%d %15s %llx %llx", &cpu, name, &job.number, &job.argument) < 3)
		return -EINVAL;
	job.name = name;
	error = on_cpu(cpu, execute, &job);
	if (error)
		return error;
	if (!job.known)
		return -EINVAL;
	answer_add(answer, "answered %#llx\n", job.answered);
	return 0;
}
