/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the module's headers have as inline functions and tables, with names
 * that a linker sees. Structures go by pointer: the rest is src/walk.rs and
 * src/preflight.rs.
 */
#include "preflight.h"
#include "walk.h"

void shim_walk_in(const struct mercury_walk *walk, void *context, struct mercury_walk_result *result);
unsigned int shim_walk_result_bytes(void);
unsigned int shim_rule_count(void);
unsigned int shim_fact_count(void);
const struct mercury_rule *shim_rule(unsigned int number);
void shim_judge(const struct mercury_rule *rule, const struct mercury_facts *facts, __s32 cpu,
		struct mercury_verdict *verdict);

void shim_walk_in(const struct mercury_walk *walk, void *context, struct mercury_walk_result *result)
{
	*result = mercury_walk_in(walk, context);
}

unsigned int shim_walk_result_bytes(void)
{
	return sizeof(struct mercury_walk_result);
}

unsigned int shim_rule_count(void)
{
	return MERCURY_RULE_COUNT;
}

unsigned int shim_fact_count(void)
{
	return MERCURY_FACT_COUNT;
}

const struct mercury_rule *shim_rule(unsigned int number)
{
	return &mercury_rules[number];
}

void shim_judge(const struct mercury_rule *rule, const struct mercury_facts *facts, __s32 cpu,
		struct mercury_verdict *verdict)
{
	*verdict = mercury_judge(rule, facts, cpu);
}
