/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Preflight: whether a CPU can carry Mercury, decided from raw values.
 *
 * What is read (facts.c) and what follows from it (here) are apart, so that
 * the decisions can be tried with values that no machine at hand produces: by
 * host tests, which compile this file, and by the `override` parameter of a
 * test build. No kernel header is used but the ABI's.
 *
 * Registers: APM volume 2, 15.4 (SVM enabled and free), 15.25 (nested paging),
 * 15.34 (SEV_STATUS), 15.36 (SNP); volume 3, E.4.
 */
#ifndef MERCURY_PREFLIGHT_H
#define MERCURY_PREFLIGHT_H

#include "mercury_abi.h"

struct mercury_facts {
	__u64 cpuid_extension;	/* CPUID 8000_0001 ECX */
	__u64 cpuid_stage2;	/* CPUID 8000_000A EDX */
	__u64 vm_cr;
	__u64 efer;
	__u64 sev_status;
	__u64 syscfg;
	__u64 host_encryption;	/* 1: the kernel encrypts its own memory (SME) */
	__u64 cr4;
	__u64 s_cet;
	__u64 address_bits;
	__u64 huge_leaves;	/* 1-GiB pages */
	__u64 broadcast_flush;	/* INVLPGB: a guest's would not reach CPUs that are native */
};

#define MERCURY_FACT_COUNT (sizeof(struct mercury_facts) / sizeof(__u64))

struct mercury_rule {
	__u32 requirement;
	__s32 error;		/* positive errno */
	__u32 fact;		/* index of the value in struct mercury_facts */
	__u64 mask;
	__u64 expected;
	const char *what;
};

#define MERCURY_FACT(name) (__builtin_offsetof(struct mercury_facts, name) / sizeof(__u64))

/* In the order in which they are looked at: a later one may not make sense
 * where an earlier one failed. */
static const struct mercury_rule mercury_rules[] = {
	{ MERCURY_REQUIREMENT_EXTENSION, 19 /* ENODEV */, MERCURY_FACT(cpuid_extension), 1 << 2, 1 << 2,
	  "CPUID 8000_0001 ECX bit 2 (SVM)" },
	{ MERCURY_REQUIREMENT_ENABLED, 19 /* ENODEV */, MERCURY_FACT(vm_cr), 1 << 4, 0,
	  "VM_CR bit 4 (SVMDIS)" },
	{ MERCURY_REQUIREMENT_STAGE2, 19 /* ENODEV */, MERCURY_FACT(cpuid_stage2), 1, 1,
	  "CPUID 8000_000A EDX bit 0 (nested paging)" },
	{ MERCURY_REQUIREMENT_PLAIN_MEMORY, 95 /* EOPNOTSUPP */, MERCURY_FACT(sev_status), 7, 0,
	  "SEV_STATUS bits 0-2 (this is an SEV guest)" },
	{ MERCURY_REQUIREMENT_PLAIN_MEMORY, 95, MERCURY_FACT(syscfg), 1 << 24, 0,
	  "SYSCFG bit 24 (SNP host)" },
	{ MERCURY_REQUIREMENT_PLAIN_MEMORY, 95, MERCURY_FACT(host_encryption), 1, 0,
	  "kernel encrypts its memory (SME)" },
	{ MERCURY_REQUIREMENT_SUPPORTED, 95, MERCURY_FACT(cr4), 1ull << 32, 0,
	  "CR4 bit 32 (FRED)" },
	{ MERCURY_REQUIREMENT_SUPPORTED, 95, MERCURY_FACT(s_cet), 1, 0,
	  "S_CET bit 0 (kernel shadow stacks)" },
	{ MERCURY_REQUIREMENT_SUPPORTED, 95, MERCURY_FACT(broadcast_flush), 1, 0,
	  "CPUID 8000_0008 EBX bit 3 (INVLPGB)" },
	{ MERCURY_REQUIREMENT_FREE, 16 /* EBUSY */, MERCURY_FACT(efer), 1 << 12, 0,
	  "EFER bit 12 (SVME): KVM or another hypervisor uses it" },
};

#define MERCURY_RULE_COUNT (sizeof(mercury_rules) / sizeof(mercury_rules[0]))

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
