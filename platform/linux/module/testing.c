// SPDX-License-Identifier: GPL-2.0
/*
 * Failures and defects on purpose. Built only with MERCURY_TESTING=1.
 *
 *   inject    point[:n][@cpu]    the n-th passing of the point (on that CPU) fails
 *   override  fact=value[@cpu],...   what facts.c read is replaced
 *   die       way@cpu            the image dies on that CPU (image/.../provoke.rs: ways)
 *   mutant    one of `mutants`: a restore is left out; a check must notice
 */
#include <linux/cpu.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "mercury.h"
#include "mercury_observer.h"

static char inject[64];
static char override[256];
static char mutant[32];
module_param_string(inject, inject, sizeof(inject), 0600);
module_param_string(override, override, sizeof(override), 0600);
module_param_string(mutant, mutant, sizeof(mutant), 0600);

static const char *const points[] = {
	[MERCURY_POINT_ALLOC] = "alloc", [MERCURY_POINT_LARGE] = "large",
	[MERCURY_POINT_FIRMWARE] = "firmware", [MERCURY_POINT_FORGET] = "forget",
	[MERCURY_POINT_PREPARE] = "prepare", [MERCURY_POINT_ENTER] = "enter",
	[MERCURY_POINT_ASID0] = "asid0", [MERCURY_POINT_ARRIVE] = "arrive",
	[MERCURY_POINT_STUCK] = "stuck", [MERCURY_POINT_STAY] = "stay",
	[MERCURY_POINT_SEAL] = "seal", [MERCURY_POINT_SIGNAL] = "signal",
	[MERCURY_POINT_DIE] = "die",
	[MERCURY_POINT_HOOKS] = "hooks",
};

static atomic_t passed = ATOMIC_INIT(0);

void mercury_inject_reset(void)
{
	atomic_set(&passed, 0);
}

bool mercury_inject(enum mercury_point point, int cpu)
{
	size_t length = strlen(points[point]);
	const char *rest = inject + length;
	long at_cpu = -1, at_pass = 0;

	if (strncmp(inject, points[point], length) || (*rest && !strchr(":@\n", *rest)))
		return false;
	if (*rest == ':')
		at_pass = simple_strtoul(rest + 1, (char **)&rest, 0);
	if (*rest == '@')
		at_cpu = simple_strtoul(rest + 1, NULL, 0);
	if (at_cpu >= 0 && at_cpu != cpu)
		return false;
	return !at_pass || atomic_inc_return(&passed) == at_pass;
}

/* The facts by name, in the order of struct mercury_facts. */
static const char *const facts_names[] = { MERCURY_FACT_NAMES };
static_assert(ARRAY_SIZE(facts_names) == MERCURY_FACT_COUNT);

void mercury_override(struct mercury_facts *facts, int cpu)
{
	u64 *values = (u64 *)facts;
	const char *at = override;

	while (*at && *at != '\n') {
		size_t length = strcspn(at, "=");
		unsigned int index;
		long only = -1;
		char *end;
		u64 value;

		if (at[length] != '=')
			return;
		value = simple_strtoull(at + length + 1, &end, 0);
		if (*end == '@')
			only = simple_strtoul(end + 1, &end, 0);
		for (index = 0; index < MERCURY_FACT_COUNT; index++)
			if (strlen(facts_names[index]) == length && !strncmp(at, facts_names[index], length) &&
			    (only < 0 || only == cpu))
				values[index] = value;
		at = *end == ',' ? end + 1 : end;
		if (*end != ',')
			return;
	}
}

/* The image's mutants by name, from 1, and the module's own behind them. */
static const char *const image_mutants[] = { MERCURY_IMAGE_MUTANTS };
static const char *const mutants[] = { MERCURY_IMAGE_MUTANTS, "page_leak", "notifier_leak" };

u64 mercury_mutant(void)
{
	unsigned int index;

	for (index = 0; index < ARRAY_SIZE(image_mutants); index++)
		if (sysfs_streq(mutant, image_mutants[index]))
			return index + 1;
	return 0;
}

bool mercury_mutant_is(const char *name)
{
	return sysfs_streq(mutant, name);
}

static int show_mutants(char *buffer, const struct kernel_param *parameter)
{
	unsigned int index;
	int length = 0;

	for (index = 0; index < ARRAY_SIZE(mutants); index++)
		length += sysfs_emit_at(buffer, length, "%s ", mutants[index]);
	return length;
}
static const struct kernel_param_ops mutants_ops = { .get = show_mutants };
module_param_cb(mutants, &mutants_ops, NULL, 0400);

/* ---- the image's death ---- */

/* On that CPU, in a hypercall. Nobody may answer it: the CPU comes back native. */
static int set_die(const char *value, const struct kernel_param *parameter)
{
	struct mercury_visit *visit = kzalloc(sizeof(*visit), GFP_KERNEL);
	unsigned long way, cpu;
	char *end;
	int error = -ENOMEM;

	if (!visit)
		return error;
	way = simple_strtoul(value, &end, 0);
	cpu = *end == '@' ? simple_strtoul(end + 1, NULL, 0) : nr_cpu_ids;
	visit->kind = MERCURY_VISIT_CALL;
	visit->number = MERCURY_TEST_DIE;
	visit->arguments[0] = way;
	mutex_lock(&mercury_machine.lock);
	cpus_read_lock();
	error = cpu < nr_cpu_ids && cpu_online(cpu) && *mercury_backend() ? mercury_visit(cpu, visit) : -EINVAL;
	cpus_read_unlock();
	mutex_unlock(&mercury_machine.lock);
	if (!error && mercury_answered(visit->status))
		error = -EBADE;
	kfree(visit);
	return error;
}
static const struct kernel_param_ops die_ops = { .set = set_die };
module_param_cb(die, &die_ops, NULL, 0200);

/* ---- the observer ---- */

static const struct mercury_observer *observer;

int mercury_set_observer(const struct mercury_observer *new)
{
	if (new && cmpxchg(&observer, NULL, new))
		return -EBUSY;
	if (!new) {
		WRITE_ONCE(observer, NULL);
		synchronize_rcu();	/* callers have IRQs off */
	}
	return 0;
}
EXPORT_SYMBOL_GPL(mercury_set_observer);

void mercury_observe_before(int cpu, int direction)
{
	const struct mercury_observer *now = READ_ONCE(observer);

	if (now && now->before)
		now->before(cpu, direction);
}

void mercury_observe_after(int cpu, int direction, int result)
{
	const struct mercury_observer *now = READ_ONCE(observer);

	if (now && now->after)
		now->after(cpu, direction, result);
}
