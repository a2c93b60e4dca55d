// SPDX-License-Identifier: GPL-2.0
/*
 * This CPU, as the rest of the module needs it: what it is, and what must be
 * noted or put aside when it goes through the door. This is x86-64.
 */
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/version.h>
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 16, 0)
#include <linux/cc_platform.h>
#else
#include <linux/mem_encrypt.h>
#endif
#include <asm/desc.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/processor-flags.h>

#include "mercury.h"
#include "mercury_pad.h"

u8 mercury_vmx;

/* APM volume 2, appendix A; the kernel's headers name them differently from
 * version to version. */
enum { VM_CR = 0xc0010114, SEV_STATUS = 0xc0010131, SYSCFG = 0xc0010010, S_CET = 0x6a2 };
#define CR4_CET (1ull << 23)

static u64 read_or_zero(u32 msr)
{
	u64 value;

	return rdmsrl_safe(msr, &value) ? 0 : value;
}

/* SDM volume 4. */
enum {
	FEATURE_CONTROL = 0x3a, VMX_BASIC = 0x480, VMX_PRIMARY = 0x482, VMX_MISC = 0x485,
	VMX_SECONDARY = 0x48b, EPT_VPID_CAP = 0x48c, RTIT_CTL = 0x570,
};

static void read_vmx(struct mercury_facts *facts)
{
	facts->cpuid_vmx = cpuid_ecx(1);
	if (!(facts->cpuid_vmx & 1 << 5))
		return;
	facts->feature_control = read_or_zero(FEATURE_CONTROL);
	if (!(facts->feature_control & 1))
		facts->feature_control |= 5;
	facts->vmx_basic = read_or_zero(VMX_BASIC);
	if (read_or_zero(VMX_PRIMARY) >> 63)
		facts->vmx_secondary = read_or_zero(VMX_SECONDARY);
	/* There if EPT or VPID is. */
	if (facts->vmx_secondary & (1ull << 33 | 1ull << 37))
		facts->ept_capability = read_or_zero(EPT_VPID_CAP);
	facts->huge_leaves = facts->ept_capability >> 17 & 1;
	if (cpuid_eax(0) >= 7 && cpuid_ebx(7) & 1 << 25 && !(read_or_zero(VMX_MISC) & 1 << 14))
		facts->tracing = read_or_zero(RTIT_CTL) & 1;
}

static bool kernel_encrypts(void)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 16, 0)
	return cc_platform_has(CC_ATTR_MEM_ENCRYPT);
#else
	return mem_encrypt_active();
#endif
}

void mercury_facts_read(struct mercury_facts *facts)
{
	u32 largest = cpuid_eax(0x80000000);

	memset(facts, 0, sizeof(*facts));
	facts->cpuid_extension = cpuid_ecx(0x80000001);
	if (facts->cpuid_extension & 1 << 2) {
		facts->cpuid_stage2 = cpuid_edx(0x8000000a);
		facts->vm_cr = read_or_zero(VM_CR);
	}
	facts->efer = read_or_zero(MSR_EFER);
	if (largest >= 0x8000001f && cpuid_eax(0x8000001f)) {
		facts->sev_status = read_or_zero(SEV_STATUS);
		facts->syscfg = read_or_zero(SYSCFG);
	}
	facts->host_encryption = kernel_encrypts();
	facts->cr4 = __read_cr4();
	if (facts->cr4 & CR4_CET)
		facts->s_cet = read_or_zero(S_CET);
	facts->broadcast_flush = cpuid_ebx(0x80000008) >> 3 & 1;
	facts->address_bits = cpuid_eax(0x80000008) & 0xff;
	facts->huge_leaves = !!(cpuid_edx(0x80000001) & 1 << 26);
	if (mercury_vmx)
		read_vmx(facts);
	mercury_override(facts, raw_smp_processor_id());
}

const char *mercury_backend(void)
{
	if (mercury_vmx)
		return cpuid_ecx(1) & 1 << 5 ? "vmx" : "";
	return cpuid_eax(0x80000000) >= 0x80000001 && cpuid_ecx(0x80000001) & 1 << 2 ? "svm" : "";
}

/* Once, when the module is loaded: whose extension it would be. */
void mercury_backend_choose(void)
{
	bool svm = cpuid_eax(0x80000000) >= 0x80000001 && cpuid_ecx(0x80000001) & 1 << 2;

	mercury_vmx = !svm && boot_cpu_data.x86_vendor != X86_VENDOR_AMD &&
		      boot_cpu_data.x86_vendor != X86_VENDOR_HYGON;
}

/* The descriptor behind a selector, 0 for a null one: the image cannot read
 * the kernel's tables. */
static u64 descriptor(unsigned int selector, const struct desc_ptr *gdt)
{
	u64 base = gdt->address, limit = gdt->size;

	if (!(selector & ~7u) && !(selector & 4))
		return 0;
	if (selector & 4) {
		const struct desc_struct *ldt;
		u16 ldtr;

		asm("sldt %0" : "=r"(ldtr));
		if (!(ldtr & ~7u))
			return 0;
		ldt = (const void *)(gdt->address + (ldtr & ~7u));
		base = get_desc_base(ldt) | (u64)((const u32 *)ldt)[2] << 32;
		limit = get_desc_limit(ldt);
	}
	/* A selector may outlive its descriptor. */
	return (selector | 7) <= limit ? *(const u64 *)(base + (selector & ~7u)) : 0;
}

/* What the image cannot read under its own tables. */
void mercury_note_cpu(struct mercury_door *door)
{
	struct desc_ptr gdt;
	unsigned int selectors[4], segment;

	door->noted.host_control4 = __read_cr4() & (X86_CR4_PAE | X86_CR4_LA57 | X86_CR4_MCE);
	native_store_gdt(&gdt);
	asm("mov %%cs, %0" : "=r"(selectors[0]));
	asm("mov %%ss, %0" : "=r"(selectors[1]));
	asm("mov %%ds, %0" : "=r"(selectors[2]));
	asm("mov %%es, %0" : "=r"(selectors[3]));
	for (segment = 0; segment < 4; segment++) {
		door->noted.segments[segment].selector = selectors[segment] & 0xffff;
		door->noted.segments[segment].descriptor = descriptor(selectors[segment] & 0xffff, &gdt);
	}
	if (mercury_vmx)
		mercury_pad_note(door, &gdt, descriptor);
}

/*
 * Breakpoints are put aside while the image runs: its addresses are a user's
 * too, and a debugger's watchpoint on one of them must not fire in it.
 */
unsigned long mercury_disarm(void)
{
	unsigned long dr7;

	asm volatile("mov %%db7, %0" : "=r"(dr7));
	if (!(dr7 & 0xff))
		return 0;
	asm volatile("mov %0, %%db7" : : "r"(0x400ul));
	return dr7;
}

void mercury_arm(unsigned long dr7)
{
	if (dr7)
		asm volatile("mov %0, %%db7" : : "r"(dr7));
}

/* What lies in both address spaces at one address: the landing pad. */
int mercury_prepare_cpu(struct mercury_door *door, struct mercury_tables *tables)
{
	if (!mercury_vmx)
		return 0;
	mercury_pad_prepare(door);
	return mercury_tables_map(tables, (u64)door, virt_to_phys(door), MERCURY_MAP_WRITE);
}
