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
#include <asm/desc.h>
#include <asm/msr.h>
#include <asm/processor-flags.h>
#include <asm/special_insns.h>
#include <asm/tlbflush.h>

#include "mercury.h"

enum { IDLE, SENT, RUNNING, DONE, CALLED_OFF };

struct slot {
	call_single_data_t csd;
	atomic_t state;
	struct mercury_visit visit;
};

static DEFINE_PER_CPU(struct slot, slots);

/* The descriptor behind a selector, 0 for a null one: the image cannot read
 * the kernel's tables. */
static u64 descriptor(unsigned int selector, const struct desc_ptr *gdt)
{
	u64 base = gdt->address, limit = gdt->size;

	if (!(selector & ~7u) && !(selector & 4))
		return 0;
	if (selector & 4) {
		const struct desc_struct *ldt;
		u16 ldtr;

		asm("sldt %0" : "=r"(ldtr));
		if (!(ldtr & ~7u))
			return 0;
		ldt = (const void *)(gdt->address + (ldtr & ~7u));
		base = get_desc_base(ldt) | (u64)((const u32 *)ldt)[2] << 32;
		limit = get_desc_limit(ldt);
	}
	/* A selector may outlive its descriptor. */
	return (selector | 7) <= limit ? *(const u64 *)(base + (selector & ~7u)) : 0;
}

static void note_segments(struct mercury_door *door)
{
	struct desc_ptr gdt;
	unsigned int selectors[4], segment;

	native_store_gdt(&gdt);
	asm("mov %%cs, %0" : "=r"(selectors[0]));
	asm("mov %%ss, %0" : "=r"(selectors[1]));
	asm("mov %%ds, %0" : "=r"(selectors[2]));
	asm("mov %%es, %0" : "=r"(selectors[3]));
	for (segment = 0; segment < 4; segment++) {
		door->noted.segments[segment].selector = selectors[segment] & 0xffff;
		door->noted.segments[segment].descriptor = descriptor(selectors[segment] & 0xffff, &gdt);
	}
}

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
	door->noted.host_control4 = __read_cr4() & (X86_CR4_PAE | X86_CR4_LA57 | X86_CR4_MCE);
	note_segments(door);
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
	visit->begin = rdtsc();
	while (count--)
		mercury_call(MERCURY_CALL_BASE | MERCURY_CALL_NULL, 0, visit->words);
	visit->end = rdtsc();
}

/*
 * Breakpoints are put aside while the image runs: its addresses are a user's
 * too, and a debugger's watchpoint on one of them must not fire in it.
 */
static unsigned long disarm(void)
{
	unsigned long dr7;

	asm volatile("mov %%db7, %0" : "=r"(dr7));
	if (!(dr7 & 0xff))
		return 0;
	asm volatile("mov %0, %%db7" : : "r"(0x400ul));
	return dr7;
}

static void arm(unsigned long dr7)
{
	if (dr7)
		asm volatile("mov %0, %%db7" : : "r"(dr7));
}

static void carry_out(struct mercury_visit *visit)
{
	bool enters = visit->kind == MERCURY_VISIT_DOOR && visit->number == MERCURY_OPERATION_ENTER;
	bool leaves = visit->kind == MERCURY_VISIT_CALL && visit->number == MERCURY_CALL_DETACH;
	unsigned long breakpoints = 0;
	int cpu = smp_processor_id();

	if (enters || leaves)
		mercury_observe_before(cpu, leaves);
	visit->begin = rdtsc();
	if (leaves || visit->kind == MERCURY_VISIT_DOOR)
		breakpoints = disarm();
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
	arm(breakpoints);
	if (visit->kind != MERCURY_VISIT_NULL_CALLS)
		visit->end = rdtsc();
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

	if (atomic_cmpxchg(&slot->state, SENT, RUNNING) != SENT) {
		atomic_cmpxchg(&slot->state, CALLED_OFF, IDLE);
		return;
	}
	carry_out(&slot->visit);
	atomic_set_release(&slot->state, DONE);
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
	if (atomic_read_acquire(&slot->state) == CALLED_OFF)
		return -ETIMEDOUT;
	slot->visit = *visit;
	slot->csd.func = arrive;
	slot->csd.info = slot;
	atomic_set_release(&slot->state, SENT);
	error = smp_call_function_single_async(cpu, &slot->csd);
	if (error) {
		atomic_set(&slot->state, IDLE);
		return error;
	}
	while (atomic_read_acquire(&slot->state) != DONE) {
		if (time_after(jiffies, deadline) && atomic_cmpxchg(&slot->state, SENT, CALLED_OFF) == SENT)
			return -ETIMEDOUT;
		cpu_relax();
	}
	*visit = slot->visit;
	return 0;
}
