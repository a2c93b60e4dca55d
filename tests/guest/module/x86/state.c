// SPDX-License-Identifier: GPL-2.0
/*
 * Reading registers, all of them raw: no shadow, no cached copy of the
 * kernel's, since what Mercury would damage is the register itself. And
 * putting them back, for values that were planted and for damage that a mutant
 * of Mercury did: the machine has to live on to the next check.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/smp.h>
#include <asm/cpufeature.h>
#include <asm/desc.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/segment.h>

#include "arch.h"
#include "fault.h"
#include "mercury_test.h"
#include "state.h"

#define AS_NAME(name, ...) #name,
const char *const cpu_register_names[CPU_COUNT] = { CPU_REGISTERS(AS_NAME) };
const char *const task_register_names[TASK_COUNT] = { TASK_REGISTERS(AS_NAME) };

#define READ_RAW(instruction)                                                      \
	({                                                                     \
		u64 value_;                                                    \
		asm volatile(instruction : "=r"(value_) : : "memory");         \
		value_;                                                        \
	})

/* Selectors: the upper bits of the destination are cleared first. */
#define READ_SELECTOR(instruction)                                             \
	({                                                                     \
		u16 value_;                                                    \
		asm volatile(instruction : "=m"(value_) : : "memory");         \
		(u64)value_;                                                   \
	})

static u64 msr_or_absent(u32 msr)
{
	u64 value;

	/* A register that is not there must be absent afterwards too. */
	return msr_read(msr, &value) ? 0xabad1deaabad1dea : value;
}

static u64 read_xcr0(u64 cr4)
{
	u32 low, high;

	if (!(cr4 & X86_CR4_OSXSAVE))
		return 0;
	asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (u64)high << 32 | low;
}

void read_cpu_state(struct cpu_state *state)
{
	u64 *value = state->value;
	struct desc_ptr table;

	value[CPU_cr0] = READ_RAW("mov %%cr0, %0");
	value[CPU_cr4] = READ_RAW("mov %%cr4, %0");
	value[CPU_efer] = msr_or_absent(MSR_EFER);
	value[CPU_pat] = msr_or_absent(MSR_IA32_CR_PAT);
	asm volatile("sidt %0" : "=m"(table));
	value[CPU_idtr_base] = table.address;
	value[CPU_idtr_limit] = table.size;
	asm volatile("sgdt %0" : "=m"(table));
	value[CPU_gdtr_base] = table.address;
	value[CPU_gdtr_limit] = table.size;
	value[CPU_tr] = READ_SELECTOR("str %0");
	/* 9: available, 11: busy; a TSS in use must be busy. */
	value[CPU_tss_type] = ((u8 *)table.address)[value[CPU_tr] + 5];
	value[CPU_star] = msr_or_absent(MSR_STAR);
	value[CPU_lstar] = msr_or_absent(MSR_LSTAR);
	value[CPU_cstar] = msr_or_absent(MSR_CSTAR);
	value[CPU_sfmask] = msr_or_absent(MSR_SYSCALL_MASK);
	value[CPU_sysenter_cs] = msr_or_absent(MSR_IA32_SYSENTER_CS);
	value[CPU_sysenter_esp] = msr_or_absent(MSR_IA32_SYSENTER_ESP);
	value[CPU_sysenter_eip] = msr_or_absent(MSR_IA32_SYSENTER_EIP);
	value[CPU_vm_cr] = msr_or_absent(MSR_VM_CR);
	value[CPU_vm_hsave_pa] = msr_or_absent(MSR_VM_HSAVE_PA);
	value[CPU_tsc_aux] = msr_or_absent(MSR_TSC_AUX);
	value[CPU_xcr0] = read_xcr0(value[CPU_cr4]);
	value[CPU_apic_base] = msr_or_absent(MSR_IA32_APICBASE);
}

