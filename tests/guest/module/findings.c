// SPDX-License-Identifier: GPL-2.0
/*
 * Switching the observer on and off, and putting what it found into words.
 */
#include <linux/cpumask.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "mercury_test.h"
#include "observer.h"

static typeof(&mercury_set_observer) set_observer;

static void forget(void)
{
	int cpu;

	if (!watches)
		return;
	for (cpu = 0; cpu < nr_cpu_ids; cpu++)
		kfree(watches[cpu]);
	kfree(watches);
	watches = NULL;
}

static int start(void)
{
	int cpu, error;

	if (set_observer)
		return -EBUSY;
	forget();
	watches = kcalloc(nr_cpu_ids, sizeof(*watches), GFP_KERNEL);
	if (!watches)
		return -ENOMEM;
	for_each_possible_cpu(cpu) {
		watches[cpu] = kzalloc(sizeof(**watches), GFP_KERNEL);
		if (!watches[cpu])
			return -ENOMEM;
	}
	/* Found by name and pinned: this module does not need that one to load. */
	set_observer = symbol_get(mercury_set_observer);
	if (!set_observer)
		return -ENOENT;
	error = set_observer(&door_observer);
	if (error) {
		symbol_put(mercury_set_observer);
		set_observer = NULL;
	}
	return error;
}

void observer_stop(void)
{
	if (set_observer) {
		set_observer(NULL);
		symbol_put(mercury_set_observer);
		set_observer = NULL;
	}
	forget();
}

static void name_finding(int which, char *name, size_t size)
{
	if (which < FINDING_CPU)
		snprintf(name, size, "%s", task_register_names[which - FINDING_TASK]);
	else if (which < FINDING_SINCE_ATTACH)
		snprintf(name, size, "%s", cpu_register_names[which - FINDING_CPU]);
	else if (which < FINDING_VECTOR)
		snprintf(name, size, "%s-since-attach",
			 cpu_register_names[which - FINDING_SINCE_ATTACH]);
	else if (which < FINDING_VIEW)
		snprintf(name, size, "%s%d", arch_vector_name, which - FINDING_VECTOR);
	else
		snprintf(name, size, "%s", which == FINDING_VIEW ? arch_view_name : "clock");
}

static void report(struct answer *answer)
{
	int cpu, direction, which;
	char name[40];

	if (!watches)
		return;
	for_each_possible_cpu(cpu) {
		struct watch *watch = watches[cpu];

		if (!watch)
			continue;
		answer_add(answer, "cpu %d attaches %llu failed %llu detaches %llu failed %llu planted %llu\n",
			   cpu, watch->passages[0], watch->failed[0],
			   watch->passages[1], watch->failed[1], watch->planted);
		for (direction = 0; direction < 2; direction++)
			for (which = 0; which < FINDING_COUNT; which++) {
				struct finding *finding = &watch->findings[direction][which];

				if (!finding->count)
					continue;
				name_finding(which, name, sizeof(name));
				answer_add(answer, "differs %s cpu %d direction %s times %llu expected %#llx found %#llx\n",
					   name, cpu, direction ? "detach" : "attach",
					   finding->count, finding->expected, finding->found);
			}
	}
}

int command_observer(const char *words, struct answer *answer)
{
	if (!strcmp(words, "on"))
		return start();
	if (!strncmp(words, "take ", 5))
		return kstrtoint(words + 5, 10, &take_on);
	if (!strcmp(words, "off")) {
		take_on = -1;
		observer_stop();
		return 0;
	}
	if (!strcmp(words, "report")) {
		report(answer);
		return 0;
	}
	return -EINVAL;
}
