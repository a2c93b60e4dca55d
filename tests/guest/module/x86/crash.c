// SPDX-License-Identifier: GPL-2.0
/*
 * x86's ways to crash:
 *
 *   nmi			a panic in an NMI handler
 *   stuck-in-nmi	a panic here, while that CPU does not come back from an NMI
 *   triple		a triple fault: no Linux code runs any more
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/panic.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <asm/apic.h>
#include <asm/desc.h>
#include <asm/irq_vectors.h>
#include <asm/nmi.h>

#include "mercury_test.h"

static bool stuck, spinning;

static int end(unsigned int kind, struct pt_regs *registers)
{
	if (!stuck)
		nmi_panic(registers, CRASH_TEXT);
	WRITE_ONCE(spinning, true);
	for (;;)
		cpu_relax();
	return NMI_HANDLED;
}

static void fault_three_times(void *unused)
{
	const struct desc_ptr nothing = {};

	load_idt(&nothing);
	asm volatile("int3");
}

int arch_crash(const char *way, int cpu)
{
	int error;

	if (!strcmp(way, "triple"))
		return on_cpu(cpu, fault_three_times, NULL);
	stuck = !strcmp(way, "stuck-in-nmi");
	if (!stuck && strcmp(way, "nmi"))
		return -EINVAL;
	error = register_nmi_handler(NMI_LOCAL, end, 0, "mercury_test_crash");
	if (error)
		return error;
	preempt_disable();
	apic->send_IPI(stuck ? another_cpu(cpu) : cpu, NMI_VECTOR);
	while (!READ_ONCE(spinning))
		cpu_relax();
	panic(CRASH_TEXT);
}
