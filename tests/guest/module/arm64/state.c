// SPDX-License-Identifier: GPL-2.0
/*
 * Reading EL1's registers raw, as registers.h lists them, and putting them
 * back, for values that were planted and for damage that a mutant of Mercury
 * did: the machine has to live on to the next check.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/string.h>
#include <asm/sysreg.h>

#include "arch.h"
#include "mercury_test.h"
#include "state.h"

#define AS_NAME(name, ...) #name,
const char *const cpu_register_names[CPU_COUNT] = { CPU_REGISTERS(AS_NAME) };
const char *const task_register_names[TASK_COUNT] = { TASK_REGISTERS(AS_NAME) };

#define REGISTER(register)                                                         \
	({                                                                     \
		u64 value_;                                                    \
		asm volatile("mrs %0, " #register : "=r"(value_) : : "memory"); \
		value_;                                                        \
	})

static unsigned int gates(void)
{
	u64 isar1 = REGISTER(id_aa64isar1_el1), isar2 = REGISTER(S3_0_C0_C6_2);
	u64 pfr0 = REGISTER(id_aa64pfr0_el1), pfr1 = REGISTER(id_aa64pfr1_el1);
	u64 dfr0 = REGISTER(id_aa64dfr0_el1);
	unsigned int open = ALWAYS, pmu = id_field(dfr0, 8);

	if (isar1 >> 4 & 0xff || id_field(isar2, 12))
		open |= PAC;
	if (id_field(pfr1, 8) >= 2)
		open |= MTE;
	if (id_field(pfr0, 32))
		open |= SVE;
	/* SRE: without it the others trap, and the controller is another one. */
	if (id_field(pfr0, 24) && REGISTER(S3_0_C12_C12_5) & 1)
		open |= GIC;
	if (pmu && pmu != 0xf)
		open |= PMU;
	if (id_field(REGISTER(id_aa64mmfr1_el1), 20))
		open |= PAN;
	if (id_field(REGISTER(S3_0_C0_C7_2), 4))
		open |= UAO;
	if (id_field(pfr1, 4) >= 2)
		open |= SSBS;
	if (id_field(pfr0, 48))
		open |= DIT;
	if (id_field(dfr0, 12) >= 5 && id_field(dfr0, 20) >= 3)
		open |= SIX;
	return open;
}

#define IS_OPEN(gate, open) (((gate) & (open)) == (gate))

/* Bits of SCTLR_EL1 that are some task's: EnIA, EnIB, EnDA, EnDB, TCF0, ATA0. */
#define SCTLR_OF_TASK (1ull << 31 | 1ull << 30 | 1ull << 27 | 1ull << 13 | 3ull << 38 | 1ull << 42)
#define CPACR_OF_TASK (3ull << 16 | 3ull << 24)
#define TTBR_ASID (0xffffull << 48)

void read_cpu_state(struct cpu_state *state)
{
	unsigned int open = gates();
	u64 *value = state->value;

#define READ_CPU(name, gate, register, writable)                               \
	value[CPU_##name] = IS_OPEN(gate, open) ? REGISTER(register) : ABSENT;
	CPU_REGISTERS(READ_CPU)
	value[CPU_sctlr] &= ~SCTLR_OF_TASK;
	value[CPU_cpacr] &= ~CPACR_OF_TASK;
	value[CPU_ttbr1] &= ~TTBR_ASID;
	/* Access to the counter from user mode is taken from some tasks. */
	value[CPU_cntkctl] &= ~3ull;
}

void read_task_state(struct task_state *state)
{
	unsigned int open = gates();
	u64 *value = state->value;

#define READ_TASK(name, gate, register, writable)                              \
	value[TASK_##name] = IS_OPEN(gate, open) ? REGISTER(register) : ABSENT;
	TASK_REGISTERS(READ_TASK)
	/* Whether a timer is due changes with the time. */
	value[TASK_cntv_ctl] &= 3;
	value[TASK_cntp_ctl] &= 3;
}

/* A register that cannot be written must not even be assembled into it. */
#define WRITE_0(register, value)
#define WRITE_1(register, value) asm volatile("msr " #register ", %0" : : "r"(value) : "memory")

void write_task_state(const struct task_state *state)
{
	unsigned int open = gates();
	const u64 *value = state->value;

#define WRITE_TASK(name, gate, register, writable)                             \
	if (IS_OPEN(gate, open)) {                                             \
		WRITE_##writable(register, value[TASK_##name]);                \
	}
	TASK_REGISTERS(WRITE_TASK)
	isb();
}

void write_cpu_state(const struct cpu_state *state)
{
	unsigned int open = gates();
	u64 value[CPU_COUNT];

	memcpy(value, state->value, sizeof(value));
	value[CPU_cntkctl] |= REGISTER(cntkctl_el1) & 3;
#define WRITE_CPU(name, gate, register, writable)                              \
	if (IS_OPEN(gate, open)) {                                             \
		WRITE_##writable(register, value[CPU_##name]);                 \
	}
	CPU_REGISTERS(WRITE_CPU)
	isb();
}

#define REGISTERS 32

/* Vectors longer than there is room for are looked at as 128 bits only. */
static bool has_room_for_sve(void)
{
	return gates() & SVE && REGISTERS * sve_bytes() <= sizeof(struct vectors);
}

unsigned int vector_bytes_writable(void)
{
	if (has_room_for_sve())
		return REGISTERS * sve_bytes();
	/* Loaded as V, longer ones would lose what lies above. */
	return gates() & SVE ? 0 : REGISTERS * 16;
}

void read_vectors(struct vectors *vectors)
{
	memset(vectors, 0, sizeof(*vectors));
	if (has_room_for_sve())
		sve_store(vectors->byte);
	else
		vectors_store(vectors->byte);
}

void write_vectors(const struct vectors *vectors)
{
	if (has_room_for_sve())
		sve_load(vectors->byte);
	else if (vector_bytes_writable())
		vectors_load(vectors->byte);
}

static void read_here(void *state)
{
	read_cpu_state(state);
}

int command_state(const char *words, struct answer *answer)
{
	static const u8 bits[] = { 32, 36, 40, 42, 44, 48, 52, 56 };
	struct cpu_state state;
	int cpu, index, error;

	if (kstrtoint(words, 10, &cpu))
		return -EINVAL;
	error = on_cpu(cpu, read_here, &state);
	if (error)
		return error;
	for (index = 0; index < CPU_COUNT; index++)
		answer_add(answer, "%s %#llx\n", cpu_register_names[index], state.value[index]);
	answer_add(answer, "address_bits %u\n", bits[state.value[CPU_id_mmfr0] & 7]);
	return 0;
}

/* None that only it has. */
int arch_crash(const char *way, int cpu)
{
	return -EINVAL;
}

const struct command arch_commands[] = {
	{ "state ", command_state },
	{ "el2 ", command_el2 },
	{ "el2-write ", command_el2_write },
	{ "hole ", command_hole },
	{ "instruction ", command_instruction },
	{ "hostile ", command_hostile },
	{ },
};

void arch_stop(void)
{
	el2_stop();
}
