/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Numbers that a seed fixes: Marsaglia's xorshift (Journal of Statistical
 * Software 8, 2003), so that a run that went wrong can be had again.
 */
#ifndef MERCURY_TEST_RANDOM_H
#define MERCURY_TEST_RANDOM_H

#include <linux/types.h>

struct random {
	u64 state; /* not 0 */
};

static inline void random_begin(struct random *random, u64 seed)
{
	random->state = seed * 0x9e3779b97f4a7c15 | 1;
}

static inline u64 random_next(struct random *random)
{
	random->state ^= random->state << 13;
	random->state ^= random->state >> 7;
	random->state ^= random->state << 17;
	return random->state;
}

/* Any word, but words of few bits and words near a power of two more often. */
static inline u64 random_word(struct random *random)
{
	u64 word = random_next(random);

	switch (random_next(random) & 3) {
	case 0:
		return word & 0xff;
	case 1:
		return (1ull << (word & 63)) + (word >> 61) - 4;
	default:
		return word;
	}
}

/* Mercury's hypercalls (mercury_door.h): what they begin with, and the one that
 * a kernel may make and that would let the CPU go. A host test holds them to the
 * header: `the_hostile_module_knows_every_call`. */
#define HOSTILE_CALL_BASE 0x4d45524300000000
#define HOSTILE_CALL_DETACH (HOSTILE_CALL_BASE | 2)
/* Proof pages are themselves again. */
#define HOSTILE_CALL_RESTORE (HOSTILE_CALL_BASE | 7)
#define HOSTILE_CALL_LAST (HOSTILE_CALL_BASE | 18)

/* A hypercall's number: half of them Mercury's own or nearly. */
static inline u64 random_call(struct random *random)
{
	u64 number = random_word(random);

	if (random_next(random) & 1)
		number = HOSTILE_CALL_BASE | (number & 0x1f);
	return number == HOSTILE_CALL_DETACH ? 0 : number;
}

#endif
