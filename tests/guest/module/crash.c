// SPDX-License-Identifier: GPL-2.0
/*
 * A panic inside an interrupt: the timer's, which the machine needs afterwards. The
 * interrupt controller still has it as being handled, and nobody will say that it is done.
 */
#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/kernel.h>

#include "mercury_test.h"

static struct hrtimer timer;

static enum hrtimer_restart crash(struct hrtimer *unused)
{
	panic("mercury_test: crash in an interrupt");
}

static void begin(void *unused)
{
	hrtimer_init(&timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED_HARD);
	timer.function = crash;
	hrtimer_start(&timer, ms_to_ktime(1), HRTIMER_MODE_REL_PINNED_HARD);
}

int command_crash(const char *words, struct answer *answer)
{
	int cpu, error = kstrtoint(words, 0, &cpu);

	error = error ?: on_cpu(cpu, begin, NULL);
	if (!error)
		msleep(1000);
	return error ?: -EIO;
}
