/* SPDX-License-Identifier: GPL-2.0 */
/*
 * preflight.h with names that a linker sees, compiled once for each
 * architecture: NAME puts the architecture into them. Backends count from 1. The rest is
 * src/preflight.rs.
 */
#include "preflight.h"

unsigned int NAME(rule_count)(unsigned int backend);
unsigned int NAME(fact_count)(void);
const struct mercury_rule *NAME(rule)(unsigned int backend, unsigned int number);
const char *NAME(fact_name)(unsigned int number);
void NAME(judge)(const struct mercury_rule *rule, const struct mercury_facts *facts, __s32 cpu,
		 struct mercury_verdict *verdict);

unsigned int NAME(rule_count)(unsigned int backend)
{
	return mercury_rule_sets[backend - 1].count;
}

unsigned int NAME(fact_count)(void)
{
	return MERCURY_FACT_COUNT;
}

const struct mercury_rule *NAME(rule)(unsigned int backend, unsigned int number)
{
	return &mercury_rule_sets[backend - 1].rules[number];
}

const char *NAME(fact_name)(unsigned int number)
{
	static const char *const names[] = { MERCURY_FACT_NAMES };

	_Static_assert(sizeof(names) / sizeof(names[0]) == MERCURY_FACT_COUNT, "a name for each fact");
	return names[number];
}

void NAME(judge)(const struct mercury_rule *rule, const struct mercury_facts *facts, __s32 cpu,
		 struct mercury_verdict *verdict)
{
	*verdict = mercury_judge(rule, facts, cpu);
}
