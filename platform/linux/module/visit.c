// SPDX-License-Identifier: GPL-2.0
/*
 * A visit: something done on one CPU with its IRQs off.
 *
 * It is an IPI, and the wait for its arrival has a deadline: a CPU that does not
 * come in time finds its visit called off when it comes at last. (One that has
 * come is waited for: it is inside, with its IRQs off, and cannot stay.) Nothing here
 * allocates, and nothing is on the waiter's stack, so a late CPU touches
 * nothing that is gone. There is one visitor at a time: whoever holds the
 * machine's lock. The waiter spins: an IPI is faster than a sleep.
 */
#include <linux/io.h>
#include <linux/cpumask.h>
#include <linux/jiffies.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/smp.h>

#include "mercury.h"
#include "rendezvous.h"

struct slot {
	call_single_data_t csd;
	mercury_word state;
	struct mercury_visit visit;
};

static DEFINE_PER_CPU(struct slot, slots);

/* In a build for tests, with a look at the registers that a call must keep. */
static u64 mercury_detach_call(u64 *words)
{
#ifdef MERCURY_TESTING
	return mercury_call_guarded(MERCURY_CALL_BASE | MERCURY_CALL_DETACH, 0, words);
#else
	return mercury_call(MERCURY_CALL_BASE | MERCURY_CALL_DETACH, 0, words);
#endif
}

/* IRQs are off, and this CPU's door is not in the hole: it runs natively. */
static u64 through_door(u64 operation, const u64 arguments[4], u64 words[8])
{
	struct mercury_door *door = mercury_machine.doors[smp_processor_id()];
	u64 result;

	door->operation = operation;
	memcpy(door->arguments, arguments, sizeof(door->arguments));
	mercury_note_cpu(door);
	result = mercury_door(door);
	/* As a guest, the door reads zero; only a native call has words. */
	if (operation == MERCURY_OPERATION_LOG)
		memcpy(words, door->words, sizeof(door->words));
	return result;
}

static void null_calls(struct mercury_visit *visit)
{
	u64 count = visit->arguments[0];

	visit->status = mercury_call(MERCURY_CALL_BASE | MERCURY_CALL_NULL, 0, visit->words);
	if (!mercury_succeeded(visit->status))
		return;
	visit->begin = mercury_ticks();
	while (count--)
		mercury_call(MERCURY_CALL_BASE | MERCURY_CALL_NULL, 0, visit->words);
	visit->end = mercury_ticks();
}

static void carry_out(struct mercury_visit *visit)
{
	bool enters = visit->kind == MERCURY_VISIT_DOOR && visit->number == MERCURY_OPERATION_ENTER;
	bool leaves = visit->kind == MERCURY_VISIT_CALL && visit->number == MERCURY_CALL_DETACH;
	unsigned long breakpoints = 0;
	int cpu = smp_processor_id();

	if (enters || leaves)
		mercury_observe_before(cpu, leaves);
	visit->begin = mercury_ticks();
	/* Any call may be the one at which a dead image frees this CPU. */
	if (visit->kind != MERCURY_VISIT_FACTS && visit->kind != MERCURY_VISIT_NULL_CALLS)
		breakpoints = mercury_disarm();
	switch (visit->kind) {
	case MERCURY_VISIT_FACTS:
		mercury_facts_read(&visit->facts);
		break;
	case MERCURY_VISIT_DOOR:
		visit->status = through_door(visit->number, visit->arguments, visit->words);
		break;
	case MERCURY_VISIT_CALL:
		visit->status = leaves ? mercury_detach_call(visit->words) :
				mercury_call(MERCURY_CALL_BASE | visit->number, visit->arguments[0],
					     visit->words);
		break;
	case MERCURY_VISIT_PROOF:
		mercury_prove_here(&visit->proof);
		break;
	case MERCURY_VISIT_NULL_CALLS:
		null_calls(visit);
		break;
	}
	mercury_arm(breakpoints);
	if (visit->kind != MERCURY_VISIT_NULL_CALLS)
		visit->end = mercury_ticks();
	if (enters || leaves)
		mercury_observe_after(cpu, leaves, visit->status & 0xffff);
}

void mercury_visit_here(struct mercury_visit *visit)
{
	unsigned long flags;

	local_irq_save(flags);
	carry_out(visit);
	local_irq_restore(flags);
}

static void arrive(void *info)
{
	struct slot *slot = info;

	if (!mercury_visit_begin(&slot->state))
		return;
	carry_out(&slot->visit);
	mercury_visit_end(&slot->state);
}

/* The machine's lock is held. */
int mercury_visit(int cpu, struct mercury_visit *visit)
{
	unsigned long deadline = jiffies + msecs_to_jiffies(MERCURY_DEADLINE_MS);
	struct slot *slot = per_cpu_ptr(&slots, cpu);
	int error;

	if (mercury_inject(MERCURY_POINT_ARRIVE, cpu))
		return -ETIMEDOUT;
	/* Until a visit that was called off has arrived, its slot is taken. */
	if (!mercury_visit_is_free(&slot->state))
		return -ETIMEDOUT;
	slot->visit = *visit;
	slot->csd.func = arrive;
	slot->csd.info = slot;
	mercury_visit_send(&slot->state);
	error = smp_call_function_single_async(cpu, &slot->csd);
	if (error) {
		mercury_visit_withdraw(&slot->state);
		return error;
	}
	while (!mercury_visit_is_done(&slot->state)) {
		if (time_after(jiffies, deadline) && mercury_visit_call_off(&slot->state))
			return -ETIMEDOUT;
		cpu_relax();
	}
	*visit = slot->visit;
	return 0;
}
