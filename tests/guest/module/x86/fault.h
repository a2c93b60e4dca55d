/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Instructions that may trap, covered by the kernel's exception table.
 */
#ifndef MERCURY_TEST_FAULT_H
#define MERCURY_TEST_FAULT_H

#include <linux/linkage.h>
#include <linux/types.h>
#include <asm/asm.h>

/* What a faulting instruction came back with when nothing faulted. */
#define NO_TRAP (-1)

/*
 * RDMSR and WRMSR that survive. On a fault the kernel's fixup puts the trap's
 * number where EAX was, so whether there was one is kept in another register.
 */
static inline int msr_read(u32 msr, u64 *value)
{
	u32 low, high;
	int faulted = 1;

	asm volatile("1:	rdmsr\n"
		     "	xorl	%[faulted], %[faulted]\n"
		     "2:\n"
		     _ASM_EXTABLE_FAULT(1b, 2b)
		     : "=a"(low), "=d"(high), [faulted] "+r"(faulted)
		     : "c"(msr));
	*value = faulted ? 0 : (u64)high << 32 | low;
	return faulted;
}

static inline int msr_write(u32 msr, u64 value)
{
	u32 low = value, high = value >> 32;
	int faulted = 1;

	asm volatile("1:	wrmsr\n"
		     "	xorl	%[faulted], %[faulted]\n"
		     "2:\n"
		     _ASM_EXTABLE_FAULT(1b, 2b)
		     : "+a"(low), [faulted] "+r"(faulted)
		     : "c"(msr), "d"(high)
		     : "memory");
	return faulted;
}

/* straddle.S: a store whose bytes lie on two pages; 13 if it faulted, else -1 */
asmlinkage long straddling_store(void *target, unsigned long value);

#endif
