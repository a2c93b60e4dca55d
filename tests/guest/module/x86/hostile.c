// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel that means harm, or has lost its mind: a seeded sequence of what could
 * reach the hypervisor from ring 0, on one CPU. Each act has its right answer,
 * the one that a CPU without Mercury, or SVM's owner, would give:
 *
 *   hypercalls with any number but the one that detaches
 *   SVM's and VMX's instructions: an undefined opcode
 *   EFER, VM_CR, VM_HSAVE_PA with anything in the bits that are Mercury's
 *   registers that no CPU has: as the caller has seen it natively
 *   INT 2, which is no NMI, and must be seen once by whoever handles them
 *   an exit with a GDT that is none; task registers of selectors that are none;
 *   an exit with a TSS that ends after a byte
 *
 * What would harm a kernel on the bare CPU too is not done: a CPU whose GDT is
 * gone takes no exception.
 */
#include <linux/errno.h>
#include <linux/gfp.h>
#include <linux/irqflags.h>
#include <linux/kernel.h>
#include <linux/percpu.h>
#include <linux/string.h>
#include <asm/desc.h>
#include <asm/msr-index.h>
#include <asm/nmi.h>

#include "arch.h"
#include "fault.h"
#include "mercury_test.h"
#include "random.h"

#define UNDEFINED 6
#define PROTECTION 13
#define ACTS 8

static DEFINE_PER_CPU(u64, interrupts);

struct run {
	u64 seed;
	unsigned int left;
	unsigned int no_register_faults; /* as it does natively: QEMU's CPUs do not fault */
	u8 *page; /* of our own */
	u64 done[ACTS];
	/* The first answer that was wrong: which act, with what, and the answer. */
	u64 wrong, act, with, answered;
};

static void expect(struct run *run, unsigned int act, u64 with, u64 answered, bool right)
{
	run->done[act]++;
	if (!right && !run->wrong++) {
		run->act = act;
		run->with = with;
		run->answered = answered;
	}
}

/* The trap that an instruction raised, or NO_TRAP; RAX is given to it, and `with`
 * in RDI. */
#define TRAP_OF(instruction, rax)                                              \
	({                                                                     \
		u64 rax_ = rax, rdi_ = with;                                   \
		int faulted_ = 1;                                              \
		asm volatile("1:	" instruction "\n"                    \
			     "	xorl %[faulted], %[faulted]\n"                \
			     "2:\n"                                            \
			     _ASM_EXTABLE_FAULT(1b, 2b)                        \
			     : "+a"(rax_), "+D"(rdi_), [faulted] "+r"(faulted_) \
			     :                                                 \
			     : "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10",  \
			       "r11", "memory", "cc");                         \
		faulted_ ? (int)rax_ : NO_TRAP;                                \
	})

static int hypercall(u64 number, u64 with)
{
	if (boot_cpu_data.x86_vendor == X86_VENDOR_INTEL)
		return TRAP_OF("vmcall", number);
	return TRAP_OF("vmmcall", number);
}

static void call(struct run *run, struct random *random)
{
	u64 number = random_call(random), with = random_word(random);
	bool ours = number >= HOSTILE_CALL_BASE && number <= HOSTILE_CALL_LAST;
	int trap = hypercall(number, with);

	expect(run, 0, number, trap, trap == (ours ? NO_TRAP : UNDEFINED));
}

static void virtualize(struct run *run, struct random *random)
{
	u64 with = random_word(random), page = __pa(run->page);
	unsigned int which = random_next(random) % 11;
	int trap = NO_TRAP;

	switch (which) {
	case 0: trap = TRAP_OF("vmrun %%rax", page); break;
	case 1: trap = TRAP_OF("vmload %%rax", page); break;
	case 2: trap = TRAP_OF("vmsave %%rax", page); break;
	case 3: trap = TRAP_OF("stgi", page); break;
	case 4: trap = TRAP_OF("clgi\n	stgi", page); break;
	case 5: trap = TRAP_OF(".byte 0x0f, 0x01, 0xde", page); break; /* SKINIT */
	case 6: trap = TRAP_OF(".byte 0x0f, 0x01, 0xdf", with); break; /* INVLPGA */
	case 7:	/* the other maker's hypercall */
		if (boot_cpu_data.x86_vendor == X86_VENDOR_INTEL)
			trap = TRAP_OF("vmmcall", with);
		else
			trap = TRAP_OF("vmcall", with);
		break;
	case 8: trap = TRAP_OF("vmxoff", with); break;
	case 9: trap = TRAP_OF("vmread %%rcx, %%rbx", with); break;
	case 10: trap = TRAP_OF("vmlaunch", with); break;
	}
	expect(run, 1, which, trap, trap == UNDEFINED);
}

/* SVM's own registers keep what they have, whatever is written. */
static void own_register(struct run *run, struct random *random)
{
	static const u32 kept[] = { MSR_VM_CR, MSR_VM_HSAVE_PA };
	u32 number = kept[random_next(random) & 1];
	u64 before, after, value = random_word(random);

	msr_read(number, &before);
	msr_write(number, value);
	msr_read(number, &after);
	expect(run, 2, value, after, before == after);
}

