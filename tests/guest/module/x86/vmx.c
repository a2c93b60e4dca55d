// SPDX-License-Identifier: GPL-2.0
/*
 * VMX's instructions, and others that always exit there.
 *
 * `vmxe` sets CR4.VMXE as a hypervisor would, reads it back, tries VMXON and
 * takes the bit away again: `answered` is CR4 with it, `trap` is VMXON's. `ne`
 * takes CR0.NE away and sets it again: `answered` is CR0 without it.
 */
#include <linux/kernel.h>
#include <linux/string.h>
#include <asm/processor-flags.h>

#include "instructions.h"

#define CR4_NOBODYS (1ull << 31)
#define PAGE_OPERAND [page] "m"(job->page)

static u64 read_cr0_raw(void)
{
	u64 value;

	asm volatile("mov %%cr0, %0" : "=r"(value) : : "memory");
	return value;
}

static u64 read_cr4_raw(void)
{
	u64 value;

	asm volatile("mov %%cr4, %0" : "=r"(value) : : "memory");
	return value;
}

static int write_cr0_raw(u64 value)
{
	return TRAP_WITH(value, "mov %%rax, %%cr0");
}

static int write_cr4_raw(u64 value)
{
	return TRAP_WITH(value, "mov %%rax, %%cr4");
}

static void vmxe(struct job *job)
{
	u64 before = read_cr4_raw();

	job->faults += write_cr4_raw(before | X86_CR4_VMXE) != NO_TRAP;
	job->answered = read_cr4_raw();
	job->trap = TRAP_WITH(0, "vmxon %[page]", PAGE_OPERAND);
	job->faults += write_cr4_raw(before) != NO_TRAP;
	job->faults += read_cr4_raw() != before;
}

static void ne(struct job *job)
{
	u64 before = read_cr0_raw();

	job->trap = write_cr0_raw(before & ~X86_CR0_NE);
	job->answered = read_cr0_raw();
	job->faults += write_cr0_raw(before) != NO_TRAP;
	job->faults += read_cr0_raw() != before;
}

/* Without CR4.OSXSAVE XGETBV is undefined, and so is XSETBV, whatever it writes. */
static u64 xcr0(void)
{
	u32 low, high;

	if (!(read_cr4_raw() & X86_CR4_OSXSAVE))
		return 1;
	asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (u64)high << 32 | low;
}

static int xsetbv(u32 number, u64 value)
{
	return TRAP_WITH((u32)value, "xsetbv", "c"(number), "d"((u32)(value >> 32)));
}

/* Written back first: little is lost if it should get through. */
static int invd(void)
{
	asm volatile("wbinvd" : : : "memory");
	return TRAP_WITH(0, "invd");
}

bool vmx_instruction(struct job *job)
{
	const u64 descriptor[2] = { 0, 0 };

	if (!strcmp(job->name, "vmxon"))
		job->trap = TRAP_WITH(0, "vmxon %[page]", PAGE_OPERAND);
	else if (!strcmp(job->name, "vmclear"))
		job->trap = TRAP_WITH(0, "vmclear %[page]", PAGE_OPERAND);
	else if (!strcmp(job->name, "vmptrld"))
		job->trap = TRAP_WITH(0, "vmptrld %[page]", PAGE_OPERAND);
	else if (!strcmp(job->name, "vmptrst"))
		job->trap = TRAP_WITH(0, "vmptrst %[page]", PAGE_OPERAND);
	else if (!strcmp(job->name, "vmread"))
		job->trap = TRAP_WITH(0, "vmread %%rax, %%rax");
	else if (!strcmp(job->name, "vmwrite"))
		job->trap = TRAP_WITH(0, "vmwrite %%rax, %%rax");
	else if (!strcmp(job->name, "vmlaunch"))
		job->trap = TRAP_WITH(0, "vmlaunch");
	else if (!strcmp(job->name, "vmresume"))
		job->trap = TRAP_WITH(0, "vmresume");
	else if (!strcmp(job->name, "vmxoff"))
		job->trap = TRAP_WITH(0, "vmxoff");
	else if (!strcmp(job->name, "invept"))
		job->trap = TRAP_WITH(2, "invept %[all], %%rax", [all] "m"(descriptor));
	else if (!strcmp(job->name, "invvpid"))
		job->trap = TRAP_WITH(2, "invvpid %[all], %%rax", [all] "m"(descriptor));
	else if (!strcmp(job->name, "vmfunc"))
		job->trap = TRAP_WITH(0, ".byte 0x0f, 0x01, 0xd4", "c"(0));
	else if (!strcmp(job->name, "getsec"))
		/* GETSEC[CAPABILITIES] */
		job->trap = TRAP_WITH(0, ".byte 0x0f, 0x37", "b"(0));
	else if (!strcmp(job->name, "vmcall"))
		HYPERCALL(job, "vmcall");
	else if (!strcmp(job->name, "xsetbv-same"))
		job->trap = xsetbv(0, xcr0());
	else if (!strcmp(job->name, "xsetbv-none"))
		job->trap = xsetbv(0, 0);
	else if (!strcmp(job->name, "xsetbv-high"))
		job->trap = xsetbv(0, 1ull << 63 | 1);
	else if (!strcmp(job->name, "xsetbv-other"))
		job->trap = xsetbv(0x1234, 1);
	else if (!strcmp(job->name, "invd"))
		job->trap = invd();
	else if (!strcmp(job->name, "vmxe"))
		vmxe(job);
	else if (!strcmp(job->name, "vmxe-nobodys"))
		job->trap = write_cr4_raw(read_cr4_raw() | X86_CR4_VMXE | CR4_NOBODYS);
	else if (!strcmp(job->name, "ne"))
		ne(job);
	else
		return false;
	return true;
}
