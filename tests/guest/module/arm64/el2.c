// SPDX-License-Identifier: GPL-2.0
/*
 * Looking at EL2 from EL2, the way that a crash kernel goes there: Linux's
 * stub is asked for HVC_SOFT_RESTART, which jumps to a physical address with
 * the MMU off. What runs there (el2_page.S) reads the registers and returns by
 * an eret, as ELR_EL2 and SPSR_EL2 are still those of the call.
 *
 * Under Mercury the same call lets go of the CPU first: afterwards it is native.
 */
#include <linux/errno.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/string.h>
#include <asm/barrier.h>
#include <asm/cacheflush.h>
#include <asm/sysreg.h>

#include "arch.h"
#include "el2_registers.h"
#include "mercury_test.h"

#define SOFT_RESTART 1
#define NOBODYS_CALL 0xff
#define STUB_ERROR 0xbadca11

#define AS_NAME(name, gate, register, writable) #name,
static const char *const names[] = { EL2_REGISTERS(AS_NAME) "sp_el2" };
#define AS_WRITABLE(name, gate, register, writable) writable,
static const bool is_writable[] = { EL2_REGISTERS(AS_WRITABLE) 1 };

extern const u8 el2_page[];

/* A page of code and a page of answers, physically where EL2 finds them. */
static u8 *pages;

struct look {
	u64 value[ARRAY_SIZE(names)];
	int error;
};

struct change {
	u64 place;
	u64 value;
	int error;
};

u64 call_hypervisor(u64 x0, u64 x1, u64 x2, u64 x3, u64 x4)
{
	register u64 a0 asm("x0") = x0;
	register u64 a1 asm("x1") = x1;
	register u64 a2 asm("x2") = x2;
	register u64 a3 asm("x3") = x3;
	register u64 a4 asm("x4") = x4;

	asm volatile("hvc #0"
		     : "+r"(a0), "+r"(a1), "+r"(a2), "+r"(a3), "+r"(a4)
		     :
		     : "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16",
		       "x17", "memory");
	return a0;
}

static u64 gates(void)
{
	u64 pfr0 = read_sysreg(id_aa64pfr0_el1), pfr1 = read_sysreg(id_aa64pfr1_el1);
	u64 mmfr0 = read_sysreg(id_aa64mmfr0_el1), mmfr1 = read_sysreg(id_aa64mmfr1_el1);
	u64 dfr0 = read_sysreg(id_aa64dfr0_el1), open = 0;

#define GATE(which, condition) open |= (condition) ? 1ull << (which) : 0
	/* ICC_SRE_EL1.SRE: without it EL2's registers of the controller have no effect. */
	GATE(EL2_GIC, id_field(pfr0, 24) && read_sysreg_s(sys_reg(3, 0, 12, 12, 5)) & 1);
	GATE(EL2_FGT, id_field(mmfr0, 56));
	GATE(EL2_HCX, id_field(mmfr1, 40));
	GATE(EL2_SVE, id_field(pfr0, 32));
	GATE(EL2_SME, id_field(pfr1, 24));
	GATE(EL2_MTE, id_field(pfr1, 8) >= 2);
	GATE(EL2_VHE, id_field(mmfr1, 8));
	GATE(EL2_ECV, id_field(mmfr0, 60) >= 2);
	GATE(EL2_MPAM, id_field(pfr0, 40));
	GATE(EL2_SPE, id_field(dfr0, 32));
	GATE(EL2_TRACE, id_field(dfr0, 40));
	GATE(EL2_RAS, id_field(pfr0, 28));
	GATE(EL2_AMU, id_field(pfr0, 44) && id_field(mmfr0, 56));
	GATE(EL2_SCXT, id_field(pfr0, 56) >= 2);
	return open;
}

/* From the caches to memory, where EL2 reads and writes with its MMU off. */
static void clean(void *memory, size_t bytes)
{
	unsigned long line = 4ul << (read_sysreg(ctr_el0) >> 16 & 0xf);
	unsigned long at = (unsigned long)memory & ~(line - 1);

	for (; at < (unsigned long)memory + bytes; at += line)
		asm volatile("dc civac, %0" : : "r"(at) : "memory");
	dsb(sy);
}

/* Whether there is a stub that can be asked. */
static int reachable(void)
{
	if (read_sysreg(CurrentEL) >> 2 != 1 || !id_field(read_sysreg(id_aa64pfr0_el1), 8))
		return -ENODEV;
	/* Neither a KVM that runs nor anybody else answers so. */
	return call_hypervisor(NOBODYS_CALL, 0, 0, 0, 0) == STUB_ERROR ? 0 : -EBUSY;
}

static void change_here(void *data)
{
	struct change *change = data;

	change->error = reachable();
	if (!change->error)
		call_hypervisor(SOFT_RESTART, virt_to_phys(pages) + EL2_WRITE, change->place,
				change->value, 0);
}

static void look_here(void *data)
{
	struct look *look = data;
	u8 *answers = pages + PAGE_SIZE;

	look->error = reachable();
	if (look->error)
		return;
	memset(answers, 0, PAGE_SIZE);
	clean(answers, PAGE_SIZE);
	call_hypervisor(SOFT_RESTART, virt_to_phys(pages), virt_to_phys(answers), gates(), 0);
	clean(answers, PAGE_SIZE);
	memcpy(look->value, answers, sizeof(look->value));
}

static int prepare(void)
{
	if (pages)
		return 0;
	pages = (u8 *)__get_free_pages(GFP_KERNEL, 1);
	if (!pages)
		return -ENOMEM;
	memcpy(pages, el2_page, PAGE_SIZE);
	clean(pages, PAGE_SIZE);
	caches_clean_inval_pou((unsigned long)pages, (unsigned long)pages + PAGE_SIZE);
	return 0;
}

void el2_stop(void)
{
	free_pages((unsigned long)pages, 1);
	pages = NULL;
}

/* CPU NAME VALUE: on a native machine, and of a register that the stub lives without. */
int command_el2_write(const char *words, struct answer *answer)
{
	struct change change = {};
	unsigned long long value;
	char name[24];
	int cpu, error;

	if (sscanf(words, "%d %23s %llx", &cpu, name, &value) != 3)
		return -EINVAL;
	while (change.place < ARRAY_SIZE(names) && strcmp(name, names[change.place]))
		change.place++;
	if (change.place == ARRAY_SIZE(names) || !is_writable[change.place])
		return -EINVAL;
	change.value = value;
	error = prepare();
	if (!error)
		error = on_cpu(cpu, change_here, &change);
	return error ? error : change.error;
}

int command_el2(const char *words, struct answer *answer)
{
	struct look look;
	int cpu, index, error;

	if (kstrtoint(words, 10, &cpu))
		return -EINVAL;
	error = prepare();
	if (!error)
		error = on_cpu(cpu, look_here, &look);
	if (!error)
		error = look.error;
	if (error)
		return error;
	/* EL2 that does not say that it is EL2 was not reached. */
	if (look.value[0] != 2 << 2)
		return -EIO;
	for (index = 1; index < ARRAY_SIZE(names); index++)
		answer_add(answer, look.value[index] ? "%s %#llx\n" : "%s %llu\n", names[index],
			   look.value[index]);
	return 0;
}
