// SPDX-License-Identifier: GPL-2.0
/*
 * x86: what observer.c leaves to the architecture.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <asm/cpufeature.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/segment.h>

#include "arch.h"
#include "fault.h"
#include "mercury_test.h"
#include "observer.h"

const char *const arch_vector_name = "xmm";
const char *const arch_view_name = "svme";

u64 arch_clock(void)
{
	u32 low, high;

	asm volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (u64)high << 32 | low;
}

void arch_plant(struct watch *watch, int cpu)
{
	u64 *value = watch->task.value;
	int index, at;

	value[TASK_cr2] = 0x00005eedc0de0000 + (watch->turn << 4) + cpu;
	value[TASK_dr0] = 0x11110000 + watch->turn;
	value[TASK_dr1] = 0x22220000 + watch->turn;
	value[TASK_dr2] = 0x33330000 + watch->turn;
	value[TASK_dr3] = 0x44440000 + watch->turn;
	/* Lengths and kinds of the fourth breakpoint, exactness bits: armed nothing. */
	value[TASK_dr7] = 0xf0000700;
	value[TASK_ds] = __USER_DS;
	value[TASK_es] = __USER_DS;
	value[TASK_fs_base] = 0x0000123456789000 + watch->turn;
	value[TASK_kernel_gs_base] = 0x0000234567891000 + watch->turn;
	value[TASK_mxcsr] = 0x7f80; /* all masked, round towards zero */
	for (index = 0; index < VECTORS; index++)
		for (at = 0; at < 16; at++)
			watch->vectors.byte[index][at] = 17 * index + at + watch->turn + 1;
}

u64 arch_ignored(int cpu_register, bool since_attach)
{
	if (cpu_register == CPU_efer)
		return EFER_SVME;
	/* Bits that the kernel sets by task, not by CPU. */
	if (cpu_register == CPU_cr4 && since_attach)
		return X86_CR4_TSD | X86_CR4_PCE;
	return 0;
}

static bool has_svm(void)
{
	return boot_cpu_has(X86_FEATURE_SVM);
}

/* As somebody else would take the extension, and give it back. */
static void take(const struct watch *watch, bool taken)
{
	u64 efer = watch->cpu.value[CPU_efer] & ~(u64)EFER_SVME;
	u64 cr4 = watch->cpu.value[CPU_cr4] & ~(u64)X86_CR4_VMXE;

	if (has_svm())
		msr_write(MSR_EFER, efer | (taken ? EFER_SVME : 0));
	else
		asm volatile("mov %0, %%cr4" : : "r"(cr4 | (taken ? X86_CR4_VMXE : 0)) : "memory");
}

struct taking {
	bool taken;
	struct watch watch;
};

static void take_here(void *data)
{
	struct taking *taking = data;

	read_cpu_state(&taking->watch.cpu);
	take(&taking->watch, taking->taken);
}

/* take CPU 0|1: whether somebody else has the extension of that CPU. */
int command_take(const char *words, struct answer *answer)
{
	struct taking *taking;
	int cpu, taken, error;

	if (sscanf(words, "%d %d", &cpu, &taken) != 2)
		return -EINVAL;
	taking = kzalloc(sizeof(*taking), GFP_KERNEL);
	if (!taking)
		return -ENOMEM;
	taking->taken = taken;
	error = on_cpu(cpu, take_here, taking);
	kfree(taking);
	return error;
}

void arch_take(const struct watch *watch)
{
	take(watch, true);
}

void arch_give_back(const struct watch *watch)
{
	take(watch, false);
}

bool arch_view_is_wrong(const struct cpu_state *state, bool guest, u64 *seen)
{
	*seen = state->value[CPU_efer];
	return !!(*seen & EFER_SVME) != (guest && has_svm());
}

void arch_before_vectors(const struct cpu_state *state)
{
	/* Found already; left set, it would make a trap of looking at the vectors. */
	if (state->value[CPU_cr0] & X86_CR0_TS)
		asm volatile("clts");
}

void arch_keep_newer(struct cpu_state *native, const struct cpu_state *newer)
{
	/* Before the door they were the guest's own: newer, and right. */
	native->value[CPU_cr0] = newer->value[CPU_cr0];
	native->value[CPU_cr4] = newer->value[CPU_cr4];
}
