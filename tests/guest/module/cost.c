// SPDX-License-Identifier: GPL-2.0
/*
 * What a few things cost that a hypervisor may make dearer without being asked:
 *
 *   cost self-ipi COUNT	an interrupt from a CPU to itself, until it has come
 *   cost remote-call COUNT	a function called on the next CPU, until it is done
 *   cost firmware COUNT	ARM64: PSCI_VERSION, a call that goes to EL3 and back
 *
 * Answered in ticks of the clock for all of them together, on one CPU. Nothing is
 * judged here.
 */
#include <linux/cpu.h>
#include <linux/errno.h>
#include <linux/irq_work.h>
#include <linux/kernel.h>
#include <linux/preempt.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/timex.h>

#include "arch.h"
#include "mercury_test.h"

static unsigned int arrived;

static void arrive(struct irq_work *work)
{
	WRITE_ONCE(arrived, arrived + 1);
}

static int self_ipi(void)
{
	static struct irq_work work;
	unsigned int before = READ_ONCE(arrived);

	init_irq_work(&work, arrive);
	irq_work_queue(&work);
	while (READ_ONCE(arrived) == before)
		cpu_relax();
	return 0;
}

static void nothing(void *data)
{
}

static int remote_call(void)
{
	unsigned int other = cpumask_any_but(cpu_online_mask, smp_processor_id());

	return other < nr_cpu_ids ? smp_call_function_single(other, nothing, NULL, 1) : -ENXIO;
}

static int firmware(void)
{
	return arch_call_firmware() ? 0 : -EOPNOTSUPP;
}

int command_cost(const char *words, struct answer *answer)
{
	static const struct {
		const char *name;
		int (*once)(void);
	} kinds[] = { { "self-ipi", self_ipi }, { "remote-call", remote_call }, { "firmware", firmware } };
	unsigned int kind, count, left;
	char name[16];
	int error = 0;
	u64 begin;

	if (sscanf(words, "%15s %u", name, &count) != 2 || !count || count > 100000)
		return -EINVAL;
	for (kind = 0; kind < ARRAY_SIZE(kinds); kind++)
		if (!strcmp(name, kinds[kind].name))
			break;
	if (kind == ARRAY_SIZE(kinds))
		return -EINVAL;
	cpus_read_lock();
	preempt_disable();
	error = kinds[kind].once();
	begin = get_cycles();
	for (left = count; left && !error; left--)
		error = kinds[kind].once();
	begin = get_cycles() - begin;
	preempt_enable();
	cpus_read_unlock();
	if (!error)
		answer_add(answer, "ticks %llu\n", begin);
	return error;
}
