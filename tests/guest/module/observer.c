// SPDX-License-Identifier: GPL-2.0
/*
 * Watching the door: what a CPU's registers are immediately before and
 * immediately after it goes through, interrupts off on both sides.
 *
 * mercury.ko, built for tests, calls before() and after() around the door of
 * each CPU. Nothing runs in between but the door, so every register must be
 * the same, with one exception that is checked as well: under SVM EFER.SVME is set
 * in a guest and clear natively. (VMX hides its own bit.)
 *
 * Half of the passages look at the state as they find it. The other half plant
 * values first (and take them out again): a register that happens to be zero
 * would hide that it is lost.
 *
 * When a CPU has left, its state is also compared with what it was when it
 * entered, long ago: damage done on the way in and seen as "unchanged" on the
 * way out would be missed otherwise.
 */
#include <linux/kernel.h>
#include <linux/string.h>

#include "mercury_test.h"
#include "observer.h"

struct watch **watches;
int take_on = -1;

static void plant(struct watch *watch, int cpu)
{
	watch->before_planting = watch->task;
	watch->vectors_before_planting = watch->vectors;
	arch_plant(watch, cpu);
	write_task_state(&watch->task);
	write_vectors(&watch->vectors);
	watch->is_planted = true;
	watch->planted++;
}

static void uproot(struct watch *watch)
{
	write_vectors(&watch->vectors_before_planting);
	write_task_state(&watch->before_planting);
	watch->is_planted = false;
}

static void note(struct watch *watch, int direction, int which, u64 expected, u64 found)
{
	struct finding *finding = &watch->findings[direction][which];

	watch->total++;
	if (!finding->count++) {
		finding->expected = expected;
		finding->found = found;
	}
}

static void before(int cpu, int direction)
{
	struct watch *watch = watches[cpu];

	read_vectors(&watch->vectors);
	read_task_state(&watch->task);
	read_cpu_state(&watch->cpu);
	if (direction == 0) {
		watch->at_attach = watch->cpu;
		watch->has_entered = true;
	}
	/* Over a round trip both directions see both kinds. */
	if (++watch->turn & 2)
		plant(watch, cpu);
	if (direction == 0 && cpu == take_on)
		arch_take(watch);
	watch->clock = arch_clock();
}

static void compare_cpu(struct watch *watch, int direction, const struct cpu_state *found)
{
	int index;

	for (index = 0; index < CPU_COUNT; index++) {
		u64 then = watch->at_attach.value[index];

		if ((watch->cpu.value[index] ^ found->value[index]) & ~arch_ignored(index, false))
			note(watch, direction, FINDING_CPU + index,
			     watch->cpu.value[index], found->value[index]);
		if (direction == 1 && watch->has_entered &&
		    (then ^ found->value[index]) & ~arch_ignored(index, true))
			note(watch, direction, FINDING_SINCE_ATTACH + index,
			     then, found->value[index]);
	}
}

/*
 * Mercury was found to do damage (it has been told to, by a mutant). The
 * damage is noted; were it left, the kernel or some process would die of it.
 */
static void heal(struct watch *watch, bool guest)
{
	if (!guest && watch->has_entered) {
		struct cpu_state native = watch->at_attach;

		arch_keep_newer(&native, &watch->cpu);
		write_cpu_state(&native);
	}
	write_vectors(&watch->vectors);
	write_task_state(&watch->task);
}

static void after(int cpu, int direction, int result)
{
	struct watch *watch = watches[cpu];
	u64 clock = arch_clock(), seen;
	struct task_state task;
	struct cpu_state state;
	bool guest = (direction == 0) == (result == 0);
	u64 findings = watch->total;
	int index;

	/* What was taken is given back, unless Mercury went in over it. */
	if (direction == 0 && cpu == take_on && result)
		arch_give_back(watch);
	read_cpu_state(&state);
	arch_before_vectors(&state);
	read_vectors(&watch->vectors_found);
	read_task_state(&task);
	for (index = 0; index < TASK_COUNT; index++)
		if (task.value[index] != watch->task.value[index])
			note(watch, direction, FINDING_TASK + index,
			     watch->task.value[index], task.value[index]);
	for (index = 0; index < VECTORS; index++)
		if (memcmp(watch->vectors.byte[index], watch->vectors_found.byte[index], VECTOR_BYTES))
			note(watch, direction, FINDING_VECTOR + index,
			     *(u64 *)watch->vectors.byte[index],
			     *(u64 *)watch->vectors_found.byte[index]);
	compare_cpu(watch, direction, &state);
	if (arch_view_is_wrong(&state, guest, &seen))
		note(watch, direction, FINDING_VIEW, guest, seen);
	/* Forward, and by less than some ten seconds of any clock. */
	if (clock - watch->clock > 1ull << 36)
		note(watch, direction, FINDING_CLOCK, watch->clock, clock);
	watch->passages[direction]++;
	if (result)
		watch->failed[direction]++;
	if (watch->total != findings)
		heal(watch, guest);
	if (watch->is_planted)
		uproot(watch);
}

const struct mercury_observer door_observer = { .before = before, .after = after };
