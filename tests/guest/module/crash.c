// SPDX-License-Identifier: GPL-2.0
/*
 * The end of the kernel, from where it may come: `crash WAY CPU`.
 *
 *   oops			a store to nowhere, in this process
 *   irq			a panic in an interrupt between CPUs
 *   timer		a panic in the timer's interrupt, which the machine needs afterwards:
 *			the interrupt controller still has it as being handled
 *   softirq		a panic in a tasklet
 *   irqs-off		a panic here, while that CPU spins with its IRQs off
 *
 *   resume		nothing now, but a panic whenever the machine wakes up from a sleep
 *
 * and what an architecture adds (arch_crash).
 */
#include <linux/errno.h>
#include <linux/hrtimer.h>
#include <linux/interrupt.h>
#include <linux/irqflags.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/panic.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/syscore_ops.h>

#include "mercury_test.h"

static void die(struct tasklet_struct *unused)
{
	panic(CRASH_TEXT);
}
static DECLARE_TASKLET(deadly, die);

static enum hrtimer_restart die_in_time(struct hrtimer *unused)
{
	panic(CRASH_TEXT);
}

static void die_in_a_moment(void *unused)
{
	static struct hrtimer timer;

	hrtimer_init(&timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED_HARD);
	timer.function = die_in_time;
	hrtimer_start(&timer, ms_to_ktime(1), HRTIMER_MODE_REL_PINNED_HARD);
}

static void die_in_interrupt(void *unused)
{
	panic(CRASH_TEXT);
}

static void die_soon(void *unused)
{
	tasklet_schedule(&deadly);
}

static void spin(void *spinning)
{
	WRITE_ONCE(*(bool *)spinning, true);
	for (;;)
		cpu_relax();
}

/* That CPU, or if it is this one, another. */
int another_cpu(int cpu)
{
	if (cpu != raw_smp_processor_id())
		return cpu;
	return cpumask_any_but(cpu_online_mask, cpu);
}

static void die_waking(void)
{
	panic(CRASH_TEXT);
}
static struct syscore_ops waking = { .resume = die_waking };

int command_crash(const char *words, struct answer *answer)
{
	static bool spinning;
	char way[16];
	int cpu;

	if (sscanf(words, "%15s %d", way, &cpu) != 2 || cpu < 0 || cpu >= nr_cpu_ids || !cpu_online(cpu))
		return -EINVAL;
	if (!strcmp(way, "oops")) {
		/* Hidden from the compiler, which would make it a trap. */
		int *nowhere = RELOC_HIDE((int *)NULL, 16);

		WRITE_ONCE(*nowhere, 0);
		return 0;
	}
	if (!strcmp(way, "irq"))
		return on_cpu(cpu, die_in_interrupt, NULL);
	if (!strcmp(way, "timer"))
		return on_cpu(cpu, die_in_a_moment, NULL);
	if (!strcmp(way, "softirq"))
		return on_cpu(cpu, die_soon, NULL);
	if (!strcmp(way, "resume")) {
		/* For good: the module cannot be unloaded any more. */
		__module_get(THIS_MODULE);
		register_syscore_ops(&waking);
		return 0;
	}
	if (!strcmp(way, "irqs-off")) {
		preempt_disable();
		smp_call_function_single(another_cpu(cpu), spin, &spinning, 0);
		while (!READ_ONCE(spinning))
			cpu_relax();
		panic(CRASH_TEXT);
	}
	return arch_crash(way, cpu);
}
