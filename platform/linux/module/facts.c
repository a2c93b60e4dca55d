// SPDX-License-Identifier: GPL-2.0
/*
 * Preflight: raw values, read on every online CPU (cpu.c), and judged by the
 * rules of preflight.h. Nothing here has a side effect.
 */
#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/mm.h>
#include <linux/security.h>
#include <linux/slab.h>

#include "mercury.h"

void mercury_verdict_set(struct mercury_verdict *verdict, u32 requirement, s32 cpu, int error,
			 u64 read, const char *detail)
{
	memset(verdict, 0, sizeof(*verdict));
	verdict->requirement = requirement;
	verdict->outcome = error ? MERCURY_OUTCOME_FAIL : MERCURY_OUTCOME_PASS;
	verdict->cpu = cpu;
	verdict->error = error;
	verdict->read = read;
	strscpy(verdict->detail, detail, sizeof(verdict->detail));
}

/* Of this machine's backend. */
static const struct mercury_rule_set *mercury_rules(void)
{
	return &mercury_rule_sets[mercury_backend_number() - 1];
}

/* Whether this CPU is as the ones that attach looked at. */
bool mercury_fits(void)
{
	const struct mercury_rule_set *set = mercury_rules();
	struct mercury_facts facts;
	unsigned int rule;

	mercury_facts_read(&facts);
	for (rule = 0; rule < set->count; rule++)
		if (mercury_judge(&set->rules[rule], &facts, 0).outcome == MERCURY_OUTCOME_FAIL)
			return false;
	return facts.address_bits >= mercury_machine.address_bits &&
	       facts.huge_leaves >= mercury_machine.huge_leaves;
}

static void add(struct mercury_verdict *verdicts, unsigned int capacity, unsigned int *count,
		unsigned int *failed, const struct mercury_verdict *verdict)
{
	if (verdict->outcome == MERCURY_OUTCOME_FAIL)
		++*failed;
	if (*count < capacity)
		verdicts[*count] = *verdict;
	++*count;
}

/* Every rule on every online CPU. Holds cpus_read_lock. */
static void judge_cpus(struct mercury_verdict *verdicts, unsigned int capacity, unsigned int *count,
		       unsigned int *failed)
{
	struct mercury_verdict verdict;
	struct mercury_visit *visit = kzalloc(sizeof(*visit), GFP_KERNEL);
	const struct mercury_rule_set *set = mercury_rules();
	unsigned int rule;
	int cpu;

	if (!visit) {
		mercury_verdict_set(&verdict, MERCURY_REQUIREMENT_MEMORY, -1, ENOMEM, sizeof(*visit), "bytes");
		add(verdicts, capacity, count, failed, &verdict);
		return;
	}
	for_each_online_cpu(cpu) {
		visit->kind = MERCURY_VISIT_FACTS;
		if (mercury_visit(cpu, visit)) {
			mercury_verdict_set(&verdict, MERCURY_REQUIREMENT_ARRIVAL, cpu, ETIMEDOUT,
					    MERCURY_DEADLINE_MS, "ms waited for the CPU");
			add(verdicts, capacity, count, failed, &verdict);
			continue;
		}
		for (rule = 0; rule < set->count; rule++) {
			verdict = mercury_judge(&set->rules[rule], &visit->facts, cpu);
			strscpy(verdict.detail, set->rules[rule].what, sizeof(verdict.detail));
			add(verdicts, capacity, count, failed, &verdict);
			/* What is not there or not to be had cannot be looked at. */
			if (verdict.requirement <= MERCURY_REQUIREMENT_ENABLED &&
			    verdict.outcome == MERCURY_OUTCOME_FAIL)
				break;
		}
	}
	kfree(visit);
}

static int locked_down(void)
{
	return security_locked_down(LOCKDOWN_MSR) ? EPERM : 0;
}

/* What attach looks at first; the first failure, or 0. */
int mercury_preflight(struct mercury_verdict *first_failure)
{
	unsigned int capacity = num_possible_cpus() * mercury_rules()->count, count = 0, failed = 0, index;
	struct mercury_verdict *verdicts;
	int error = 0;

	if (locked_down()) {
		mercury_verdict_set(first_failure, MERCURY_REQUIREMENT_LOCKDOWN, -1, EPERM, 1,
				    "/sys/kernel/security/lockdown");
		return -EPERM;
	}
	verdicts = kvcalloc(capacity, sizeof(*verdicts), GFP_KERNEL);
	if (!verdicts) {
		mercury_verdict_set(first_failure, MERCURY_REQUIREMENT_MEMORY, -1, ENOMEM,
				    capacity * sizeof(*verdicts), "bytes for the preflight");
		return -ENOMEM;
	}
	cpus_read_lock();
	judge_cpus(verdicts, capacity, &count, &failed);
	cpus_read_unlock();
	for (index = 0; index < min(count, capacity) && !error; index++)
		if (verdicts[index].outcome == MERCURY_OUTCOME_FAIL) {
			*first_failure = verdicts[index];
			error = -verdicts[index].error;
		}
	kvfree(verdicts);
	return error;
}

unsigned int mercury_check(struct mercury_verdict *verdicts, unsigned int capacity, unsigned int *failed)
{
	struct mercury_verdict verdict;
	struct mercury_image image;
	unsigned int count = 0;
	u64 need, available;
	int error;

	*failed = 0;
	mercury_verdict_set(&verdict, MERCURY_REQUIREMENT_PRIVILEGE, -1, 0, 1, "CAP_SYS_ADMIN and CAP_SYS_RAWIO");
	add(verdicts, capacity, &count, failed, &verdict);
	error = locked_down();
	mercury_verdict_set(&verdict, MERCURY_REQUIREMENT_LOCKDOWN, -1, error, !!error,
			    "/sys/kernel/security/lockdown");
	add(verdicts, capacity, &count, failed, &verdict);
	cpus_read_lock();
	judge_cpus(verdicts, capacity, &count, failed);
	cpus_read_unlock();
	if (!mercury_image_load(&image, &verdict)) {
		u32 requirement;

		for (requirement = MERCURY_REQUIREMENT_IMAGE_FOUND;
		     requirement <= MERCURY_REQUIREMENT_IMAGE_HASH; requirement++) {
			mercury_verdict_set(&verdict, requirement, -1, 0, image.bytes,
					    MERCURY_IMAGE_NAME);
			add(verdicts, capacity, &count, failed, &verdict);
		}
	} else {
		add(verdicts, capacity, &count, failed, &verdict);
	}
	need = ((u64)nr_cpu_ids * MERCURY_CPU_PAGES + 128) * PAGE_SIZE;
	available = (u64)si_mem_available() * PAGE_SIZE;
	mercury_verdict_set(&verdict, MERCURY_REQUIREMENT_MEMORY, -1, available < need ? ENOMEM : 0, available,
			    "bytes that the kernel could lend");
	add(verdicts, capacity, &count, failed, &verdict);
	mercury_verdict_set(&verdict, MERCURY_REQUIREMENT_IDLE, -1, 0, 0, "no switch is under way");
	add(verdicts, capacity, &count, failed, &verdict);
	error = mercury_machine.stage == MERCURY_STAGE_NATIVE ? 0 : EALREADY;
	mercury_verdict_set(&verdict, MERCURY_REQUIREMENT_NATIVE, -1, error, mercury_machine.stage,
			    "stage of the machine (0 native)");
	add(verdicts, capacity, &count, failed, &verdict);
	return count;
}