/* EFER with any bit but those that the kernel itself lives by. */
static void extended_features(struct run *run, struct random *random)
{
	const u64 lives_by = EFER_SCE | EFER_LME | EFER_LMA | EFER_NX | EFER_LMSLE;
	u64 before, after, value = random_word(random);

	msr_read(MSR_EFER, &before);
	msr_write(MSR_EFER, (before & lives_by) | (value & ~lives_by));
	msr_read(MSR_EFER, &after);
	msr_write(MSR_EFER, before);
	/* SVME stays, and the mode does; whether the rest may change is the CPU's. */
	expect(run, 3, value, after,
	       (after & (lives_by | EFER_SVME)) == (before & (lives_by | EFER_SVME)));
}

/* Registers of no range that the map of permissions has, and of no CPU. */
static void no_register(struct run *run, struct random *random)
{
	u32 number = 0x50000000 | (random_next(random) & 0xfffffff);
	u64 value;
	int faulted;

	if (random_next(random) & 1)
		faulted = msr_write(number, random_word(random));
	else
		faulted = msr_read(number, &value);
	expect(run, 4, number, faulted, faulted == run->no_register_faults);
}

static int claim(unsigned int kind, struct pt_regs *registers)
{
	this_cpu_inc(interrupts);
	return NMI_HANDLED;
}

static void interrupt_2(struct run *run, struct random *random)
{
	u64 before = this_cpu_read(interrupts), after;

	asm volatile("int $2" : : : "memory");
	after = this_cpu_read(interrupts);
	expect(run, 5, before, after, after == before + 1);
}

/* An exit while GDTR is nonsense, and it is the same nonsense afterwards. */
static void no_table(struct run *run, struct random *random)
{
	struct desc_ptr kept, none = { random_next(random), random_word(random) }, found;
	int trap;

	/* A base that is no address would be refused by LGDT itself. */
	none.address = (u64)((s64)(none.address << 16) >> 16);
	native_store_gdt(&kept);
	native_load_gdt(&none);
	trap = hypercall(HOSTILE_CALL_BASE, 0);
	native_store_gdt(&found);
	native_load_gdt(&kept);
	expect(run, 6, none.address, found.address,
	       trap == NO_TRAP && found.size == none.size && found.address == none.address);
}

#define LOAD_TASK(selector)                                                    \
	({                                                                     \
		u64 with = 0;                                                  \
		TRAP_OF("ltr %%ax", selector);                                 \
	})

static void no_task(struct run *run, struct random *random)
{
	u16 selector = random_next(random);
	struct desc_ptr kept, copied;
	struct ldttss_desc *task;
	int trap;

	native_store_gdt(&kept);
	/* Null, and what lies beyond the table. */
	if (selector & 1)
		selector &= 3;
	else if ((selector | 7) <= kept.size)
		selector |= 0x1000;
	trap = LOAD_TASK(selector);
	/* QEMU's CPUs take the null selector. */
	expect(run, 7, selector, trap, trap == PROTECTION || (selector < 4 && trap == NO_TRAP));

	/* A TSS of one byte, in a copy of the table, and an exit with it. */
	memcpy(run->page, (void *)kept.address, kept.size + 1);
	copied = (struct desc_ptr){ kept.size, (unsigned long)run->page };
	task = (struct ldttss_desc *)(run->page + GDT_ENTRY_TSS * 8);
	task->limit0 = 0;
	task->limit1 = 0;
	task->type = DESC_TSS;
	native_load_gdt(&copied);
	trap = LOAD_TASK(GDT_ENTRY_TSS * 8);
	if (trap == NO_TRAP)
		trap = hypercall(HOSTILE_CALL_BASE, 0);
	/* As it was: the table's own entry is busy, so from the copy. */
	memcpy(run->page, (void *)kept.address, kept.size + 1);
	task->type = DESC_TSS;
	LOAD_TASK(GDT_ENTRY_TSS * 8);
	native_load_gdt(&kept);
	expect(run, 7, 0, trap, trap == NO_TRAP);
}

static void rage(void *data)
{
	static void (*const acts[ACTS])(struct run *, struct random *) = {
		call, virtualize, own_register, extended_features,
		no_register, interrupt_2, no_table, no_task,
	};
	struct run *run = data;
	struct random random;

	random_begin(&random, run->seed);
	for (; run->left; run->left--)
		acts[random_next(&random) % ACTS](run, &random);
	hypercall(HOSTILE_CALL_RESTORE, 0);
}

int command_hostile(const char *words, struct answer *answer)
{
	struct run run = {};
	unsigned int act;
	int cpu, error;

	if (sscanf(words, "%d %llu %u %u", &cpu, &run.seed, &run.left,
		   &run.no_register_faults) != 4)
		return -EINVAL;
	run.page = (u8 *)get_zeroed_page(GFP_KERNEL);
	if (!run.page)
		return -ENOMEM;
	error = register_nmi_handler(NMI_LOCAL, claim, 0, "mercury_hostile");
	if (!error) {
		error = on_cpu(cpu, rage, &run);
		unregister_nmi_handler(NMI_LOCAL, "mercury_hostile");
	}
	free_page((unsigned long)run.page);
	if (error)
		return error;
	for (act = 0; act < ACTS; act++)
		answer_add(answer, "act%u %llu\n", act, run.done[act]);
	answer_add(answer, "wrong %llu\nact %llu\nwith %#llx\nanswered %#llx\n",
		   run.wrong, run.act, run.with, run.answered);
	return 0;
}
