/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the observer keeps of each CPU: what it saw before the door, what it
 * planted, and every difference that it found behind it.
 */
#ifndef MERCURY_TEST_OBSERVER_H
#define MERCURY_TEST_OBSERVER_H

#include <linux/types.h>

#include "mercury_observer.h"
#include "state.h"

#define VECTORS 16

enum {
	FINDING_TASK = 0,
	FINDING_CPU = FINDING_TASK + TASK_COUNT,
	FINDING_SINCE_ATTACH = FINDING_CPU + CPU_COUNT,
	FINDING_VECTOR = FINDING_SINCE_ATTACH + CPU_COUNT,
	FINDING_SVME = FINDING_VECTOR + VECTORS,
	FINDING_CLOCK,
	FINDING_COUNT,
};

struct finding {
	u64 count;
	u64 expected; /* of the first one */
	u64 found;
};

struct vectors {
	u8 byte[VECTORS][32];
};

/* One CPU's. */
struct watch {
	struct task_state task;
	struct task_state before_planting;
	struct cpu_state cpu;
	struct cpu_state at_attach;
	struct vectors vectors __aligned(32);
	struct vectors vectors_before_planting __aligned(32);
	struct vectors vectors_found __aligned(32);
	u64 clock;
	u64 passages[2];
	u64 failed[2];
	u64 planted;
	u64 total; /* differences of all kinds */
	u32 turn;
	bool is_planted;
	bool has_entered;
	struct finding findings[2][FINDING_COUNT];
};

/* By CPU; NULL for CPUs that are not possible. */
extern struct watch **watches;

/*
 * On this CPU somebody else takes the virtualization extension (sets
 * EFER.SVME) between Mercury's probe and its entry; -1: nobody does.
 */
extern int take_on;

/* What mercury.ko calls. */
extern const struct mercury_observer door_observer;

#endif
