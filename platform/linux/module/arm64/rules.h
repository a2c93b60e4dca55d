/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What an ARM64 CPU is, and what follows from it (see preflight.h).
 *
 * Linux that boots at EL2 without VHE drops to EL1 and leaves a stub at EL2
 * that answers calls it does not know with 0xbadca11; KVM with a running
 * machine, pKVM and other hypervisors answer otherwise. With VHE Linux stays
 * at EL2, and there is nothing beneath it to go to. Registers: Arm ARM D24.2.
 */
#ifndef MERCURY_RULES_H
#define MERCURY_RULES_H

#define MERCURY_STUB_ANSWER 0xbadca11

struct mercury_facts {
	__u64 has_el2;		/* ID_AA64PFR0_EL1.EL2 is not 0 */
	__u64 current_el;	/* of the kernel */
	__u64 stub;		/* what EL2 answers to a call that nobody knows; 0: not asked */
	__u64 stage2_granule;	/* stage 2 has 4-KiB pages: ID_AA64MMFR0_EL1.TGran4_2, TGran4 */
	__u64 host_only;	/* ID_AA64MMFR4_EL1.E2H0: HCR_EL2.E2H cannot be 0 */
	__u64 address_bits;
	__u64 huge_leaves;	/* 1-GiB blocks: always */
};

static const struct mercury_rule mercury_rules_el2[] = {
	{ MERCURY_REQUIREMENT_EXTENSION, 19 /* ENODEV */, MERCURY_FACT(has_el2), 1, 1,
	  "ID_AA64PFR0_EL1.EL2 (1: there is an EL2)" },
	{ MERCURY_REQUIREMENT_ENABLED, 19 /* ENODEV */, MERCURY_FACT(current_el), 3, 1,
	  "CurrentEL (2: the kernel itself runs at EL2, with VHE)" },
	{ MERCURY_REQUIREMENT_STAGE2, 19 /* ENODEV */, MERCURY_FACT(stage2_granule), 1, 1,
	  "ID_AA64MMFR0_EL1 (1: stage 2 has pages of 4 KiB)" },
	{ MERCURY_REQUIREMENT_SUPPORTED, 95 /* EOPNOTSUPP */, MERCURY_FACT(host_only), 0xf, 0,
	  "ID_AA64MMFR4_EL1.E2H0 (not 0: EL2 knows only VHE)" },
	{ MERCURY_REQUIREMENT_FREE, 16 /* EBUSY */, MERCURY_FACT(stub), ~0ull, MERCURY_STUB_ANSWER,
	  "EL2's answer to an unknown call (0xbadca11: Linux's stub)" },
};

/* By backend (noted.h), from 1. */
#define MERCURY_RULE_SETS MERCURY_RULE_SET(mercury_rules_el2)

#define MERCURY_FACT_NAMES \
	"has_el2", "current_el", "stub", "stage2_granule", "host_only", "address_bits", "huge_leaves"

/* Mutants of the image, from 1 (arch/aarch64/src/mutant.rs). */
#define MERCURY_IMAGE_MUTANTS \
	"tcr", "ttbr0", "mair", "tpidr", "sp", "vtcr", "vttbr", "hcr", "x19", "v5", "tpidr_el0", "cntvoff", \
	"trace_trap", "par", "hole_length", "reset_vectors"

#endif
