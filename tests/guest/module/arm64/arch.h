/* SPDX-License-Identifier: GPL-2.0 */
/* ARM64: the commands, one file each, and what they share. */
#ifndef MERCURY_TEST_ARCH_H
#define MERCURY_TEST_ARCH_H

#include <linux/arm-smccc.h>
#include <linux/linkage.h>
#include <linux/types.h>

struct answer;

int command_state(const char *words, struct answer *answer);
int command_el2(const char *words, struct answer *answer);
int command_el2_write(const char *words, struct answer *answer);
int command_hole(const char *words, struct answer *answer);
int command_instruction(const char *words, struct answer *answer);
int command_hostile(const char *words, struct answer *answer);

void el2_stop(void);

/* A call of the hypervisor's, of the firmware's: x0 to x4, and x0 as answered. */
u64 call_hypervisor(u64 x0, u64 x1, u64 x2, u64 x3, u64 x4);

/* A four-bit field of an identification register. */
static inline unsigned int id_field(u64 value, unsigned int shift)
{
	return value >> shift & 0xf;
}

/* PSCI_VERSION (DEN0022 5.1.1), by SMC, as where Linux was started at EL2. */
static inline bool arch_call_firmware(void)
{
	struct arm_smccc_res result;

	arm_smccc_smc(0x84000000, 0, 0, 0, 0, 0, 0, 0, &result);
	return (long)result.a0 > 0;
}

/* vectors.S: 32 vector registers; with SVE as long as they are. */
asmlinkage void vectors_store(void *to);
asmlinkage void vectors_load(const void *from);
asmlinkage void sve_store(void *to);
asmlinkage void sve_load(const void *from);
asmlinkage unsigned long sve_bytes(void);
/* So many bytes of all vectors together can be put back. */
unsigned int vector_bytes_writable(void);

#endif
