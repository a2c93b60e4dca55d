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

enum {
	FINDING_TASK = 0,
	FINDING_CPU = FINDING_TASK + TASK_COUNT,
	FINDING_SINCE_ATTACH = FINDING_CPU + CPU_COUNT,
	FINDING_VECTOR = FINDING_SINCE_ATTACH + CPU_COUNT,
	FINDING_VIEW = FINDING_VECTOR + VECTORS,
	FINDING_CLOCK,
	FINDING_COUNT,
};

struct finding {
	u64 count;
	u64 expected; /* of the first one */
	u64 found;
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

/* ---- each architecture's (watch.c) ---- */

/* Names of the findings that are no register's: vectors, and the view. */
extern const char *const arch_vector_name;
extern const char *const arch_view_name;

u64 arch_clock(void);
/* Values that nobody has by chance, and that do nothing while interrupts are off. */
void arch_plant(struct watch *watch, int cpu);
/* Bits that may differ; since the attach, also those that are some task's. */
u64 arch_ignored(int cpu_register, bool since_attach);
/* Takes the extension after Mercury's probe, and gives it back. */
void arch_take(const struct watch *watch);
void arch_give_back(const struct watch *watch);
/* Whether this CPU sees that it is a guest where it is none, or the reverse. */
bool arch_view_is_wrong(const struct cpu_state *state, bool guest, u64 *seen);
/* Before vectors are read on a CPU that may have been damaged. */
void arch_before_vectors(const struct cpu_state *state);
/* What in `native` is newer than the attach, from before the door. */
void arch_keep_newer(struct cpu_state *native, const struct cpu_state *newer);

/* What mercury.ko calls. */
extern const struct mercury_observer door_observer;

#endif
