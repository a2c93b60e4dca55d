// SPDX-License-Identifier: GPL-2.0
/*
 * Counting NMIs, CPU by CPU.
 *
 * The monitor of the emulator raises LINT1 of every CPU's local APIC; Linux
 * masks LINT1 on all but the first. While counting, it is open on all of them.
 * The handler claims every NMI, so that none is reported as unknown.
 */
#include <linux/cpu.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <asm/apic.h>
#include <asm/irq_vectors.h>
#include <asm/nmi.h>
#include <asm/tsc.h>

#include "arch.h"
#include "mercury_test.h"

static DEFINE_PER_CPU(u64, seen);
static DEFINE_PER_CPU(u32, wiring);
/* An NMI of burst() is on its way here; when the last of them came. */
static DEFINE_PER_CPU(u32, expected);
static DEFINE_PER_CPU(u64, latest);
/* When others came to the first CPU: the monitor's, and Linux's own. */
#define MOMENTS 512
static u64 moments_of_others[MOMENTS];
static u64 others;
static bool counting;

static int count(unsigned int kind, struct pt_regs *registers)
{
	this_cpu_inc(seen);
	if (this_cpu_read(expected)) {
		this_cpu_write(latest, rdtsc_ordered());
		this_cpu_write(expected, 0);
	} else if (!smp_processor_id()) {
		moments_of_others[others % MOMENTS] = rdtsc_ordered();
		WRITE_ONCE(others, others + 1);
	}
	return NMI_HANDLED;
}

static void open_line(void *unused)
{
	/* Not apic_read(): its static call is not exported to modules. */
	this_cpu_write(wiring, apic->read(APIC_LVT1));
	apic->write(APIC_LVT1, APIC_DM_NMI);
}

static void restore_line(void *unused)
{
	apic->write(APIC_LVT1, this_cpu_read(wiring));
}

static int start(void)
{
	int cpu, error;

	if (counting)
		return -EBUSY;
	for_each_possible_cpu(cpu)
		per_cpu(seen, cpu) = 0;
	error = register_nmi_handler(NMI_LOCAL, count, 0, "mercury_test");
	if (error)
		return error;
	on_each_cpu(open_line, NULL, 1);
	counting = true;
	return 0;
}

void nmi_stop(void)
{
	if (!counting)
		return;
	on_each_cpu(restore_line, NULL, 1);
	unregister_nmi_handler(NMI_LOCAL, "mercury_test");
	counting = false;
}

/*
 * One NMI after another to one other CPU, the next as soon as it has seen the
 * last: some land in the middle of a switch. How many it has not seen.
 */
static unsigned int storm(int cpu, unsigned int number)
{
	unsigned int lost = 0;

	while (number--) {
		u64 before = READ_ONCE(per_cpu(seen, cpu)), patience = 20000000;

		apic->send_IPI(cpu, NMI_VECTOR);
		while (READ_ONCE(per_cpu(seen, cpu)) == before && --patience)
			cpu_relax();
		lost += !patience;
		cond_resched();
	}
	return lost;
}

/*
 * One NMI after another to each CPU, this one last, the next as soon as the last
 * was seen. How many were sent and seen, and the moment of each that was.
 */
static void burst(struct answer *answer, unsigned int number)
{
	u64 sent = 0, received = 0;
	u64 *moments = kvmalloc_array(number, nr_cpu_ids * sizeof(*moments), GFP_KERNEL);

	if (!moments)
		return;
	while (number--) {
		int cpu, turn, self;

		cpus_read_lock();
		self = get_cpu();
		for (turn = 0; turn < 2; turn++)
			for_each_online_cpu(cpu) {
				u64 patience = 20000000;

				if ((cpu == self) != turn)
					continue;
				WRITE_ONCE(per_cpu(expected, cpu), 1);
				sent++;
				apic->send_IPI(cpu, NMI_VECTOR);
				while (READ_ONCE(per_cpu(expected, cpu)) && --patience)
					cpu_relax();
				if (patience)
					moments[received++] = READ_ONCE(per_cpu(latest, cpu));
			}
		put_cpu();
		cpus_read_unlock();
		cond_resched();
	}
	answer_add(answer, "sent %llu seen %llu\n", sent, received);
	for (sent = 0; sent < received; sent++)
		answer_add(answer, "%llu\n", moments[sent]);
	kvfree(moments);
}

int command_nmi(const char *words, struct answer *answer)
{
	int cpu;

	if (!strcmp(words, "on"))
		return start();
	if (!strcmp(words, "off")) {
		nmi_stop();
		return 0;
	}
	if (!strncmp(words, "storm ", 6)) {
		unsigned int number;

		if (sscanf(words + 6, "%d %u", &cpu, &number) != 2 || !cpu_online(cpu))
			return -EINVAL;
		answer_add(answer, "lost %u\n", storm(cpu, number));
		return 0;
	}
	if (!strncmp(words, "burst ", 6)) {
		unsigned int number;

		if (kstrtouint(words + 6, 10, &number) || !counting || number < 1 || number > 100)
			return -EINVAL;
		burst(answer, number);
		return 0;
	}
	if (!strncmp(words, "others ", 7)) {
		u64 from, now = READ_ONCE(others);

		if (kstrtou64(words + 7, 10, &from))
			return -EINVAL;
		answer_add(answer, "%llu\n", now);
		for (from = max(from, now > MOMENTS ? now - MOMENTS : 0); from < now; from++)
			answer_add(answer, "%llu\n", moments_of_others[from % MOMENTS]);
		return 0;
	}
	if (!strcmp(words, "raise")) {
		/* To each CPU, this one last: where no monitor can do it. */
		cpus_read_lock();
		preempt_disable();
		for_each_online_cpu(cpu)
			if (cpu != smp_processor_id())
				apic->send_IPI(cpu, NMI_VECTOR);
		apic->send_IPI(smp_processor_id(), NMI_VECTOR);
		preempt_enable();
		cpus_read_unlock();
		return 0;
	}
	if (strcmp(words, "report"))
		return -EINVAL;
	for_each_online_cpu(cpu)
		answer_add(answer, "cpu %d seen %llu\n", cpu, per_cpu(seen, cpu));
	return 0;
}
