// SPDX-License-Identifier: GPL-2.0
/*
 * Plain stores to Mercury's frames by way of the kernel's own map of memory:
 * those that the hardware describes well enough for Mercury to drop them. What
 * Mercury refuses is tried in user mode (window.c): in the kernel Linux has no
 * fixup for an external abort. After each the frame is read as a whole.
 */
#include <linux/errno.h>
#include <linux/io.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "arch.h"
#include "mercury_test.h"

#define PATTERN 0xf7e6d5c4b3a29180ull

struct job {
	const char *name;
	u8 *frame;
	bool right;	/* the registers are as the instruction must leave them */
	bool zero;
	bool known;
};

/* One instruction on `at`, with a value and an index; all three must be kept. */
#define STORE(job, instruction)                                                \
	({                                                                     \
		u8 *at_ = (job)->frame + 64;                                   \
		u64 value_ = PATTERN, index_ = 2, next_ = 0;                   \
		asm volatile(instruction "\n"                                  \
			     "	mov	%[next], #1\n"                         \
			     : [at] "+r"(at_), [value] "+r"(value_),           \
			       [index] "+r"(index_), [next] "+r"(next_)        \
			     : : "memory");                                    \
		at_ == (job)->frame + 64 && value_ == PATTERN && index_ == 2 && next_ == 1; \
	})

static void strb(struct job *job) { job->right = STORE(job, "strb %w[value], [%[at]]"); }
static void strh(struct job *job) { job->right = STORE(job, "strh %w[value], [%[at]]"); }
static void strw(struct job *job) { job->right = STORE(job, "str %w[value], [%[at]]"); }
static void strx(struct job *job) { job->right = STORE(job, "str %[value], [%[at]]"); }
static void str_zero(struct job *job) { job->right = STORE(job, "str xzr, [%[at]]"); }
static void stlr(struct job *job) { job->right = STORE(job, "stlr %[value], [%[at]]"); }

static void str_indexed(struct job *job)
{
	job->right = STORE(job, "str %[value], [%[at], %[index], lsl #3]");
}

/* Nothing but the look that every job gets. */
static void look(struct job *job)
{
	job->right = true;
}

static const struct {
	const char *name;
	void (*run)(struct job *job);
} stores[] = {
	{ "read", look }, { "strb", strb }, { "strh", strh }, { "strw", strw }, { "str", strx },
	{ "str_zero", str_zero }, { "str_indexed", str_indexed }, { "stlr", stlr },
};

static void execute(void *data)
{
	struct job *job = data;
	int index;

	for (index = 0; index < ARRAY_SIZE(stores); index++)
		if (!strcmp(job->name, stores[index].name)) {
			job->known = true;
			stores[index].run(job);
		}
	job->zero = !memchr_inv(job->frame, 0, PAGE_SIZE);
}

int command_hole(const char *words, struct answer *answer)
{
	struct job job = {};
	unsigned long long address;
	char name[24];
	int cpu, error;

	if (sscanf(words, "%d %llx %23s", &cpu, &address, name) != 3)
		return -EINVAL;
	if (!pfn_valid(address >> PAGE_SHIFT))
		return -ENXIO;
	job.name = name;
	job.frame = __va(address & PAGE_MASK);
	error = on_cpu(cpu, execute, &job);
	if (!error && !job.known)
		error = -EINVAL;
	if (!error)
		answer_add(answer, "trap -1\nright %d\nzero %d\n", job.right, job.zero);
	return error;
}