void read_task_state(struct task_state *state)
{
	u64 *value = state->value;
	u16 x87_control;
	u32 mxcsr;

	value[TASK_rflags] = READ_RAW("pushfq; popq %0") &
			     (X86_EFLAGS_IF | X86_EFLAGS_DF | X86_EFLAGS_TF |
			      X86_EFLAGS_IOPL | X86_EFLAGS_NT | X86_EFLAGS_AC);
	value[TASK_cr2] = READ_RAW("mov %%cr2, %0");
	value[TASK_cr3] = READ_RAW("mov %%cr3, %0");
	value[TASK_dr0] = READ_RAW("mov %%db0, %0");
	value[TASK_dr1] = READ_RAW("mov %%db1, %0");
	value[TASK_dr2] = READ_RAW("mov %%db2, %0");
	value[TASK_dr3] = READ_RAW("mov %%db3, %0");
	value[TASK_dr6] = READ_RAW("mov %%db6, %0");
	value[TASK_dr7] = READ_RAW("mov %%db7, %0");
	value[TASK_debugctl] = msr_or_absent(MSR_IA32_DEBUGCTLMSR);
	value[TASK_ldtr] = READ_SELECTOR("sldt %0");
	value[TASK_cs] = READ_SELECTOR("mov %%cs, %0");
	value[TASK_ss] = READ_SELECTOR("mov %%ss, %0");
	value[TASK_ds] = READ_SELECTOR("mov %%ds, %0");
	value[TASK_es] = READ_SELECTOR("mov %%es, %0");
	value[TASK_fs] = READ_SELECTOR("mov %%fs, %0");
	value[TASK_gs] = READ_SELECTOR("mov %%gs, %0");
	value[TASK_fs_base] = msr_or_absent(MSR_FS_BASE);
	value[TASK_gs_base] = msr_or_absent(MSR_GS_BASE);
	value[TASK_kernel_gs_base] = msr_or_absent(MSR_KERNEL_GS_BASE);
	asm volatile("fnstcw %0" : "=m"(x87_control));
	value[TASK_x87_control] = x87_control;
	asm volatile("stmxcsr %0" : "=m"(mxcsr));
	value[TASK_mxcsr] = mxcsr;
}

#define WRITE_RAW(instruction, value) \
	asm volatile(instruction : : "r"((u64)(value)) : "memory")

void write_task_state(const struct task_state *state)
{
	const u64 *value = state->value;
	u32 mxcsr = value[TASK_mxcsr];
	u16 ds = value[TASK_ds], es = value[TASK_es], ldtr = value[TASK_ldtr];

	/* No breakpoint may be armed while its address is half written. */
	WRITE_RAW("mov %0, %%db7", 0x400);
	WRITE_RAW("mov %0, %%db0", value[TASK_dr0]);
	WRITE_RAW("mov %0, %%db1", value[TASK_dr1]);
	WRITE_RAW("mov %0, %%db2", value[TASK_dr2]);
	WRITE_RAW("mov %0, %%db3", value[TASK_dr3]);
	WRITE_RAW("mov %0, %%db7", value[TASK_dr7]);
	WRITE_RAW("mov %0, %%cr2", value[TASK_cr2]);
	/* Only if it must: it drops translations, which a test may want kept. */
	if (READ_RAW("mov %%cr3, %0") != value[TASK_cr3])
		WRITE_RAW("mov %0, %%cr3", value[TASK_cr3]);
	asm volatile("lldt %0" : : "m"(ldtr));
	asm volatile("mov %0, %%ds" : : "r"(ds) : "memory");
	asm volatile("mov %0, %%es" : : "r"(es) : "memory");
	msr_write(MSR_FS_BASE, value[TASK_fs_base]);
	msr_write(MSR_KERNEL_GS_BASE, value[TASK_kernel_gs_base]);
	asm volatile("ldmxcsr %0" : : "m"(mxcsr));
}

/*
 * TR cannot be loaded from a descriptor that says "busy", and Linux's GDT is
 * read-only where the CPU knows it: as Linux does it, by way of the other mapping.
 */
