// SPDX-License-Identifier: GPL-2.0
/*
 * What the CPUs are: raw values, read on every online CPU, and judged by the
 * rules of preflight.h. Reading has no side effect.
 */
#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/firmware.h>
#include <linux/mm.h>
#include <linux/security.h>
#include <linux/slab.h>
#include <linux/version.h>
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 16, 0)
#include <linux/cc_platform.h>
#else
#include <linux/mem_encrypt.h>
#endif
#include <asm/msr.h>
#include <asm/processor.h>

#include "mercury.h"

/* APM volume 2, appendix A; the kernel's headers name them differently from
 * version to version. */
enum { VM_CR = 0xc0010114, SEV_STATUS = 0xc0010131, SYSCFG = 0xc0010010, S_CET = 0x6a2 };
#define CR4_CET (1ull << 23)

static u64 read_or_zero(u32 msr)
{
	u64 value;

	return rdmsrl_safe(msr, &value) ? 0 : value;
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
	mercury_override(facts, raw_smp_processor_id());
}

const char *mercury_backend(void)
{
	return cpuid_eax(0x80000000) >= 0x80000001 && cpuid_ecx(0x80000001) & 1 << 2 ? "svm" : "";
}

void mercury_verdict_set(struct mercury_verdict *verdict, u32 requirement, s32 cpu, int error,
			 u64 read, const char *detail)
{
	memset(verdict, 0, sizeof(*verdict));
	verdict->requirement = requirement;
	verdict->outcome = error ? MERCURY_OUTCOME_FAIL : MERCURY_OUTCOME_PASS;
	verdict->cpu = cpu;
	verdict->error = error;
	verdict->read = read;
	strscpy(verdict->detail, detail, sizeof(verdict->detail));
}

static void add(struct mercury_verdict *verdicts, unsigned int capacity, unsigned int *count,
		unsigned int *failed, const struct mercury_verdict *verdict)
{
	if (verdict->outcome == MERCURY_OUTCOME_FAIL)
		++*failed;
	if (*count < capacity)
		verdicts[*count] = *verdict;
	++*count;
}

/* Every rule on every online CPU. Holds cpus_read_lock. */
static void judge_cpus(struct mercury_verdict *verdicts, unsigned int capacity, unsigned int *count,
		       unsigned int *failed)
{
	struct mercury_verdict verdict;
	struct mercury_visit *visit = kzalloc(sizeof(*visit), GFP_KERNEL);
	unsigned int rule;
	int cpu;

	if (!visit) {
		mercury_verdict_set(&verdict, MERCURY_REQUIREMENT_MEMORY, -1, ENOMEM, sizeof(*visit), "bytes");
		add(verdicts, capacity, count, failed, &verdict);
		return;
	}
	for_each_online_cpu(cpu) {
		visit->kind = MERCURY_VISIT_FACTS;
		if (mercury_visit(cpu, visit)) {
			mercury_verdict_set(&verdict, MERCURY_REQUIREMENT_ARRIVAL, cpu, ETIMEDOUT,
					    MERCURY_DEADLINE_MS, "ms waited for the CPU");
			add(verdicts, capacity, count, failed, &verdict);
			continue;
		}
		for (rule = 0; rule < MERCURY_RULE_COUNT; rule++) {
			verdict = mercury_judge(&mercury_rules[rule], &visit->facts, cpu);
			strscpy(verdict.detail, mercury_rules[rule].what, sizeof(verdict.detail));
			add(verdicts, capacity, count, failed, &verdict);
			if (verdict.requirement == MERCURY_REQUIREMENT_EXTENSION &&
			    verdict.outcome == MERCURY_OUTCOME_FAIL)
				break;
		}
	}
	kfree(visit);
}

static int locked_down(void)
{
	return security_locked_down(LOCKDOWN_MSR) ? EPERM : 0;
}

/* What attach looks at first; the first failure, or 0. */
int mercury_preflight(struct mercury_verdict *first_failure)
{
	unsigned int capacity = num_possible_cpus() * MERCURY_RULE_COUNT, count = 0, failed = 0, index;
	struct mercury_verdict *verdicts;
	int error = 0;

	if (locked_down()) {
		mercury_verdict_set(first_failure, MERCURY_REQUIREMENT_LOCKDOWN, -1, EPERM, 1,
				    "/sys/kernel/security/lockdown");
		return -EPERM;
	}
	verdicts = kvcalloc(capacity, sizeof(*verdicts), GFP_KERNEL);
	if (!verdicts) {
		mercury_verdict_set(first_failure, MERCURY_REQUIREMENT_MEMORY, -1, ENOMEM,
				    capacity * sizeof(*verdicts), "bytes for the preflight");
		return -ENOMEM;
	}
	cpus_read_lock();
	judge_cpus(verdicts, capacity, &count, &failed);
	cpus_read_unlock();
	for (index = 0; index < min(count, capacity) && !error; index++)
		if (verdicts[index].outcome == MERCURY_OUTCOME_FAIL) {
			*first_failure = verdicts[index];
			error = -verdicts[index].error;
		}
	kvfree(verdicts);
	return error;
}

unsigned int mercury_check(struct mercury_verdict *verdicts, unsigned int capacity, unsigned int *failed)
{
	struct mercury_verdict verdict;
	struct mercury_image image;
	unsigned int count = 0;
	u64 need, available;
	int error;

	*failed = 0;
	mercury_verdict_set(&verdict, MERCURY_REQUIREMENT_PRIVILEGE, -1, 0, 1, "CAP_SYS_ADMIN and CAP_SYS_RAWIO");
	add(verdicts, capacity, &count, failed, &verdict);
	error = locked_down();
	mercury_verdict_set(&verdict, MERCURY_REQUIREMENT_LOCKDOWN, -1, error, !!error,
			    "/sys/kernel/security/lockdown");
	add(verdicts, capacity, &count, failed, &verdict);
	cpus_read_lock();
	judge_cpus(verdicts, capacity, &count, failed);
	cpus_read_unlock();
	if (!mercury_image_load(&image, &verdict)) {
		u32 requirement;

		for (requirement = MERCURY_REQUIREMENT_IMAGE_FOUND;
		     requirement <= MERCURY_REQUIREMENT_IMAGE_HASH; requirement++) {
			mercury_verdict_set(&verdict, requirement, -1, 0, image.firmware->size,
					    MERCURY_IMAGE_NAME);
			add(verdicts, capacity, &count, failed, &verdict);
		}
		mercury_image_release(&image);
	} else {
		add(verdicts, capacity, &count, failed, &verdict);
	}
	need = ((u64)nr_cpu_ids * MERCURY_CPU_PAGES + 128) * PAGE_SIZE;
	available = (u64)si_mem_available() * PAGE_SIZE;
	mercury_verdict_set(&verdict, MERCURY_REQUIREMENT_MEMORY, -1, available < need ? ENOMEM : 0, available,
			    "bytes that the kernel could lend");
	add(verdicts, capacity, &count, failed, &verdict);
	mercury_verdict_set(&verdict, MERCURY_REQUIREMENT_IDLE, -1, 0, 0, "no switch is under way");
	add(verdicts, capacity, &count, failed, &verdict);
	error = mercury_machine.stage == MERCURY_STAGE_NATIVE ? 0 : EALREADY;
	mercury_verdict_set(&verdict, MERCURY_REQUIREMENT_NATIVE, -1, error, mercury_machine.stage,
			    "stage of the machine (0 native)");
	add(verdicts, capacity, &count, failed, &verdict);
	return count;
}
