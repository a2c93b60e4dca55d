/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Preflight: whether a CPU can carry Mercury, decided from raw values.
 *
 * What is read (cpu.c) and what follows from it (here) are apart, so that
 * the decisions can be tried with values that no machine at hand produces: by
 * host tests, which compile this file, and by the `override` parameter of a
 * test build. No kernel header is used but the ABI's.
 */
#ifndef MERCURY_PREFLIGHT_H
#define MERCURY_PREFLIGHT_H

#include "mercury_abi.h"

struct mercury_rule {
	__u32 requirement;
	__s32 error;		/* positive errno */
	__u32 fact;		/* index of the value in struct mercury_facts */
	__u64 mask;
	__u64 expected;
	const char *what;
};

#define MERCURY_FACT(name) (__builtin_offsetof(struct mercury_facts, name) / sizeof(__u64))

#define MERCURY_RULE_SET(rules) { rules, sizeof(rules) / sizeof(rules[0]) }

/* struct mercury_facts, and for each backend its rules, in the order in which
 * they are looked at: a later one may not make sense where an earlier one failed. */
#include "rules.h"

#define MERCURY_FACT_COUNT (sizeof(struct mercury_facts) / sizeof(__u64))

struct mercury_rule_set {
	const struct mercury_rule *rules;
	unsigned int count;
};

static const struct mercury_rule_set mercury_rule_sets[] = { MERCURY_RULE_SETS };

/* Applies one rule; the verdict's detail is left to the caller. */
static inline struct mercury_verdict
mercury_judge(const struct mercury_rule *rule, const struct mercury_facts *facts, __s32 cpu)
{
	const __u64 *values = (const __u64 *)facts;
	struct mercury_verdict verdict = {
		.requirement = rule->requirement,
		.outcome = MERCURY_OUTCOME_PASS,
		.cpu = cpu,
		.read = values[rule->fact],
		.expected = rule->expected,
		.mask = rule->mask,
	};

	if ((verdict.read & rule->mask) != rule->expected) {
		verdict.outcome = MERCURY_OUTCOME_FAIL;
		verdict.error = rule->error;
	}
	return verdict;
}

#endif
