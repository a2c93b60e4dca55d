/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parts of mercury_test.ko say to each other.
 *
 * The module is the tests' hand inside the kernel: it reads registers that
 * user space cannot read, executes instructions that user space must not, and
 * watches Mercury's door from both sides. It judges nothing: it answers with
 * text, and the judge (tests/guest/src) decides.
 *
 * No symbol of mercury.ko is linked against: the two modules load in any
 * order, and the module's own checks run on a machine without Mercury too.
 */
#ifndef MERCURY_TEST_H
#define MERCURY_TEST_H

#include <linux/types.h>
#include <asm/asm.h>

/* An answer under construction: one page of text, cut where it is full. */
struct answer {
	char *text;
	size_t size;
	size_t used;
};

__printf(2, 3) void answer_add(struct answer *answer, const char *format, ...);

/* Runs `work` on one CPU with interrupts off. */
int on_cpu(int cpu, void (*work)(void *), void *data);

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

/* One command each; the words after its name are in `words`. */
int command_state(const char *words, struct answer *answer);
int command_observer(const char *words, struct answer *answer);
int command_hole(const char *words, struct answer *answer);
int command_instruction(const char *words, struct answer *answer);
int command_msr(const char *words, struct answer *answer);
int command_nmi(const char *words, struct answer *answer);
int command_touch(const char *words, struct answer *answer);

/* Undone at unload. */
void observer_stop(void);
void nmi_stop(void);

/* straddle.S: a store whose bytes lie on two pages; 13 if it faulted, else -1 */
asmlinkage long straddling_store(void *target, unsigned long value);

#endif