static void reload_task(u16 selector)
{
	struct desc_struct *table = get_cpu_gdt_rw(raw_smp_processor_id());
	struct desc_ptr direct = { .size = GDT_SIZE - 1, .address = (unsigned long)table };
	struct desc_ptr usual;

	asm volatile("sgdt %0" : "=m"(usual));
	asm volatile("lgdt %0" : : "m"(direct) : "memory");
	table[selector >> 3].type = DESC_TSS;
	asm volatile("ltr %w0" : : "r"(selector) : "memory");
	asm volatile("lgdt %0" : : "m"(usual) : "memory");
}

void write_cpu_state(const struct cpu_state *state)
{
	const u64 *value = state->value;
	struct desc_ptr table;

	table.address = value[CPU_gdtr_base];
	table.size = value[CPU_gdtr_limit];
	asm volatile("lgdt %0" : : "m"(table) : "memory");
	table.address = value[CPU_idtr_base];
	table.size = value[CPU_idtr_limit];
	asm volatile("lidt %0" : : "m"(table) : "memory");
	WRITE_RAW("mov %0, %%cr0", value[CPU_cr0]);
	WRITE_RAW("mov %0, %%cr4", value[CPU_cr4]);
	msr_write(MSR_EFER, value[CPU_efer]);
	msr_write(MSR_IA32_CR_PAT, value[CPU_pat]);
	msr_write(MSR_STAR, value[CPU_star]);
	msr_write(MSR_LSTAR, value[CPU_lstar]);
	msr_write(MSR_CSTAR, value[CPU_cstar]);
	msr_write(MSR_SYSCALL_MASK, value[CPU_sfmask]);
	msr_write(MSR_IA32_SYSENTER_CS, value[CPU_sysenter_cs]);
	msr_write(MSR_IA32_SYSENTER_ESP, value[CPU_sysenter_esp]);
	msr_write(MSR_IA32_SYSENTER_EIP, value[CPU_sysenter_eip]);
	msr_write(MSR_VM_HSAVE_PA, value[CPU_vm_hsave_pa]);
	if (READ_SELECTOR("str %0") != value[CPU_tr])
		reload_task(value[CPU_tr]);
}

#define EACH_VECTOR(X) \
	X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)

/*
 * Storing vector registers changes nothing, so the kernel's rules for their
 * use (kernel_fpu_begin) do not apply: that would save the very state that we
 * want to look at.
 */
void read_vectors(struct vectors *vectors)
{
	if (boot_cpu_has(X86_FEATURE_AVX) && boot_cpu_has(X86_FEATURE_OSXSAVE)) {
#define STORE_WIDE(n) asm volatile("vmovdqu %%ymm" #n ", %0" : "=m"(vectors->byte[n]));
		EACH_VECTOR(STORE_WIDE)
	} else {
#define STORE(n) asm volatile("movdqu %%xmm" #n ", %0" : "=m"(vectors->byte[n]));
		EACH_VECTOR(STORE)
	}
}

/* MOVDQU loads the lower half and leaves the upper one alone. */
void write_vectors(const struct vectors *vectors)
{
#define LOAD(n) asm volatile("movdqu %0, %%xmm" #n : : "m"(vectors->byte[n]));
	EACH_VECTOR(LOAD)
}

static void read_here(void *state)
{
	read_cpu_state(state);
}

int command_state(const char *words, struct answer *answer)
{
	struct cpu_state state;
	int cpu, index, error;

	if (kstrtoint(words, 10, &cpu))
		return -EINVAL;
	error = on_cpu(cpu, read_here, &state);
	if (error)
		return error;
	for (index = 0; index < CPU_COUNT; index++)
		answer_add(answer, "%s %#llx\n", cpu_register_names[index], state.value[index]);
	return 0;
}

const struct command arch_commands[] = {
	{ "state ", command_state },
	{ "hole ", command_hole },
	{ "instruction ", command_instruction },
	{ "msr ", command_msr },
	{ "nmi ", command_nmi },
	{ "take ", command_take },
	{ "touch ", command_touch },
	{ "hostile ", command_hostile },
	{ },
};

void arch_stop(void)
{
	nmi_stop();
}

/* What may trap is made in the kernel here, which has fixups for it. */
int arch_mmap(struct file *file, struct vm_area_struct *area)
{
	return -ENODEV;
}
