/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What an x86 CPU is, and what follows from it (see preflight.h).
 *
 * AMD: APM volume 2, 15.4 (SVM enabled and free), 15.25 (nested paging),
 * 15.34 (SEV_STATUS), 15.36 (SNP); volume 3, E.4. Intel: SDM volume 3, 23.6 to
 * 23.8 (VMX enabled and free), appendix A (capabilities), 35.5 (tracing).
 */
#ifndef MERCURY_RULES_H
#define MERCURY_RULES_H

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
	/* Intel's */
	__u64 cpuid_vmx;	/* CPUID 1 ECX */
	__u64 feature_control;	/* or what an open one will be */
	__u64 vmx_basic;
	__u64 vmx_secondary;	/* VMX_PROCBASED_CTLS2 */
	__u64 ept_capability;	/* VMX_EPT_VPID_CAP */
	__u64 tracing;		/* 1: Intel PT runs, and VMX would stop it */
};

static const struct mercury_rule mercury_rules_svm[] = {
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

static const struct mercury_rule mercury_rules_vmx[] = {
	{ MERCURY_REQUIREMENT_EXTENSION, 19 /* ENODEV */, MERCURY_FACT(cpuid_vmx), 1 << 5, 1 << 5,
	  "CPUID 1 ECX bit 5 (VMX)" },
	/* As read, or as an open one will be: locked by us. */
	{ MERCURY_REQUIREMENT_ENABLED, 19, MERCURY_FACT(feature_control), 5, 5,
	  "FEATURE_CONTROL bits 0, 2 (locked without VMX)" },
	{ MERCURY_REQUIREMENT_STAGE2, 19, MERCURY_FACT(vmx_secondary), 1ull << 33, 1ull << 33,
	  "VMX_PROCBASED_CTLS2 bit 33 (EPT)" },
	{ MERCURY_REQUIREMENT_STAGE2, 19, MERCURY_FACT(ept_capability), 0x02114040, 0x02114040,
	  "VMX_EPT_VPID_CAP (4 levels, WB, 2 MiB, INVEPT)" },
	{ MERCURY_REQUIREMENT_SUPPORTED, 95 /* EOPNOTSUPP */, MERCURY_FACT(vmx_secondary), 1ull << 39, 1ull << 39,
	  "VMX_PROCBASED_CTLS2 bit 39 (unrestricted guest)" },
	{ MERCURY_REQUIREMENT_SUPPORTED, 95, MERCURY_FACT(vmx_basic), 1ull << 55, 1ull << 55,
	  "VMX_BASIC bit 55 (TRUE controls)" },
	{ MERCURY_REQUIREMENT_PLAIN_MEMORY, 95, MERCURY_FACT(host_encryption), 1, 0,
	  "kernel encrypts its memory (TDX guest)" },
	{ MERCURY_REQUIREMENT_SUPPORTED, 95, MERCURY_FACT(cr4), 1ull << 32, 0,
	  "CR4 bit 32 (FRED)" },
	{ MERCURY_REQUIREMENT_SUPPORTED, 95, MERCURY_FACT(s_cet), 1, 0,
	  "S_CET bit 0 (kernel shadow stacks)" },
	{ MERCURY_REQUIREMENT_SUPPORTED, 95, MERCURY_FACT(tracing), 1, 0,
	  "RTIT_CTL bit 0 (Intel PT runs, VMX stops it)" },
	{ MERCURY_REQUIREMENT_FREE, 16 /* EBUSY */, MERCURY_FACT(cr4), 1 << 13, 0,
	  "CR4 bit 13 (VMXE): KVM or another hypervisor uses it" },
};

/* By backend (noted.h), from 1. */
#define MERCURY_RULE_SETS MERCURY_RULE_SET(mercury_rules_svm), MERCURY_RULE_SET(mercury_rules_vmx)

#define MERCURY_FACT_NAMES \
	"cpuid_extension", "cpuid_stage2", "vm_cr", "efer", "sev_status", "syscfg", "host_encryption", \
	"cr4", "s_cet", "address_bits", "huge_leaves", "broadcast_flush", \
	"cpuid_vmx", "feature_control", "vmx_basic", "vmx_secondary", "ept_capability", "tracing"

/* Mutants of the image, from 1 (arch/x86_64/src/mutant.rs). */
#define MERCURY_IMAGE_MUTANTS \
	"gdt_limit", "idt_limit", "ldtr", "dr7", "gpr", "xmm", "pat", "cr4", "tsc_offset", "fs_base", \
	"cr2", "sfmask", "sysenter", "hsave", "svme", "ds", "kernel_gs_base", "cr0_ts", "hole_length", \
	"tr", "pcid", "nmi"

#endif
