// SPDX-License-Identifier: GPL-2.0
/*
 * Exits in the log.
 *
 * The image records each exit while somebody wants it: whoever has a descriptor
 * open and asked with it (MERCURY_IOC_TRACE). So a reader that is killed leaves
 * nothing switched on. An image is told when the first one asks, or after its
 * attach if that comes later, and when the last one goes.
 *
 * A misc device leaves private_data to its driver once open() is over: here it
 * says whether this descriptor is one of those.
 */
#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/fs.h>
#include <linux/slab.h>

#include "mercury.h"

static unsigned int wanted_by;	/* the machine's lock guards it */

/* One answer will do: it is one word for all CPUs. */
static void tell(bool wanted)
{
	struct mercury_visit *visit;
	int cpu;

	if (mercury_machine.stage != MERCURY_STAGE_ATTACHED)
		return;
	visit = kzalloc(sizeof(*visit), GFP_KERNEL | __GFP_NOFAIL);
	cpus_read_lock();
	for_each_online_cpu(cpu) {
		visit->kind = MERCURY_VISIT_CALL;
		visit->number = MERCURY_CALL_TRACE;
		visit->arguments[0] = wanted;
		if (!mercury_visit(cpu, visit) && mercury_succeeded(visit->status))
			break;
	}
	cpus_read_unlock();
	kfree(visit);
}

void mercury_trace_want(struct file *file, bool wanted)
{
	bool before = file->private_data == &wanted_by;

	if (wanted == before)
		return;
	file->private_data = wanted ? &wanted_by : NULL;
	wanted_by += wanted ? 1 : -1;
	if (wanted_by == wanted)
		tell(wanted);
}

void mercury_trace_forget(struct file *file)
{
	if (file->private_data != &wanted_by)
		return;
	mutex_lock(&mercury_machine.lock);
	mercury_trace_want(file, false);
	mutex_unlock(&mercury_machine.lock);
}

void mercury_trace_begin(void)
{
	if (wanted_by)
		tell(true);
}
