/* SPDX-License-Identifier: GPL-2.0 */
/*
 * All or nothing: the order in which CPUs go in, and what happens when one
 * cannot. No kernel header is used here: the host tests compile this file and
 * drive it against the core on the simulated machine, with every step of every
 * CPU failing once (tests/host).
 */
#ifndef MERCURY_WALK_H
#define MERCURY_WALK_H

struct mercury_walk {
	/* The first CPU after `cpu` (-1: the first), or a negative number. */
	int (*next)(void *context, int cpu);
	/* Takes a CPU in; 0 or a positive error number. */
	int (*enter)(void *context, int cpu);
	/* Takes a CPU out again that is in; 0 or a positive error number. */
	int (*leave)(void *context, int cpu);
	/* The commit, when `count` CPUs are in; 0 or a positive error number. */
	int (*seal)(void *context, int count);
	/* Whether the user has thought better of it. */
	int (*interrupted)(void *context);
};

enum mercury_walk_stop {
	MERCURY_WALK_DONE,	/* sealed */
	MERCURY_WALK_ENTRY,	/* a CPU could not enter */
	MERCURY_WALK_SEAL,	/* the seal was refused */
	MERCURY_WALK_INTERRUPTED,
};

struct mercury_walk_result {
	enum mercury_walk_stop stop;
	int cpu;		/* which, for MERCURY_WALK_ENTRY */
	int error;		/* what enter or seal returned */
	int stuck;		/* how many could not be taken out again: nothing may be freed */
};

/* Takes every CPU in, or none. */
static inline struct mercury_walk_result
mercury_walk_in(const struct mercury_walk *walk, void *context)
{
	struct mercury_walk_result result = { MERCURY_WALK_DONE, -1, 0, 0 };
	int last = -1, count = 0, cpu;

	for (cpu = walk->next(context, -1); cpu >= 0; cpu = walk->next(context, cpu)) {
		if (walk->interrupted(context)) {
			result.stop = MERCURY_WALK_INTERRUPTED;
			break;
		}
		result.error = walk->enter(context, cpu);
		if (result.error) {
			result.stop = MERCURY_WALK_ENTRY;
			result.cpu = cpu;
			break;
		}
		last = cpu;
		count++;
	}
	if (result.stop == MERCURY_WALK_DONE) {
		result.error = walk->seal(context, count);
		if (!result.error)
			return result;
		result.stop = MERCURY_WALK_SEAL;
	}
	/* Undo: everybody up to the last one that went in. */
	if (last >= 0)
		for (cpu = walk->next(context, -1); cpu >= 0; cpu = walk->next(context, cpu)) {
#ifdef MERCURY_PLANTED_CPU_LEFT
			if (cpu == last)
				break;
#endif
			result.stuck += !!walk->leave(context, cpu);
			if (cpu == last)
				break;
		}
	return result;
}

#endif
