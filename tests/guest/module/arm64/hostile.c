// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel that means harm, or has lost its mind: a seeded sequence of calls of
 * the hypervisor's and of the firmware's, on one CPU. Each has its right answer,
 * the one that Linux's stub at EL2, or firmware, would give:
 *
 *   HVC with any number but Mercury's detach and the stub's SOFT_RESTART, with
 *   which a kernel may leave, and with any immediate
 *   SMC with functions that no firmware has (vendor's own, DEN0028)
 *
 * Registers of EL2 are undefined at EL1, with Mercury or without, and Linux has
 * no fixup for that.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/string.h>

#include "arch.h"
#include "mercury_test.h"
#include "random.h"

#define STUB_SOFT_RESTART 1
#define STUB_RESET_VECTORS 2
#define STUB_UNKNOWN 0xbadca11
#define FIRMWARE_UNKNOWN 0xffffffff
#define ACTS 3

struct run {
	u64 seed;
	unsigned int left;
	u64 done[ACTS];
	/* The first answer that was wrong: which act, with what, and the answer. */
	u64 wrong, act, with, answered;
};

#define CALL(instruction, number, argument)                                    \
	({                                                                     \
		register u64 x0_ asm("x0") = number;                           \
		register u64 x1_ asm("x1") = argument;                         \
		register u64 x2_ asm("x2") = argument;                         \
		register u64 x3_ asm("x3") = argument;                         \
		asm volatile(instruction                                       \
			     : "+r"(x0_), "+r"(x1_), "+r"(x2_), "+r"(x3_)      \
			     :                                                 \
			     : "x4", "x5", "x6", "x7", "x8", "x9", "x10",      \
			       "x11", "x12", "x13", "x14", "x15", "x16",       \
			       "x17", "memory");                               \
		x0_;                                                           \
	})

static void expect(struct run *run, unsigned int act, u64 with, u64 answered, bool right)
{
	run->done[act]++;
	if (!right && !run->wrong++) {
		run->act = act;
		run->with = with;
		run->answered = answered;
	}
}

static bool answers(u64 number, u64 answered)
{
	if (number >= HOSTILE_CALL_BASE && number <= HOSTILE_CALL_LAST)
		return answered >> 32 == HOSTILE_CALL_BASE >> 32;
	return answered == (number == STUB_RESET_VECTORS ? 0 : STUB_UNKNOWN);
}

static void call(struct run *run, struct random *random, unsigned int act)
{
	u64 number = random_call(random), argument = random_word(random), answered;

	if (number == STUB_SOFT_RESTART)
		number = 0;
	if (!act)
		answered = CALL("hvc #0", number, argument);
	else if (random_next(random) & 1)
		answered = CALL("hvc #1", number, argument);
	else
		answered = CALL("hvc #0xffff", number, argument);
	expect(run, act, number, answered, answers(number, answered));
}

static void firmware(struct run *run, struct random *random)
{
	/* Fast, 32 bits, of a silicon provider: 0x82000000 and up. */
	u64 number = 0x82000000 | (random_next(random) & 0xffff);
	u64 answered = CALL("smc #0", number, random_word(random));

	expect(run, 2, number, answered, (u32)answered == FIRMWARE_UNKNOWN);
}

static void rage(void *data)
{
	struct run *run = data;
	struct random random;

	random_begin(&random, run->seed);
	for (; run->left; run->left--) {
		unsigned int act = random_next(&random) % ACTS;

		if (act == 2)
			firmware(run, &random);
		else
			call(run, &random, act);
	}
	CALL("hvc #0", HOSTILE_CALL_RESTORE, 0);
}

int command_hostile(const char *words, struct answer *answer)
{
	struct run run = {};
	unsigned int act;
	int cpu, error;

	/* A fourth word is x86's. */
	if (sscanf(words, "%d %llu %u", &cpu, &run.seed, &run.left) != 3)
		return -EINVAL;
	error = on_cpu(cpu, rage, &run);
	if (error)
		return error;
	for (act = 0; act < ACTS; act++)
		answer_add(answer, "act%u %llu\n", act, run.done[act]);
	answer_add(answer, "wrong %llu\nact %llu\nwith %#llx\nanswered %#llx\n",
		   run.wrong, run.act, run.with, run.answered);
	return 0;
}
